"""The demo: a fleet of four services, generated, running on PostgreSQL and asked over HTTP."""
