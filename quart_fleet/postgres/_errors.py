"""What can go wrong with the embedded PostgreSQL, told in one or two lines."""


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot be had; the message says why, where and what to do next."""
