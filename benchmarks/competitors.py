"""Who is compared, and how each is started."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environment import PYTHON, ROOT
from benchmarks.machine import Cores
from benchmarks.processes import Server, free_port, running
from benchmarks.workspace import Stage


@dataclass(frozen=True, slots=True)
class Competitor:
    """One way to write and serve the users API."""

    name: str
    title: str
    peer: str | None = None
    """The module of a peer; None is the generated service."""
    server: str = "uvicorn"
    bare: bool = False
    """Validates nothing, so only asked what is right."""

    def command(self, port: int) -> list[str | Path]:
        """Return how it is started on a port."""
        if self.peer is None:
            return [PYTHON, "app.py", "--server", self.server]
        app = f"benchmarks.peers.{self.peer}:app"
        options = ["--port", str(port), "--no-access-log", "--log-level", "warning"]
        return [PYTHON, "-m", "uvicorn", app, *options]

    @contextmanager
    def running(
        self,
        stage: Stage,
        cores: frozenset[int] = frozenset(),
        prefix: Sequence[str] = (),
        options: Sequence[str] = (),
        **settings: str,
    ) -> Iterator[Server]:
        """Run it on these cores for the length of a block, perhaps below another program."""
        port = free_port()
        paths = stage.imports if self.peer is None else (ROOT,)
        environment = stage.environment(
            *paths, SERVICE_PORT=str(port), SERVICE_NAME="user-service", **settings
        )
        command = [*prefix, *self.command(port), *options]
        folder = stage.service if self.peer is None else ROOT
        with running(command, port, folder, environment, cores) as server:
            yield server


OURS = Competitor("ours", "ours, uvicorn")
FASTAPI = Competitor("fastapi", "FastAPI, SQLAlchemy ORM", "fastapi_orm")
LITESTAR = Competitor("litestar", "Litestar, advanced-alchemy", "litestar_orm")
BY_HAND = Competitor("fastapi-asyncpg", "FastAPI, asyncpg by hand", "fastapi_asyncpg")
SHARING = Competitor("fastapi-shared", "FastAPI, our data access", "fastapi_shared")
LIMIT = Competitor("limit", "bare ASGI, asyncpg, orjson: the limit", "bare", bare=True)
ON_HYPERCORN = Competitor("ours-hypercorn", "ours, hypercorn", server="hypercorn")

ALL = (FASTAPI, LITESTAR, BY_HAND, SHARING, ON_HYPERCORN, OURS, LIMIT)


@contextmanager
def all_running(
    stage: Stage, cores: Cores, competitors: Iterable[Competitor] = ALL
) -> Iterator[dict[str, Server]]:
    """Run all of them side by side on the server's core; who is not asked only sleeps."""
    with ExitStack() as servers:
        yield {
            each.name: servers.enter_context(each.running(stage, cores.server))
            for each in competitors
        }
