"""The signals that ask a process to end."""

import signal

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def not_ignored() -> list[signal.Signals]:
    """Return those of `ENDING` that the parent did not switch off, as nohup does."""
    return [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]


class Interrupted(KeyboardInterrupt):
    """A signal asked the process to end."""

    is_raised = False
    """Whether one was: Python drops what is raised in a callback of its own, as imports have."""

    def __init__(self, number: int) -> None:
        Interrupted.is_raised = True
        super().__init__(signal.Signals(number).name)
        self.number = number
