"""Why a measurement cannot be made."""


class BenchmarkError(Exception):
    """Said in a line or two, without a traceback."""
