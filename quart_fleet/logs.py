"""Log lines that hold what strangers sent, and that an outage must not multiply."""

import asyncio
import copy
import logging
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

MOST = 4_000
"""Characters of a message; what is longer is cut."""
MOST_OF_A_PATH = 200
"""Characters of a path that a client has asked for."""
MOST_OF_AN_ACCESS = 1_000
"""Characters of what a server's access line says of a request."""
INTERVAL = 60.0
"""Seconds in which warnings of one kind are counted."""

# C0, DEL and C1 with the escape sequences of terminals; marks of direction and other invisible
# ones, which show a line otherwise than it is (Unicode's report 36); lone surrogates.
_UNSAFE = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\xad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ud800-\udfff\ufeff\ufff0-\ufffb\U000e0000-\U000e0fff]"
)


def escape(text: str, most: int = MOST) -> str:
    r"""Return the text in one line of at most about `most` characters, as `a\nb`."""
    if len(text) > most:
        text = f"{text[:most]}... ({len(text)} characters)"
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


class EscapingFormatter(logging.Formatter):
    """Formats as another one does, with the message in one line and a traceback indented below it."""

    def __init__(self, inner: logging.Formatter | None) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; the record is left as it is, for other handlers."""
        shown = copy.copy(record)
        shown.msg, shown.args = escape(record.getMessage()), None
        if record.exc_info and record.exc_info[0] is not None:
            # What an exception says may be a stranger's too: no line of it begins like one of ours.
            lines = self._inner.formatException(record.exc_info).splitlines()
            shown.exc_text = "\n".join("  " + escape(line) for line in lines)
        return self._inner.format(shown)


class EscapingFilter(logging.Filter):
    """Escapes in the access lines of servers what their handlers are going to print."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through; uvicorn's formatter takes the arguments apart."""
        if isinstance(record.args, Mapping):
            record.msg, record.args = escape(record.getMessage(), MOST_OF_AN_ACCESS), None
        elif record.args:
            record.args = tuple(
                escape(value, MOST_OF_AN_ACCESS) if isinstance(value, str) else value
                for value in record.args
            )
        else:
            record.msg = escape(str(record.msg))
        return True


_SERVERS = ("uvicorn.access", "uvicorn.error", "hypercorn.access", "hypercorn.error")


def escape_logs(application: logging.Logger) -> None:
    """Have what is logged from now on escaped: by the handlers that there are, and by servers.

    A server has handlers of its own, which it may make later.
    """
    for handler in {*logging.getLogger().handlers, *application.handlers}:
        if not isinstance(handler.formatter, EscapingFormatter):
            handler.setFormatter(EscapingFormatter(handler.formatter))
    for name in _SERVERS:
        logger = logging.getLogger(name)
        if not any(isinstance(each, EscapingFilter) for each in logger.filters):
            logger.addFilter(EscapingFilter())


class CountedWarnings:
    """Logs the first warning of a kind at once, and then one for each minute with their number."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._kinds: dict[Hashable, _Kind] = {}

    def warn(self, kind: Hashable, line: str) -> None:
        """Log the line, or count it where another of its kind was logged within a minute."""
        if known := self._kinds.get(kind):
            known.count += 1
            return
        self._log.warning("%s", line)
        timer = asyncio.get_running_loop().call_later(INTERVAL, self._tell, kind)
        self._kinds[kind] = _Kind(line, timer)

    def tell(self) -> None:
        """Log now what was only counted, as at the end of the process."""
        for kind in [*self._kinds]:
            self._tell(kind)
        while self._kinds:
            self._kinds.popitem()[1].timer.cancel()

    def _tell(self, kind: Hashable) -> None:
        told = self._kinds.pop(kind)
        told.timer.cancel()
        if told.count:
            self.warn(kind, f"{told.line} ({told.count} more like this)")
            self._kinds[kind].line = told.line


@dataclass(slots=True)
class _Kind:
    """The warnings of one kind since the last line."""

    line: str
    timer: asyncio.TimerHandle
    count: int = 0
