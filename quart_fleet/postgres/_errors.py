"""The one error of the embedded PostgreSQL."""


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot be used; one or two lines say why, where and what to do."""
