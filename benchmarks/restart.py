"""What clients lose when a server is told to stop while they ask: 32 of them, kept alive."""

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import report
from benchmarks.competitors import ON_HYPERCORN, OURS
from benchmarks.environment import PYTHON
from benchmarks.load import CONNECTIONS
from benchmarks.patches import SLOW, add_slow_route
from benchmarks.processes import TIMEOUT, Server, free_port, running
from benchmarks.scenarios import USERS, insertion
from benchmarks.wire import encode
from benchmarks.workspace import Workspace, execute, opened_workspace

ANSWERED, LOST, FAILED = "answered", "lost", "failed"
"""Lost: sent on an open connection and never answered. Failed: answered, but not with a 200.
A refused connection loses nothing: a balancer asks another worker."""


@dataclass(frozen=True, slots=True)
class Load:
    """What the clients ask."""

    title: str
    path: str
    before: float
    """Seconds from the first request to the signal."""


LOADS = (
    Load("saturated", f"{USERS}/7", 1.0),
    Load("1 s requests", f"{SLOW}/1000", 1.5),
    Load("9 s requests", f"{SLOW}/9000", 1.5),
)
SERVERS = ("uvicorn", "hypercorn", "granian")


def show(times: int) -> None:
    """Measure, print and keep."""
    found: dict[str, dict[str, list[dict[str, int]]]] = {}
    with opened_workspace() as workspace:
        add_slow_route(workspace)
        asyncio.run(execute(workspace.database_url, insertion(20)))
        for server in SERVERS:
            for load in LOADS:
                print(f"{server}: {load.title}", file=sys.stderr)
                outcomes = [_stop_under(load, server, workspace) for _ in range(times)]
                found.setdefault(server, {})[load.title] = outcomes
    rows = [
        [server, *(_summary(loads[each.title]) for each in LOADS)]
        for server, loads in found.items()
    ]
    print(report.table(["requests lost + failed", *(each.title for each in LOADS)], rows))
    report.save("restart", report.surroundings() | {"clients": CONNECTIONS, "found": found})


def _summary(outcomes: Sequence[dict[str, int]]) -> str:
    return " + ".join(
        f"{median(each.get(kind, 0) for each in outcomes):g}" for kind in (LOST, FAILED)
    )


def _stop_under(load: Load, server: str, workspace: Workspace) -> dict[str, int]:
    with _started(server, workspace) as running_server:
        outcomes = asyncio.run(_ask_until_stopped(load, running_server))
        return dict(outcomes)


@contextmanager
def _started(server: str, workspace: Workspace) -> Iterator[Server]:
    if server != "granian":
        competitor = OURS if server == "uvicorn" else ON_HYPERCORN
        with competitor.running(workspace) as started:
            yield started
        return
    port = free_port()
    app: tuple[str, ...] = (
        "user_service.app:app",
        "--interface",
        "asgi",
        "--loop",
        "uvloop",
        "--no-access-log",
    )
    limits = ("--workers-kill-timeout", "30")
    command: list[str | Path] = [PYTHON, "-m", "granian", *app, "--port", str(port), *limits]
    with running(command, port, workspace.root, workspace.environment()) as started:
        yield started


async def _ask_until_stopped(load: Load, server: Server) -> Counter[str]:
    """Return what became of the requests that were answered, or not, after the signal."""
    outcomes: Counter[str] = Counter()
    request = encode("GET", load.path)
    clients = [
        asyncio.create_task(_client(server.port, request, outcomes)) for _ in range(CONNECTIONS)
    ]
    await asyncio.sleep(load.before)
    outcomes.clear()
    server.process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(server.process.wait, TIMEOUT)
    await asyncio.gather(*clients)
    return outcomes


async def _client(port: int, request: bytes, outcomes: Counter[str]) -> None:
    """Ask again and again, on a new connection where one was ended, until none can be had."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        await _keep_asking(reader, writer, request, outcomes)
        writer.close()


async def _keep_asking(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    request: bytes,
    outcomes: Counter[str],
) -> None:
    """Ask on one connection for as long as it lives."""
    while True:
        if reader.at_eof():
            return  # it was ended before we asked: nothing is lost
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            outcomes[LOST] += 1
            return
        outcomes[ANSWERED if head[9:10] == b"2" else FAILED] += 1
        if b"connection: close" in head:
            return
