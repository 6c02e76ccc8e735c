"""How a demo ends when it does not end well."""

from scaffold.errors import ScaffoldError


class DemoError(ScaffoldError):
    """A step failed, or a check did."""


class DemoInterruptedError(DemoError):
    """A signal ended the demo; nothing is left of it."""

    def __init__(self, number: int) -> None:
        super().__init__("Interrupted.")
        self.exit_code = 128 + number
