"""How clients leave a service that is about to stop: each answer is its connection's last.

A server that stops closes the connections that clients keep alive, and a request that is on its
way there is lost. Clients that are told so before open their next connection where the balancer
leads them by then.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread

SIGNAL = signal.SIGURG
"""Asks a process to drain. Who does not handle it ignores it: it may be sent to a whole container,
whatever server runs there and with however many workers. Servers use SIGUSR1 themselves."""


@contextmanager
def draining_when_told(drain: Callable[[], None]) -> Iterator[None]:
    """Call `drain` at every signal that comes during a block."""
    if current_thread() is not main_thread():  # no other may handle a signal
        yield
        return
    before = signal.signal(SIGNAL, lambda _number, _frame: drain())
    try:
        yield
    finally:
        signal.signal(SIGNAL, before or signal.SIG_DFL)
