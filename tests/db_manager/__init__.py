"""The database manager, on real PostgreSQL."""
