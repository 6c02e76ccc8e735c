"""The port of its own where Prometheus asks for the metrics, of one process or of all workers.

prometheus-client chooses where it keeps values when it is imported: workers find the folder of
their files in the environment, and the parent, which makes none, collects them.
"""

import fcntl
import logging
import os
import select
import shutil
import socket
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from platform import python_version
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    ProcessCollector,
    make_wsgi_app,
    values,
)
from prometheus_client.core import GaugeMetricFamily, Metric, Sample
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from quart_fleet import __version__
from quart_fleet.errors import ConfigurationError
from quart_fleet.files import parse_toml
from quart_fleet.logs import HOSTED, HostedService
from quart_fleet.server._listener import SCRAPES, listen
from quart_fleet.telemetry._metrics import Metrics
from quart_fleet.workspace import PROJECT_FILE, Workspace

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from quart_fleet.asgi._application import ServiceApplication

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which prometheus-client finds the folder of its files."""
TOGETHER = "METRICS_PORT"
"""The variable by which several services of one process tell their metrics at one port."""
_PREFIX = "quart-fleet-metrics-"
MOST_CLIENTS = 16
"""Connections that are answered at a time, each by a thread; one more ends the oldest."""
PATIENCE = 0.5
"""Seconds for which one more waits for the end of the oldest, before it is closed itself."""
SHARE, BURST, MOST_KEPT = 0.1, 10.0, 4
"""The share of the time that renderings may take, seconds of which are used at once, and how many
renderings are kept for those that ask when it is used up."""
TIMEOUT = 5.0
"""Seconds that a client may send nothing, or take nothing."""
RETRY = 1.0
"""Seconds between two looks at whether a port that another process has is free."""
TOLD_AFTER = 10.0
"""Seconds after which it is told that another process has the port: one that is taken over ends soon."""
_RESERVED = {"counter": 1 << 18, "histogram": 1 << 20, "gauge_livesum": 1 << 16}
"""Bytes that the files of a worker have from the start, by the kind of their values."""
_MOST_AROUND_A_KEY = 32
"""Bytes in a file that a value has besides its key."""

_log = logging.getLogger(__name__)


@contextmanager
def measuring(app: "ServiceApplication") -> Iterator[None]:
    """Measure what this process does during a block, and serve it, unless its parent does.

    Another server than `python app.py` may run several processes, of which one has the port at a
    time. A process that takes over from another one has it once that has ended.
    """
    folder = Path(os.environ.get(FOLDER, ""))
    listener = app.extensions.get(SCRAPES)
    is_worker = SCRAPES not in app.extensions and folder.name.startswith(_PREFIX)
    registry, address = CollectorRegistry(), (app.config["HOST"], app.config["METRICS_PORT"])
    hosted = HOSTED.get()
    if hosted is not None and TOGETHER in os.environ:
        with Metrics(app, registry).installed():
            registry.register(_Build(app))
            hosted.metrics = registry
            try:
                yield
            finally:
                hosted.metrics = None
        return
    if is_worker:
        try:
            _reserve(folder, f"{os.getpid()}.db")
        except OSError as error:
            _log.warning(
                "Nothing of process %d is measured, METRICS_PORT: %s has no room, 2 MB for each "
                "worker: %s. Set TMPDIR to a larger folder",
                *(os.getpid(), folder, os.strerror(error.errno or 0)),
            )
            yield
            return
        vars(values)["MmapedDict"] = _AllocatedDict  # which its metrics make files by
    elif SCRAPES not in app.extensions:
        try:
            listener = listen(*address, "METRICS_PORT")
        except ConfigurationError as error:
            reason = error.message.splitlines()[0].rstrip(".")
            _log.warning(
                "No metrics of process %d yet, METRICS_PORT: %s. Those of several processes are "
                "told together by `python app.py --workers`",
                *(os.getpid(), reason),
            )
    with Metrics(app, registry, is_worker=is_worker).installed():
        if is_worker:
            yield
            return
        registry.register(_Build(app))
        registry.register(_Others())
        with Endpoint(registry, address, listener, is_told=SCRAPES not in app.extensions):
            yield


@contextmanager
def telling_together(services: Sequence[HostedService]) -> Iterator[None]:
    """Serve during a block what the services of this process measure, at METRICS_PORT of all of them.

    Raises ConfigurationError.
    """
    port = os.environ[TOGETHER]
    if not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ConfigurationError(f"{TOGETHER}: write a number from 1 to 65535")
    registry = CollectorRegistry()
    registry.register(_Services(services))
    registry.register(_Others())
    address = os.environ.get("HOST") or "127.0.0.1", int(port)
    with Endpoint(registry, address, listen(*address, TOGETHER)):
        yield


@contextmanager
def collecting(
    app: "ServiceApplication", listener: socket.socket | None
) -> Iterator[Callable[[], None]]:
    """Serve during a block what the workers that are started in it measure.

    Gives what is to be called where some have ended. Raises ConfigurationError where there is no
    folder for their files, or no room in it for those of one.
    """
    place = os.environ.get("TMPDIR") or None
    try:
        folder, lock = _make_folder(place)
    except OSError as error:
        raise ConfigurationError(
            f"METRICS_PORT: no files of several workers can be kept in {place or 'a temporary folder'}: "
            f"{os.strerror(error.errno or 0)}.\nSet TMPDIR to a folder that can be written, such "
            "as a tmpfs."
        ) from error
    try:
        _reserve(folder, "trial")
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        raise ConfigurationError(
            f"METRICS_PORT: {folder.parent} has no room for the metrics, 2 MB for each worker: "
            f"{os.strerror(error.errno or 0)}.\nSet TMPDIR to a larger folder."
        ) from error
    for path in folder.iterdir():
        path.unlink()
    os.environ[FOLDER] = str(folder)
    files = WorkerFiles(folder)
    registry = CollectorRegistry()
    registry.register(_Build(app))
    registry.register(files)
    try:
        address = app.config["HOST"], app.config["METRICS_PORT"]
        with Endpoint(registry, address, listener):
            yield files.settle
    finally:
        del os.environ[FOLDER]
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _make_folder(place: str | None) -> tuple[Path, int]:
    """Make a folder, and remove those of parents that were killed: nothing holds their locks."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        lock = os.open(folder, os.O_RDONLY)
        with suppress(OSError):  # where there are no locks, nothing is removed either
            fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():  # else another one, which has just started, took it for one of those
            break
        os.close(lock)
    for each in folder.parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if each.lstat().st_uid == os.getuid() and each != folder:
                file = os.open(each, os.O_RDONLY | os.O_NOFOLLOW)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(each)
                finally:
                    os.close(file)
    return folder, lock


def _reserve(folder: Path, name: str) -> None:
    """Take the room of a process's files: where there is none, a later write would kill the process.

    Raises OSError, with nothing taken.
    """
    paths = [folder / f"{kind}_{name}" for kind in _RESERVED]
    try:
        for path, size in zip(paths, _RESERVED.values(), strict=True):
            with path.open("ab") as file:
                _allocate(file.fileno(), max(size, file.tell()))
    except OSError:
        for path in paths:
            path.unlink(missing_ok=True)
        raise


def _allocate(file: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)


class _AllocatedDict(MmapedDict):
    """prometheus-client's file of values, which takes its room before it grows into it."""

    def _init_value(self, key: str) -> None:
        """Begin a value; raises OSError where there is no room for it."""
        if self._used + len(key.encode()) + _MOST_AROUND_A_KEY > self._capacity:
            _allocate(self._f.fileno(), 2 * self._capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]


class _Build:
    """What runs here."""

    def __init__(self, app: "ServiceApplication") -> None:
        version = app.config["SERVICE_VERSION"]
        if version is None:
            with suppress(ConfigurationError):
                project = Workspace.find(Path(app.root_path)).root / PROJECT_FILE
                version = parse_toml(project).get("project", {}).get("version")
        self._labels = {
            "service": app.config["SERVICE_NAME"],
            "version": str(version or ""),
            "framework": __version__,
            "python": python_version(),
        }

    def collect(self) -> Iterable[Metric]:
        """Return it as labels of 1, as is usual."""
        family = GaugeMetricFamily("service_build_info", "What runs here.", labels=[*self._labels])
        family.add_metric([*self._labels.values()], 1)
        yield family


class _Others:
    """Metrics that the service makes itself, and prometheus-client's own of the process."""

    def collect(self) -> Iterable[Metric]:
        """Return all but those that are told already."""
        for family in REGISTRY.collect():
            if family.name != "python_gc_collections":
                yield family


class _Services:
    """The metrics of several services, each by the label that Prometheus has for what it asks."""

    def __init__(self, services: Sequence[HostedService]) -> None:
        self._services = services

    def collect(self) -> Iterable[Metric]:
        """Return those of the services that measure, and of each family all samples together."""
        families: dict[str, Metric] = {}
        for service in self._services:
            registry: CollectorRegistry | None = service.metrics
            for each in registry.collect() if registry is not None else ():
                own = Metric(each.name, each.documentation, each.type)
                family = families.setdefault(each.name, own)
                family.samples += [
                    sample._replace(labels={**sample.labels, "job": service.name})
                    for sample in each.samples
                ]
        return families.values()


class _Sums:
    """Families of samples that are added up by name and labels."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}
        self._values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}

    def add(self, families: Iterable[Metric]) -> None:
        """Add them. Cumulative buckets make sums that are cumulative too."""
        for family in families:
            self._families.setdefault(family.name, family)
            values = self._values.setdefault(family.name, {})
            for sample in family.samples:
                key = sample.name, tuple(sorted(sample.labels.items()))
                values[key] = values.get(key, 0.0) + sample.value

    def collect(self) -> Iterable[Metric]:
        """Return the sums."""
        for name, family in self._families.items():
            total = Metric(name, family.documentation, family.type)
            total.samples = [
                Sample(sample, dict(labels), value)
                for (sample, labels), value in self._values[name].items()
            ]
            yield total


class WorkerFiles:
    """The values of all workers: of those that run in their files, of those that ended in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._ended = _Sums()
        self._parent = ProcessCollector(registry=None)

    def settle(self) -> None:
        """Take in what workers counted that have ended, and remove their files."""
        with self._lock:
            self._settle()

    def collect(self) -> Iterable[Metric]:
        """Return the sums of all workers; what concerns the process is that of the parent too."""
        total = _Sums()
        with self._lock:
            self._settle()
            total.add(self._ended.collect())
            total.add(_merge(sorted(self._folder.glob("*.db"))))
        total.add(self._parent.collect())
        return total.collect()

    def _settle(self) -> None:
        for path in sorted(self._folder.glob("*.db")):
            kind, _, process = path.stem.rpartition("_")
            if not process.isdecimal() or _is_running(int(process)):
                continue
            if not kind.startswith("gauge"):  # of what is no more there is no size
                self._ended.add(_merge([path]))
            path.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _merge(paths: list[Path]) -> list[Metric]:
    """Return the values of files, without those that are half written.

    One that is being made has no length yet, and so has that of a worker that was killed then.
    """
    try:
        return [*MultiProcessCollector.merge([str(path) for path in paths])]  # type: ignore[no-untyped-call]
    except Exception:  # whatever its bytes are taken for
        if len(paths) > 1:
            return [family for path in paths for family in _merge([path])]
        return []


class Endpoint:
    """Serves a registry while it is entered, by threads.

    Args:
        registry: what is told.
        address: the host and the port.
        listener: of this address; without one it listens as soon as no other process does.
        is_told: whether it is told already that another process has the address.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        address: tuple[str, int],
        listener: socket.socket | None = None,
        *,
        is_told: bool = False,
    ) -> None:
        self._renderings = _Renderings(registry)
        self._address = address
        self._listener = listener
        self._is_told = is_told
        self._clients: deque[socket.socket] = deque()
        self._free = threading.BoundedSemaphore(MOST_CLIENTS)
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._run, name="metrics", daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # which wakes the thread
            self._listener.close()

    def _run(self) -> None:
        began = time.monotonic()
        while not self._ended.is_set():
            if self._listener is None:
                try:
                    self._listener = listen(*self._address, "METRICS_PORT")
                except ConfigurationError as error:
                    if not self._is_told and time.monotonic() - began >= TOLD_AFTER:
                        self._is_told = True
                        _log.warning(
                            "No metrics of process %d yet, METRICS_PORT: %s. Where services have "
                            "it in common, set another one in the .env of each",
                            *(os.getpid(), error.message.splitlines()[0].rstrip(".")),
                        )
                    self._ended.wait(RETRY)
                continue
            try:
                client, address = self._listener.accept()
            except OSError:  # closed, or there are too many open files
                self._ended.wait(0.1)
                continue
            if not self._free.acquire(blocking=False):
                with suppress(OSError, IndexError):
                    self._clients.popleft().shutdown(socket.SHUT_RDWR)
                if not self._free.acquire(timeout=PATIENCE):
                    client.close()
                    continue
            self._clients.append(client)
            thread = threading.Thread(target=self._answer, args=(client, address), daemon=True)
            try:
                thread.start()
            except RuntimeError:  # there are too many of them in the container
                self._end(client)
                self._ended.wait(0.1)

    def _answer(self, client: socket.socket, address: Any) -> None:
        try:
            with suppress(OSError):  # it has left, or was too slow
                _Scrape(client, address, self._renderings)
        finally:
            self._end(client)

    def _end(self, client: socket.socket) -> None:
        with suppress(ValueError):
            self._clients.remove(client)
        client.close()
        self._free.release()


class _Renderings:
    """Renders one after another, and hands out what it has where that would take too much time."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._write: WSGIApplication = make_wsgi_app(registry)
        self._lock = threading.Lock()
        self._spent_until = 0.0
        self._kept: dict[tuple[str, str], tuple[float, list[tuple[str, str]], bytes]] = {}

    def render(
        self, accept: str, coding: str, client: socket.socket
    ) -> tuple[list[tuple[str, str]], bytes] | None:
        """Return headers and body as the client accepts them; None where it has left meanwhile.

        Raises whatever a collector does.
        """
        poll = select.poll()
        poll.register(client, select.POLLIN)
        with self._lock:
            if poll.poll(0) and not client.recv(1, socket.MSG_PEEK):
                return None
            begun = monotonic()
            self._kept = {key: kept for key, kept in self._kept.items() if begun < kept[0]}
            is_spent = self._spent_until > begun + BURST
            if is_spent and (accept, coding) in self._kept:
                return self._kept[accept, coding][1:]
            environ: dict[str, Any] = {
                "REQUEST_METHOD": "GET",
                "PATH_INFO": "/metrics",
                "HTTP_ACCEPT": accept,
                "HTTP_ACCEPT_ENCODING": coding,
            }
            headers: list[tuple[str, str]] = []

            def start(_status: str, given: list[tuple[str, str]], *_: Any) -> Any:
                headers.extend(given)

            try:
                try:
                    body = b"".join(self._write(environ, start))
                except TypeError:  # of a version in `Accept` that is none
                    body = b"".join(self._write(environ | {"HTTP_ACCEPT": ""}, start))
            finally:
                pause = (monotonic() - begun) / SHARE
                spent = min(max(self._spent_until, begun), begun + BURST)
                self._spent_until = spent + pause
            if self._spent_until > begun + BURST and len(self._kept) < MOST_KEPT:
                self._kept[accept, coding] = begun + pause, headers, body
            return headers, body


class _Scrape(BaseHTTPRequestHandler):
    """One request, answered as prometheus-client does it; the connection ends with it."""

    timeout = TIMEOUT
    server_version = sys_version = ""
    default_request_version = "HTTP/1.0"  # else what cannot be read is answered without a status

    def __init__(self, client: socket.socket, address: Any, renderings: _Renderings) -> None:
        self._renderings = renderings
        super().__init__(client, address, None)  # type: ignore[arg-type]  # is not asked for it

    def do_GET(self) -> None:
        """Answer the metrics, in the format that the client accepts."""
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404)
            return
        accept = " ".join(self.headers.get("Accept", "").split())
        coding = self.headers.get("Accept-Encoding", "")
        try:
            told = self._renderings.render(accept, coding, self.connection)
        except Exception:  # of a collector of the service's own
            _log.exception("The metrics could not be told")
            self._send(500, [], b"The metrics could not be told.\n")
        else:
            if told is not None:
                self._send(200, *told)

    do_HEAD = do_GET  # noqa: N815

    def send_error(self, code: int, *_: object) -> None:
        """Answer in a line; http.server knows of no method that it has no handler for."""
        if code == 501:
            self._send(405, [("Allow", "GET, HEAD")], b"Only GET and HEAD are answered.\n")
        elif code == 404:
            self._send(404, [], b"Only /metrics is here.\n")
        else:
            self._send(code, [], b"The request cannot be read.\n")

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers or [("Content-Type", "text/plain; charset=utf-8")]:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *_: Any) -> None:  # noqa: A002 - http.server's own name
        """Log nothing: there is one every few seconds."""
