"""All that a process logs goes to stderr: each line one JSON object, or one for a terminal.

Whatever a logger of `logging` or `structlog` is told, by whichever library, is written here, with
the request that it belongs to, without secrets, and so that no text of a stranger looks like a line.
"""

import asyncio
import fcntl
import logging
import math
import os
import re
import select
import stat
import struct
import sys
import termios
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from contextvars import Context
from functools import partial
from itertools import islice
from multiprocessing import parent_process
from pathlib import Path
from time import gmtime, monotonic, strftime, time
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, cast

import orjson
import structlog
from flask.logging import default_handler
from structlog.processors import JSONRenderer
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict

from quart_fleet.conventions import PROBES
from quart_fleet.logs import (
    HIDDEN,
    HOSTED,
    MOST_OF_A_PATH,
    CountedWarnings,
    clean,
    is_secret,
    read_levels,
)
from quart_fleet.observation import (
    REQUEST,
    ObservedRequest,
    Observer,
    find_request,
    find_trace,
    spans,
)

if TYPE_CHECKING:
    from quart_fleet.asgi._application import ServiceApplication

ACCESS = "quart_fleet.access"
"""The logger of requests: one line each, when it was answered."""
MOST_OF_AN_EXCEPTION = 16_000
"""Characters of a traceback; what is longer loses its middle."""
MOST_FIELDS = 200
"""Values of one line, with those inside of others."""
PATIENCE, PERIOD = 100, 10
"""Milliseconds of so many seconds for which lines wait for the program that reads them; then lines
are lost until it reads again, since the service is not to wait with it."""
_WRITTEN = "_quart_fleet_written_for"
"""An exception's attribute."""
_ACCESS = "_quart_fleet_access"
"""A record's attribute: what an access line says."""
COPIES = "QUART_FLEET_LOG_COPIES"
"""The variable by which tests have each process write its lines of JSON into a folder, too."""
_is_plain = re.compile(rf"[ -9;<>-~]{{1,{MOST_OF_A_PATH}}}").fullmatch
"""What is shown as it is, as nearly all paths are, for ASCII without `:` and `=` hides nothing."""
_DEPTH = 6
_MOST_OF_A_KEY = 100
_ATOMIC = 4096
"""Bytes that a pipe takes whole (POSIX's PIPE_BUF is less on no system that serves here)."""
_F_GETPIPE_SZ = 1032
_INVISIBLE = frozenset(vars(logging.makeLogRecord({}))) | {
    *("message", "asctime", "taskName", "color_message", _ACCESS, "_logger", "_name"),
}
"""What a record has besides the fields of `extra=`."""
_OURS = frozenset(
    {
        *("timestamp", "level", "logger", "event", "service", "pid", "request_id", "trace_id"),
        *("span_id", "route", "exception", "stack"),
    }
)
_SERVERS = (
    *("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"),
    *("hypercorn.error", "hypercorn.access", "gunicorn.error", "gunicorn.access"),
    *("_granian", "granian.access"),
)
"""Loggers of which only warnings are written, unless LOG_LEVEL names them, or the server did: there
is an access line of ours."""
_RED, _BOLD, _DIM, _PLAIN = "\x1b[31m", "\x1b[1m", "\x1b[2m", "\x1b[0m"
_COLOURS = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m"}

_log = logging.getLogger("quart_fleet.server")


def install_logs(app: "ServiceApplication") -> None:
    """Have this process write its log as LOG_LEVEL and LOG_FORMAT say, from now on.

    Handlers that others add to the root logger get their records too. Where services share a
    process, each has its own levels.
    """
    config, hosted = app.config, HOSTED.get()
    name = config.get("SERVICE_NAME", app.name)
    app.logger.removeHandler(default_handler)  # which Quart's create_logger has given it
    app.logger.setLevel(logging.NOTSET)
    levels = {"": logging.DEBUG if app.debug else logging.INFO}
    if config.get("LOG_LEVEL"):
        levels |= read_levels(config["LOG_LEVEL"])
    if hosted is None:
        config["LOG_FORMAT"] = write_logs(name, config.get("LOG_FORMAT"), is_for_people=app.debug)
    else:
        hosted.name = clean(name, 100)
        hosted.levels = dict.fromkeys(_SERVERS, logging.WARNING) | levels
        together = [each for each in hosted.all if each.levels]
        names = {name for each in together for name in each.levels}
        levels = {name: min(each.find_level(name) for each in together) for name in names}
    for logger, level in levels.items():
        logging.getLogger(logger or None).setLevel(level)
    if logging.getLogger(ACCESS).isEnabledFor(logging.INFO):
        app.observers.add(access := AccessLog())

        @app.after_serving
        async def tell_what_was_counted() -> None:
            access.tell()


def write_logs(
    service: str, log_format: str | None, *, is_for_people: bool = False, is_shared: bool = False
) -> str:
    """Have this process write its log, and return in which format.

    Args:
        service: the name in its lines, of those that are none of one of several services.
        log_format: `console` or `json`; None is the first for people and on a terminal.
        is_for_people: whether they read it, whatever it is written to.
        is_shared: whether services share the process.
    """
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    if log_format is None:
        log_format = "console" if is_for_people or is_terminal else "json"
    formatter = LineFormatter(
        service,
        is_json=log_format == "json",
        is_coloured=is_terminal
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb",
        is_shared=is_shared,
    )
    root = logging.getLogger()
    for handler in [*root.handlers]:
        # One as basicConfig makes it would write each line once more.
        is_stock = type(handler) is logging.StreamHandler and handler.stream is sys.stderr
        if is_stock or isinstance(handler, LineHandler):
            root.removeHandler(handler)
        if isinstance(handler, _Copy):
            handler.close()
    ours = LineHandler(sys.stderr)
    ours.setFormatter(formatter)
    root.addHandler(ours)
    if folder := os.environ.get(COPIES):
        root.addHandler(_Copy(folder, service))
    if is_shared:
        for handler in root.handlers:
            handler.addFilter(_ByService())
    take_in_libraries()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.processors.StackInfoRenderer(),
            ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    logging.captureWarnings(True)
    log_what_is_not_caught()
    return log_format


def take_in_libraries() -> None:
    """Have those libraries write as all others that have handlers and levels of their own."""
    # Else SQLAlchemy, where it echoes, and finds no handler, makes one.
    logging.getLogger("sqlalchemy").addHandler(logging.NullHandler())
    # Each event loop tells at DEBUG which selector it uses.
    logging.getLogger("asyncio").setLevel(logging.INFO)
    for name in _SERVERS:
        logger = logging.getLogger(name)
        if not any(isinstance(each, _ByRoot) for each in logger.filters):
            logger.addFilter(_ByRoot())
        if name.endswith("access") or logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)


def log_what_is_not_caught() -> None:
    """Have exceptions that end the process or a thread, or are ignored, logged once."""

    def tell(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, where)
            return
        _log.critical("The process ends by an exception", exc_info=(kind, error, where))

    def tell_of_thread(told: threading.ExceptHookArgs) -> None:
        if told.exc_value is not None and not issubclass(told.exc_type, SystemExit):
            info = (told.exc_type, told.exc_value, told.exc_traceback)
            _log.error("A thread ended by an exception", exc_info=info)

    def tell_of_ignored(told: Any) -> None:
        if told.exc_value is not None:
            info = (told.exc_type, told.exc_value, told.exc_traceback)
            _log.error("%s %r", told.err_msg or "Exception ignored in", told.object, exc_info=info)

    sys.excepthook = tell
    threading.excepthook = tell_of_thread
    sys.unraisablehook = tell_of_ignored


def log_of_its_task(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an exception of a task that was awaited by none, as a part of the request that began it."""
    task = context.get("task") or context.get("future")
    get_context = getattr(task, "get_context", None)  # from Python 3.12 on
    if get_context is None:
        loop.default_exception_handler(context)
    else:
        get_context().copy().run(loop.default_exception_handler, context)


class _ByRoot(logging.Filter):
    """Has the lines of a server written as all others, whatever handlers it gives its loggers."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Hand the record to the root logger, and to none between."""
        logging.getLogger().handle(record)
        return False


class _ByService(logging.Filter):
    """Leaves out what is below the level of the service whose line it is."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is written; of no service's from INFO on."""
        hosted = HOSTED.get()
        level = logging.INFO if hosted is None else hosted.find_level(record.name)
        return record.levelno >= level


class AccessLog(Observer):
    """Logs each request when it was answered, or when its client has left."""

    def __init__(self) -> None:
        self._logger = logging.getLogger(ACCESS)
        self._refused = CountedWarnings(self._logger, logging.INFO)

    def end_requests(self, requests: Sequence[ObservedRequest]) -> None:
        """Log each; probes of a service that is well only at the level DEBUG."""
        hosted = HOSTED.get()
        least = logging.DEBUG if hosted is None else hosted.find_level(ACCESS)
        if least > logging.DEBUG or not self._logger.isEnabledFor(logging.DEBUG):
            if least > logging.INFO or not self._logger.isEnabledFor(logging.INFO):
                return
            requests = [each for each in requests if not _is_probe(each)]
        if not self._is_heard_elsewhere():
            for handler in logging.root.handlers:
                cast("LineHandler", handler).tell(requests)
            return
        for request in requests:
            level = logging.DEBUG if _is_probe(request) else logging.INFO
            known = {"name": ACCESS, "levelno": level, "levelname": logging.getLevelName(level)}
            said = {"msg": "%s %s", "args": (request.scope["method"], request.scope["path"])}
            token = REQUEST.set(request)
            self._logger.handle(logging.makeLogRecord({**known, **said, _ACCESS: request}))
            REQUEST.reset(token)

    def _is_heard_elsewhere(self) -> bool:
        """Whether others than our handlers want a record, which costs more than all of the line."""
        logger: logging.Logger | None = self._logger
        while logger is not None and logger is not logging.root:
            if logger.filters or logger.handlers or not logger.propagate:
                return True
            logger = logger.parent
        return any(
            not isinstance(handler, LineHandler)
            or handler.level
            or not all(isinstance(each, _ByService) for each in handler.filters)
            for handler in logging.root.handlers
        )

    def end_refused(self, status: int) -> None:
        """Log one of each minute: what comes so is often a flood."""
        words = f"A request was answered {status} before the application"
        self._refused.warn(status, words, {"status": status})

    def tell(self) -> None:
        """Log now how many were refused."""
        self._refused.tell()


def _is_probe(request: ObservedRequest) -> bool:
    """Whether it was a probe, of a service that is well."""
    return request.scope["path"] in PROBES and request.status == 200


class LineFormatter(ProcessorFormatter):
    """Writes a record of `logging` or `structlog` in one line, or with a traceback below it."""

    def __init__(
        self,
        service: str,
        *,
        is_json: bool,
        is_coloured: bool = False,
        is_shared: bool = False,
    ) -> None:
        write: Any = Console(is_coloured=is_coloured, is_shared=is_shared)
        if is_json:
            write = JSONRenderer(serializer=lambda line, **_: orjson.dumps(line).decode())
        super().__init__(
            processors=[self._gather, write],
            use_get_message=False,
            pass_foreign_args=True,
        )
        self._service = clean(service, 100)
        self.encode: Callable[[EventDict], bytes] = (
            partial(orjson.dumps, option=orjson.OPT_APPEND_NEWLINE)
            if is_json
            else lambda line: f"{write(None, '', line)}\n".encode(errors="backslashreplace")
        )
        """Returns a line as it is written, with its end."""
        self._write: Callable[[object, str, EventDict], str] = write
        self._second = 0
        self._stamp = ""

    def format(self, record: logging.LogRecord) -> str:
        """Return it without a line break at its end; of what was logged nothing raises here."""
        request = vars(record).get(_ACCESS)
        try:
            if request is None:
                return super().format(record)
            line = self.describe(request, self.write_time(record.created), record.process)
        except Exception as error:  # of what was logged
            name, kind = clean(record.name, 200), type(error).__name__
            line = self._begin(record, f"A line of {name} cannot be written: {kind}")
            if isinstance(record.exc_info, tuple) and record.exc_info[0] is not None:
                line["exception"] = write_exception(record.exc_info, line.get("request_id"))
        return self._write(None, "", line)

    def describe(self, request: ObservedRequest, stamp: str, process: int | None) -> EventDict:
        """Return what the access line of a request says, at this time."""
        scope, sent, hosted = request.scope, request.id.decode("latin1"), HOSTED.get()
        method, path, client = scope["method"], scope["path"], scope.get("client")
        event = f"{method} {path}"
        if not _is_plain(event):
            method, path = clean(method, 20), clean(path, MOST_OF_A_PATH)
            event = f"{method} {path}"
        address = client[0] if client else None
        if address is not None and not _is_plain(address):
            address = clean(address, 64)
        line: EventDict = {
            "timestamp": stamp,
            "level": "debug" if _is_probe(request) else "info",
            "logger": ACCESS,
            "event": event,
            "service": self._service if hosted is None else hosted.name,
            "pid": process,
            "request_id": clean(sent) if "://" in sent else sent,
            "route": request.rule,
            "method": method,
            "path": path,
            "status": request.status,
            "duration_ms": round(request.seconds * 1000, 3),
            "bytes_received": request.received,
            "bytes_sent": request.sent,
            "client": address,
        }
        if request.rule is None:
            del line["route"]
        if not request.is_whole or request.left:
            line["ended"] = request.ended
        if spans or request.trace_parent is not None:
            _note_trace(line, request)
        return line

    def write_time(self, seconds: float) -> str:
        """Return a time since 1970 as RFC 3339 has it, in UTC."""
        second = int(seconds)
        if second != self._second:
            self._second, self._stamp = second, strftime("%Y-%m-%dT%H:%M:%S.", gmtime(second))
        return f"{self._stamp}{int((seconds - second) * 1e6):06d}Z"

    def _begin(self, record: logging.LogRecord, event: str) -> EventDict:
        hosted = HOSTED.get()
        line: EventDict = {
            "timestamp": self.write_time(record.created),
            "level": record.levelname.lower(),
            "logger": clean(record.name, 200),
            "event": event,
            "service": self._service if hosted is None else hosted.name,
            "pid": record.process,
        }
        if (request := find_request()) is not None:
            sent = request.id.decode("latin1")
            line["request_id"] = clean(sent) if "://" in sent else sent
            if request.rule is not None:
                line["route"] = request.rule
        _note_trace(line, request)
        return line

    def _gather(self, _logger: object, _method: str, told: EventDict) -> EventDict:
        """Return what the line says, in its order, of values that JSON has."""
        record: logging.LogRecord = told.pop("_record")
        message = fill(to_text(told.pop("event", "")), told.pop("positional_args", None)).rstrip()
        info, stack = told.pop("exc_info", None), told.pop("stack_info", None)
        stack, exception = told.pop("stack", stack), told.pop("exception", None)
        if told.pop("_from_structlog"):
            fields = told
        else:
            fields = {key: value for key, value in vars(record).items() if key not in _INVISIBLE}
        line, left = self._begin(record, clean(message)), [MOST_FIELDS]
        for key, value in fields.items():
            name = clean(to_text(key), _MOST_OF_A_KEY)
            if name in _OURS:
                name += "_"
            line[name] = HIDDEN if is_secret(to_text(key)) else make_plain(value, left)
        if info is True:
            info = sys.exc_info()
        elif isinstance(info, BaseException):
            info = (type(info), info, info.__traceback__)
        if isinstance(info, tuple) and info[0] is not None:
            line["exception"] = write_exception(info, line.get("request_id"))
        elif exception is not None:
            line["exception"] = _in_lines(to_text(exception))
        if stack is not None:
            line["stack"] = _in_lines(to_text(stack))
        return line


def _note_trace(line: EventDict, request: ObservedRequest | None) -> None:
    if trace := find_trace(request):
        line["trace_id"], span = trace
        if span is not None:
            line["span_id"] = span


def fill(message: str, args: Any) -> str:
    """Return the message with its arguments, beside them where they do not fit."""
    if isinstance(args, tuple) and len(args) == 1 and isinstance(args[0], Mapping) and args[0]:
        args = args[0]  # as `logging` has it
    try:
        return message % args if args else message
    except Exception:  # of the arguments' own methods too
        return f"{message} {make_plain(args, [MOST_FIELDS])}"


def to_text(value: object) -> str:
    """Return its text, or that it has none."""
    try:
        return str(value)
    except Exception:  # of a value's own methods
        return f"<{type(value).__name__} without a text>"


def make_plain(  # noqa: C901, PLR0911 - one kind of value after another
    value: object, left: list[int], depth: int = 0
) -> Any:
    """Return a value as JSON has it, without secrets: of what JSON has not, its text.

    Args:
        left: how many values the line may have yet, which is counted down.
        depth: how many others it is inside of.
    """
    left[0] -= 1
    try:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return clean(str.__str__(value))
        if isinstance(value, int) and -(2**53) < value < 2**53:
            return int(value)
        if isinstance(value, float) and math.isfinite(value):
            return float(value)
        if left[0] <= 0 or depth >= _DEPTH:
            return "..."
        if isinstance(value, Mapping):
            return {
                clean(to_text(key), _MOST_OF_A_KEY): (
                    HIDDEN if is_secret(to_text(key)) else make_plain(each, left, depth + 1)
                )
                for key, each in islice(value.items(), max(0, left[0]))
            }
        if isinstance(value, list | tuple) and len(value) == 2:
            name = value[0]  # of a header
            if isinstance(name, str | bytes) and is_secret(str(name)):
                return [make_plain(name, left, depth + 1), HIDDEN]
        if isinstance(value, Sequence | Set) and not isinstance(value, bytes | bytearray | range):
            return [make_plain(each, left, depth + 1) for each in islice(value, max(0, left[0]))]
        is_scalar = type(value).__module__ in ("datetime", "uuid", "decimal")
        return clean(str(value) if is_scalar else repr(value))
    except Exception:  # likewise
        return f"<{clean(type(value).__name__, _MOST_OF_A_KEY)} without a text>"


def write_exception(info: Any, request_id: str | None = None) -> str:
    """Return the traceback, without the values of its variables; each message is one line.

    One that was written for this request, as of what is logged and raised again, is its message.
    """
    kind, error, where = info
    lines: list[str] = []
    was_written = False
    try:
        with suppress(Exception):  # of an exception's own methods
            was_written = request_id is not None and vars(error).get(_WRITTEN) == request_id
            setattr(error, _WRITTEN, request_id)
        if was_written:
            parts = traceback.format_exception_only(error)
        else:
            parts = traceback.format_exception(kind, error, where)
    except Exception:  # likewise
        parts = [*traceback.format_tb(where), f"{kind.__name__} without a text"]
    for part in parts:
        bare = part.strip("\n")
        is_frame = bare.lstrip(" |+-0123456789").startswith('File "')
        lines += [clean(each) for each in bare.split("\n")] if is_frame else [clean(bare)]
    return _shorten("\n".join(lines))


def _in_lines(text: str) -> str:
    return _shorten("\n".join(clean(line) for line in text.splitlines()))


def _shorten(text: str) -> str:
    if len(text) <= MOST_OF_AN_EXCEPTION:
        return text
    first, last = text[: MOST_OF_AN_EXCEPTION // 4], text[-3 * MOST_OF_AN_EXCEPTION // 4 :]
    return f"{first}\n... ({len(text)} characters)\n{last}"


class Console:
    """Writes a line for people: when, how grave, what, and then the rest as `name=value`."""

    def __init__(self, *, is_coloured: bool, is_shared: bool) -> None:
        self._is_coloured = is_coloured
        self._is_shared = is_shared

    def __call__(self, _logger: object, _method: str, line: EventDict) -> str:
        """Return the line, and a traceback below it, whose lines are indented."""
        service = line.pop("service")
        if parent_process() is None:
            del line["pid"]
        if line["event"] == f"{line.get('method')} {line.get('path')}":
            del line["method"], line["path"]  # which it says already
        level, stamp = line.pop("level"), line.pop("timestamp")
        event, logger = line.pop("event"), line.pop("logger")
        if "=" in event or " [" in event:  # which the rest of the line has
            event = orjson.dumps(event).decode()
        below = [line.pop(name) for name in ("stack", "exception") if name in line]
        words = [
            self._paint(_DIM, f"{stamp[:10]} {stamp[11:23]}"),
            self._paint(_COLOURS.get(level, _RED), level.upper().ljust(8)),
            *([self._paint(_DIM, service)] if self._is_shared else ()),
            self._paint(_BOLD, event),
            self._paint(_DIM, f"[{logger}]"),
            *(f"{self._paint(_DIM, _quoted(name) + '=')}{_quoted(line[name])}" for name in line),
        ]
        indented = [f"  {each}" for text in below for each in text.split("\n")]
        return "\n".join([" ".join(words), *indented])

    def _paint(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_PLAIN}" if self._is_coloured else text


def _quoted(value: object) -> str:
    """Return the value as one word, or between quotation marks."""
    if isinstance(value, str) and value and not set(value) & set(" ='\""):
        return value
    return orjson.dumps(value).decode()


class LineHandler(logging.Handler):
    """Writes each line whole and at once; those that cannot be written are lost, and counted."""

    def __init__(self, stream: IO[str] | None) -> None:
        super().__init__()
        # Without a buffer, and not by its number, which another file may have when it was closed.
        buffer: Any = getattr(stream, "buffer", None)
        self._raw: Any = getattr(buffer, "raw", buffer)
        self._poll: select.poll | None = None
        self._unwritten = b""
        """The rest of a line of which a part was written."""
        self._is_file, self._size = False, 0
        """Of a file: its size behind that part."""
        self._lost = 0
        self._began, self._patience = monotonic(), float(PATIENCE)
        """Since when, and how many milliseconds are left to wait."""
        with suppress(OSError, ValueError, AttributeError):
            mode = os.fstat(self._raw.fileno()).st_mode
            self._is_file = stat.S_ISREG(mode)
            if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):  # a terminal may be stopped, by its user
                self._poll = select.poll()
                self._poll.register(self._raw.fileno(), select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record; what cannot be written is lost."""
        with suppress(Exception):  # there is no stderr, it was closed, or the line has no text
            self._put(f"{self.format(record)}\n".encode(errors="backslashreplace"))

    def tell(self, requests: Iterable[ObservedRequest]) -> None:
        """Write access lines of which there are no records, as many at once as a pipe takes whole."""
        formatter, data, count = cast("LineFormatter", self.formatter), b"", 0
        stamp, process = formatter.write_time(time()), os.getpid()
        self.acquire()
        try:
            for request in requests:
                line = formatter.encode(formatter.describe(request, stamp, process))
                if len(data) + len(line) > _ATOMIC:
                    self._put(data, count)
                    data, count = b"", 0
                data, count = data + line, count + 1
            self._put(data, count)
        except Exception:  # as above
            return
        finally:
            self.release()

    def _put(self, data: bytes, count: int = 1) -> None:
        """Write a number of lines, or lose them."""
        if self._unwritten or self._lost:
            self.go_on()
        if self._unwritten or self._lost or not self._write(data):
            self._lost += count

    def go_on(self) -> None:
        """Write what was left of a line, and how many were lost, where there is room again."""
        if self._unwritten:
            if (size := self.find_size()) != self._size:
                # Others have written to it, or it was emptied: that line is lost too.
                self._unwritten, self._lost = b"\n" if size else b"", self._lost + 1
            self._unwritten = self._push(self._unwritten)
            self._size = self.find_size()
        if self._unwritten or not self._lost:
            return
        words = f"{self._lost} lines of the log were lost: they could not be written"
        told = logging.LogRecord(_log.name, logging.WARNING, "", 0, words, None, None)
        if self._write(f"{Context().run(self.format, told)}\n".encode()):  # of no request
            self._lost = 0

    def flush(self) -> None:
        """Write what is left, as at the end of the process."""
        with suppress(Exception):
            if self._unwritten or self._lost:
                self.go_on()

    def _write(self, data: bytes) -> bool:
        """Write the data, or a part, whose rest is kept; returns False where nothing was written."""
        rest = self._push(data)
        if len(rest) == len(data):
            return False
        if rest:
            self._unwritten, self._size = rest, self.find_size()
        return True

    def find_size(self) -> int:
        """Return the size of a file, of all else 0."""
        return os.fstat(self._raw.fileno()).st_size if self._is_file else 0

    def _push(self, data: bytes) -> bytes:
        """Write what is taken; return what is not."""
        raw = self._raw
        while data and (self._poll is None or self._poll.poll(0) or self.is_read_soon()):
            is_whole = self._poll is None or len(data) <= _ATOMIC or self.has_room(len(data))
            try:
                written = raw.write(data if is_whole else data[:_ATOMIC])
            except OSError:  # such as of a disk that is full, which may have taken a part before
                break
            if not written:
                break
            data = data[written:]
        return data

    def is_read_soon(self) -> bool:
        """Wait for what reads a pipe, as long as this period allows."""
        now = monotonic()
        if now - self._began >= PERIOD and not (self._unwritten or self._lost):
            self._began, self._patience = now, PATIENCE
        if self._poll is None or self._patience < 1:
            return False
        is_ready = bool(self._poll.poll(self._patience))
        self._patience -= (monotonic() - now) * 1000
        return is_ready

    def has_room(self, size: int) -> bool:
        """Whether a pipe takes a long line whole, so that no other process writes in its midst."""
        try:
            most = fcntl.fcntl(self._raw.fileno(), _F_GETPIPE_SZ)
            held = struct.unpack("i", fcntl.ioctl(self._raw.fileno(), termios.FIONREAD, b"\0" * 4))
        except OSError:
            return False
        return size <= (most - int(held[0])) // 2


class _Copy(LineHandler):
    """Writes the lines once more, for those who hold them to what is promised of each."""

    def __init__(self, folder: str, service: str) -> None:
        path = Path(folder, f"{os.getpid()}.log")
        self._file = path.open("a", encoding="utf-8")
        super().__init__(self._file)
        self.setFormatter(LineFormatter(service, is_json=True))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
