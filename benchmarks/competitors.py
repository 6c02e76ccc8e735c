"""The services that are compared, and how each is started."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import languages
from benchmarks.environment import PYTHON, ROOT
from benchmarks.languages import Build
from benchmarks.machine import Cores
from benchmarks.processes import Server, free_port, running
from benchmarks.workspace import Workspace


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
    build: Build | None = None
    """How it is made, where it is not written in Python."""

    @property
    def ours(self) -> bool:
        """Whether it is the generated service."""
        return self.peer is None and self.build is None

    def command(self, port: int) -> list[str | Path]:
        """Return how it is started on a port."""
        if self.build:
            return self.build.command
        if self.ours:
            return [PYTHON, "app.py", "--server", self.server]
        app = f"benchmarks.peers.{self.peer}:app"
        options = ["--port", str(port), "--no-access-log", "--log-level", "warning"]
        return [PYTHON, "-m", "uvicorn", app, *options]

    @contextmanager
    def running(
        self,
        workspace: Workspace,
        cores: frozenset[int] = frozenset(),
        prefix: Sequence[str] = (),
        options: Sequence[str] = (),
        **settings: str,
    ) -> Iterator[Server]:
        """Run it on these cores for the length of a block, perhaps below another program."""
        port = free_port()
        paths = workspace.imports if self.ours else (ROOT,)
        environment = workspace.environment(
            *paths, SERVICE_PORT=str(port), SERVICE_NAME="user-service", **settings
        )
        command = [*prefix, *self.command(port), *options]
        folder = workspace.service if self.ours else ROOT
        with running(command, port, folder, environment, cores) as server:
            yield server


OURS = Competitor("ours", "quart-fleet, uvicorn")
FASTAPI = Competitor("fastapi", "FastAPI, ORM, as documented", "fastapi_orm")
CAREFUL = Competitor("fastapi-careful", "FastAPI, ORM, careful", "fastapi_careful")
LITESTAR = Competitor("litestar", "Litestar, advanced-alchemy", "litestar_orm")
BY_HAND = Competitor("fastapi-asyncpg", "FastAPI, asyncpg by hand", "fastapi_asyncpg")
SHARING = Competitor("fastapi-shared", "FastAPI, our data access", "fastapi_shared")
LIMIT = Competitor("limit", "bare ASGI, asyncpg, orjson: the limit", "bare", bare=True)
ON_HYPERCORN = Competitor("ours-hypercorn", "quart-fleet, hypercorn", server="hypercorn")

FASTIFY = Competitor("fastify", "Node: Fastify, pg", build=languages.FASTIFY)
NEST = Competitor("nest", "Node: NestJS on Fastify, TypeORM", build=languages.NEST)
GO = Competitor("go", "Go: net/http, pgx", build=languages.GO)

PYTHON_ALONE = (FASTAPI, CAREFUL, LITESTAR, BY_HAND, SHARING, ON_HYPERCORN, OURS, LIMIT)
IN_OTHER_LANGUAGES = (FASTIFY, NEST, GO)


def available() -> tuple[Competitor, ...]:
    """Return all that can run here; says of each other one what it lacks."""
    found = list(PYTHON_ALONE)
    for competitor in IN_OTHER_LANGUAGES:
        assert competitor.build is not None
        missing = competitor.build.find_missing()
        if missing:
            print(f"left out: {competitor.title} ({missing})", file=sys.stderr)
        else:
            competitor.build.make()
            found.append(competitor)
    return tuple(found)


@contextmanager
def all_running(
    workspace: Workspace, cores: Cores, competitors: Iterable[Competitor]
) -> Iterator[dict[str, Server]]:
    """Run all of them side by side on the server's core; those that are not asked only sleep."""
    with ExitStack() as servers:
        yield {
            each.name: servers.enter_context(each.running(workspace, cores.server))
            for each in competitors
        }
