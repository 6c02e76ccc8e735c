"""The database manager: migrations of `shared.models`, and the PostgreSQL that they run on."""
