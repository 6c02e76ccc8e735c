"""What the tests need of the process that they run in."""

import os
import signal

HEEDED = (signal.SIGINT, signal.SIGHUP)


def heed_signals() -> None:
    """Have the programs under test start with signals that nobody has set to be ignored.

    A shell does that to what it runs in the background, nohup to SIGHUP; children inherit it.
    """
    for number in HEEDED:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


heed_signals()


def pytest_xdist_auto_num_workers() -> int:
    """Have half as many workers again as processors: tests wait for much of what they start."""
    return (os.cpu_count() or 1) * 3 // 2
