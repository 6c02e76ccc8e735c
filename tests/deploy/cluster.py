"""What a service sees of a cluster: connections through a balancer, and how its pod is ended."""

import asyncio
import signal
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_CHUNK = 65536


@dataclass(slots=True)
class Balancer:
    """Gives each connection to the next endpoint, as the network of a cluster does.

    A connection stays where it is when its endpoint is removed.
    """

    endpoints: list[int]
    """The ports of the pods that are ready."""
    port: int = 0
    open: Counter[int] = field(default_factory=Counter)
    """How many connections there are, by endpoint."""
    _carried: set[object] = field(default_factory=set)
    """What the event loop does not hold where the client has said its last word: it holds sockets
    that it reads from, and those hold their readers weakly."""

    async def remove(self, endpoint: int, lag: float) -> None:
        """Send nothing new to an endpoint, from so many seconds on."""
        await asyncio.sleep(lag)
        self.endpoints.remove(endpoint)

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to its end; one that is refused or reset ends at once."""
        endpoint = self.endpoints.pop(0)
        self.endpoints.append(endpoint)
        self.open[endpoint] += 1
        self._carried.add(task := asyncio.current_task())
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", endpoint)
            asking = asyncio.create_task(_carry(reader, far_writer))
            await _carry(far_reader, writer)
            asking.cancel()
            far_writer.close()
        self.open[endpoint] -= 1
        self._carried.discard(task)
        writer.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()


@asynccontextmanager
async def balancing(*endpoints: int) -> AsyncIterator[Balancer]:
    """Listen in front of these endpoints."""
    balancer = Balancer(list(endpoints))
    async with await asyncio.start_server(balancer.forward, "127.0.0.1") as server:
        balancer.port = server.sockets[0].getsockname()[1]
        yield balancer


@dataclass(frozen=True, slots=True)
class Hook:
    """A preStop: what a container's `sh -c` runs."""

    script: str
    wait: float
    """Seconds that its `sleep` takes here."""

    async def run(self, process: Process) -> None:
        """Run it as inside a container, where 1 is the process and -1 are all others."""
        others = " ".join(str(pid) for pid in _with_children(process.pid))
        script = _INSIDE.format(others=others, wait=self.wait) + self.script
        await (await asyncio.create_subprocess_exec("sh", "-c", script, stdin=DEVNULL)).wait()


_INSIDE = """
kill() {{ [ "$2 $3" = "1 -1" ] && command kill "$1" {others}; }}
sleep() {{ command sleep {wait}; }}
"""


def _with_children(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in _with_children(int(child)))]


@dataclass(frozen=True, slots=True)
class Pod:
    """A container that serves."""

    port: int
    process: Process

    async def end(self, hook: Hook, grace: float, balancer: Balancer, lag: float) -> int:
        """End as the kubelet ends pods; returns how many connections there are at SIGTERM.

        Args:
            hook: the command of preStop.
            grace: seconds for the hook and the process together; TimeoutError says they are over.
            balancer: what learns of the end.
            lag: how many seconds later it does.
        """
        news = asyncio.create_task(balancer.remove(self.port, lag))
        async with asyncio.timeout(grace):
            await hook.run(self.process)
            running = balancer.open[self.port]
            self.process.send_signal(signal.SIGTERM)
            await self.process.wait()
        await news
        return running
