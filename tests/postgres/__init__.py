"""The embedded PostgreSQL: real servers, real processes, and what they leave."""
