"""Access to PostgreSQL: the engine, the unit of work and the base of the repositories."""
