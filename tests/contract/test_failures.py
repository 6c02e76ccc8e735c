"""What a client sees when it is not the client's fault: nothing of the cause, and not for long."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from quart_fleet.conventions import PREFIX
from quart_fleet.database._engine import Database
from quart_fleet.web._health import INTERVAL
from scaffold.api.row import JSON, Records, Row, error, success, to_bytes
from scaffold.api.table import BODY_REQUIRED, ENDPOINT_NOT_FOUND, GRACE, HEALTHY, READY

from .gate import Gate, opened
from .people import ALL_USERS
from .row import CONTRACT, find_deviation
from .service import RunningService, running
from .wire import TIMEOUT, Answer, exchange, spell

SERVER_ERRORS = {
    "False": to_bytes(error("Internal server error")),
    "True": b'{\n  "message": "Internal server error",\n  "success": false\n}\n',
}
"""By DEBUG, which changes the form and nothing else."""
UNAVAILABLE = to_bytes(error("Database unavailable"))
CLIENTS = 20
TERMINATION = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

NEEDS_DATABASE = {
    "list": ("GET", "/users", None),
    "active": ("GET", "/users/active", None),
    "get": ("GET", "/users/1", None),
    "username": ("GET", "/users/username/ada", None),
    "create": ("POST", "/users", GRACE),
    "update": ("PUT", "/users/1", b'{"age":1}'),
    "deactivate": ("POST", "/users/1/deactivate", None),
    "delete": ("DELETE", "/users/1", None),
}
NEEDS_NONE = {
    "health": Row("", "GET", "/health", 200, HEALTHY),
    "root": Row("", "GET", "/", 200, success({"message": "Welcome to user-service"})),
    "no such path": Row("", "GET", "/nowhere", 404, ENDPOINT_NOT_FOUND),
    "no body": Row("", "POST", "/users", 400, BODY_REQUIRED, b"{}", JSON),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gate(database_url: str) -> AsyncIterator[Gate]:
    async with opened(database_url) as gate:
        yield gate


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gated_service(
    workspace: Path, gate: Gate, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningService]:
    """A service that reaches its database through the gate."""
    log = tmp_path_factory.mktemp("gated") / "log"
    async with running(workspace, gate.url, log) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="session")
async def outage(gate: Gate, gated_service: RunningService) -> AsyncIterator[RunningService]:
    """The service while its database is away."""
    await gate.close()
    yield gated_service
    await gate.open()


@pytest.mark.slow
@pytest.mark.parametrize("debug", SERVER_ERRORS)
async def test_a_server_error_says_that_and_nothing_else(
    debug: str, workspace: Path, fresh_database_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with running(workspace, fresh_database_url, log, {"DEBUG": debug}) as service:
        for method, path, body in NEEDS_DATABASE.values():
            request = spell(method, PREFIX + path, JSON | {"Origin": "http://a"}, body)
            answer = await exchange(service.port, request)

            assert answer.status == 500
            assert answer.body == SERVER_ERRORS[debug]
            assert answer.find("Content-Type") == "application/json"
            assert answer.find("Access-Control-Allow-Origin") == "http://a"
            assert answer.find("Vary") == "Origin"

        await _get("/users/username/a%0aforged%1b[2J%e2%80%ae", service)
        health = await _get("/health", service)
        ready = await _get("/health/ready", service)
        assert (health.status, ready.status) == (200, 200)
        assert service.find_in_log('relation "users" does not exist')
        line = "GET /api/v1/users/username/a\\nforged\\x1b[2J\\u202e failed"
        assert service.find_in_log(line)
        assert not {"\x1b", "\u202e"} & {*log.read_text()}


@pytest.mark.parametrize("row", NEEDS_NONE.values(), ids=NEEDS_NONE.keys())
async def test_what_needs_no_database_is_answered_without_it(
    row: Row, outage: RunningService
) -> None:
    answer = await exchange(
        outage.port, spell(row.method, PREFIX + row.path, row.headers, row.body)
    )

    assert (answer.status, answer.body) == (row.status, to_bytes(row.document))


@pytest.mark.parametrize("kind", NEEDS_DATABASE)
async def test_without_its_database_a_service_is_unavailable(
    kind: str, outage: RunningService
) -> None:
    method, path, body = NEEDS_DATABASE[kind]
    request = spell(method, PREFIX + path, JSON | {"Origin": "http://a"}, body)

    answer = await exchange(outage.port, request)

    assert (answer.status, answer.body) == (503, UNAVAILABLE)
    assert answer.find("Content-Type") == "application/json"
    assert answer.find("Access-Control-Allow-Origin") == "http://a"


async def test_a_service_is_ready_while_its_database_is_there(
    gate: Gate, gated_service: RunningService
) -> None:
    before = await _ask_whether_ready(gated_service)
    await gate.close()
    meanwhile = await _ask_whether_ready(gated_service)
    await gate.open()
    after = await _ask_whether_ready(gated_service)

    for answer in (before, after):
        assert answer.status == 200
        assert answer.body == to_bytes(Records().fill(READY, json.loads(answer.body)))
    assert (meanwhile.status, meanwhile.body) == (503, UNAVAILABLE)
    assert meanwhile.find("Retry-After") == "1"


async def test_the_first_request_after_an_outage_works(
    gate: Gate, gated_service: RunningService, people: Database
) -> None:
    await _get_at_once("/users", gated_service)
    await gate.close()
    await _get_at_once("/users", gated_service)
    await gate.open()

    answers = await _get_at_once("/users", gated_service)

    assert {(answer.status, answer.body) for answer in answers} == {(200, ALL_USERS)}


@pytest.mark.parametrize("kind", NEEDS_DATABASE)
async def test_the_first_request_after_a_restart_works(
    kind: str, gate: Gate, gated_service: RunningService, people: Database
) -> None:
    method, path, body = NEEDS_DATABASE[kind]
    await _get_at_once("/users", gated_service)
    await _restart(people, gate)

    answer = await exchange(gated_service.port, spell(method, PREFIX + path, JSON, body))

    assert answer.status in (200, 201)


async def test_every_request_after_a_restart_works(
    gate: Gate, gated_service: RunningService, people: Database
) -> None:
    await _get_at_once("/users", gated_service)
    await _restart(people, gate)

    answers = await _get_at_once("/users", gated_service)

    assert {answer.status for answer in answers} == {200}


@pytest_asyncio.fixture(loop_scope="session")
async def standby(
    gate: Gate, gated_service: RunningService, people: Database
) -> AsyncIterator[RunningService]:
    """The service after a failover that has left its database to read from alone."""
    name = people.url.partition("?")[0].rpartition("/")[2] if people.url else ""
    setting = f'ALTER DATABASE "{name}" SET default_transaction_read_only'
    async with people.connect() as connection:
        await connection.execute(f"{setting} = on")
        gate.cut()
        yield gated_service
        await connection.execute(f"{setting} = off")


async def test_a_database_that_only_reads_is_read_and_not_written(
    standby: RunningService,
) -> None:
    seen = {}
    for kind, (method, path, body) in NEEDS_DATABASE.items():
        answer = await exchange(standby.port, spell(method, PREFIX + path, JSON, body))
        seen[kind] = answer.status
        assert answer.status == 200 or answer.body == UNAVAILABLE
    ready = await _ask_whether_ready(standby)

    reads = ("list", "active", "get", "username")
    assert seen == {kind: 200 if kind in reads else 503 for kind in NEEDS_DATABASE}
    assert (ready.status, ready.body) == (503, UNAVAILABLE)
    assert standby.find_in_log("Traceback") is None


async def test_the_first_write_after_the_primary_is_back_works(
    gate: Gate, gated_service: RunningService, people: Database
) -> None:
    ready = await _ask_whether_ready(gated_service)
    answer = await exchange(gated_service.port, spell("POST", f"{PREFIX}/users", JSON, GRACE))

    assert (ready.status, answer.status) == (200, 201)


async def test_the_contract_holds_through_the_gate(
    gated_service: RunningService, people: Database
) -> None:
    row = CONTRACT.table["GET /users"][0]

    assert await find_deviation(row, gated_service.port) is None


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
async def test_clients_that_hang_up_cost_nothing(
    method: str, gated_service: RunningService, people: Database
) -> None:
    """After all others that use this service, which may still work on abandoned requests."""
    path, body = ("/users", GRACE) if method == "POST" else ("/users/1", b'{"age":1}')
    request = spell(method, PREFIX + path, JSON, body)

    await asyncio.gather(*(_hang_up(gated_service.port, request) for _ in range(CLIENTS * 2)))

    answers = await _get_at_once("/users/2", gated_service)
    assert {answer.status for answer in answers} == {200}


async def _ask_whether_ready(service: RunningService) -> Answer:
    """Return an answer that is newer than what happened before."""
    await asyncio.sleep(INTERVAL)
    return await _get("/health/ready", service)


async def _get(path: str, service: RunningService) -> Answer:
    return await exchange(service.port, spell("GET", PREFIX + path))


async def _get_at_once(path: str, service: RunningService) -> list[Answer]:
    return await asyncio.gather(*(_get(path, service) for _ in range(CLIENTS)))


async def _restart(database: Database, gate: Gate) -> None:
    """End every connection to the database, as its server does when it stops."""
    async with asyncio.timeout(TIMEOUT), database.connect() as connection:
        await connection.execute(TERMINATION)
        while not gate.idle:  # noqa: ASYNC110 - polled for, as sockets close when they close
            await asyncio.sleep(0.01)


async def _hang_up(port: int, request: bytes) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    writer.transport.abort()
