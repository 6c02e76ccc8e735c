"""The keys of a terminal by which a fleet that is up is told what to do."""

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress


def has_keys() -> bool:
    """Whether a person at a terminal can press keys and see what becomes of it."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    with suppress(OSError):
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()  # not in the background
    return False


@asynccontextmanager
async def pressed(actions: Mapping[str, Callable[[], None]]) -> AsyncIterator[None]:
    """Run the action of each key that is pressed during a block, without its echo."""
    loop, terminal = asyncio.get_running_loop(), sys.stdin.fileno()

    def read() -> None:
        try:
            pressed = os.read(terminal, 64)
        except OSError:
            pressed = b""
        if not pressed:  # the terminal has gone
            loop.remove_reader(terminal)
        # More at once is a pasted text, or what a key as an arrow sends.
        if (key := pressed.decode("ascii", "ignore")) in actions:
            actions[key]()

    def listen() -> None:
        """Begin, or go on after the shell had the terminal; in the background, wait."""
        loop.remove_reader(terminal)
        if has_keys():
            with suppress(termios.error):
                # At once: a paused terminal would be waited for.
                tty.setcbreak(terminal, termios.TCSANOW)
                termios.tcflush(terminal, termios.TCIFLUSH)
                loop.add_reader(terminal, read)

    before = termios.tcgetattr(terminal)
    loop.add_signal_handler(signal.SIGCONT, listen)
    listen()
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGCONT)
        loop.remove_reader(terminal)
        if has_keys():
            with suppress(termios.error):
                termios.tcsetattr(terminal, termios.TCSANOW, before)
