"""What one client may send and how long it may take, at the edges, under both servers."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from quart_fleet.database._engine import Database
from tests.chassis.test_logged_services import logged
from tests.contract.service import RunningService, running
from tests.contract.wire import TIMEOUT, Answer, exchange, spell

HEALTH, USERS = "/api/v1/health", "/api/v1/users"
HOST = "Host: localhost\r\n"
JSON = "Content-Type: application/json\r\n"
MOST_HEAD = 64 * 1024
MOST_HEADERS = 100
BODY = b'{"username":"half","email":"half@example.com"}'
CREATION = (
    f"POST {USERS} HTTP/1.1\r\n{HOST}{JSON}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY
)
WEBSOCKET = f"{HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["uvicorn", "hypercorn"])
async def service(
    workspace: Path,
    database_url: str,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> AsyncIterator[RunningService]:
    """Under each server, with deadlines that a test can wait for."""
    log = tmp_path_factory.mktemp("limits") / "log"
    settings = {"HEAD_TIMEOUT": "2", "KEEP_ALIVE_TIMEOUT": "30"}
    options = ("--server", str(request.param))
    async with running(workspace, database_url, log, settings, options) as service:
        yield service
    assert "Traceback" not in log.read_text(), log.read_text()


async def send(port: int, *parts: bytes, eof: bool = False) -> Answer:
    """Send the parts one by one, and read until the service closes the connection."""
    async with asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.01)
        if eof:
            writer.write_eof()
        answer = await reader.read()
        writer.close()
    return Answer.read(answer)


def head_of(size: int) -> bytes:
    """Return a request whose head has this many bytes."""
    head = f"GET {HEALTH} HTTP/1.1\r\n{HOST}Connection: close\r\n"
    line = "X-Much: "
    return f"{head}{line}{'a' * (size - len(head) - len(line) - 4)}\r\n\r\n".encode()


def is_refusal(answer: Answer, status: int) -> bool:
    """Whether it is the server's own, as all answers are, and says nothing of the server."""
    return (
        answer.status == status
        and answer.find("Content-Type") == "application/json"
        and answer.find("Content-Length") == str(len(answer.body))
        and answer.find("Connection") == "close"
        and answer.find("Server") is None
        and answer.body.startswith(b'{"message":"')
        and answer.body.endswith(b'","success":false}\n')
    )


@pytest.mark.parametrize(("size", "status"), [(MOST_HEAD, 200), (MOST_HEAD + 1, 431)])
async def test_a_head_has_64_kib_at_most(size: int, status: int, service: RunningService) -> None:
    head = head_of(size)

    at_once, in_parts = (
        await exchange(service.port, head),
        await send(
            service.port, *(head[start : start + 10_000] for start in range(0, size, 10_000))
        ),
    )

    assert (at_once.status, in_parts.status) == (status, status)
    assert status == 200 or (is_refusal(at_once, 431) and is_refusal(in_parts, 431))


@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 431)])
async def test_a_head_has_100_headers_at_most(
    more: int, status: int, service: RunningService
) -> None:
    lines = "".join(f"X-{number}: 1\r\n" for number in range(MOST_HEADERS - 2 + more))

    answer = await send(
        service.port, f"GET {HEALTH} HTTP/1.1\r\n{HOST}Connection: close\r\n{lines}\r\n".encode()
    )

    assert answer.status == status
    assert status == 200 or is_refusal(answer, 431)


async def test_what_follows_a_chunked_body_has_a_limit_too(service: RunningService) -> None:
    head = f"POST {USERS} HTTP/1.1\r\n{HOST}{JSON}Transfer-Encoding: chunked\r\n\r\n".encode()

    many = await send(service.port, head, b"2\r\n{}\r\n0\r\n" + b"X-T: 1\r\n" * 40_000)
    long = await send(service.port, head, b"2\r\n{}\r\n0\r\nX-T: ", *[b"a" * 100_000] * 5)

    assert {many.status, long.status} <= {431, 400}


@pytest.mark.parametrize(("more", "status"), [(0, 400), (1, 431)])
async def test_a_chunked_body_has_100_fields_behind_it_at_most(
    more: int, status: int, service: RunningService
) -> None:
    head = f"POST {USERS} HTTP/1.1\r\n{HOST}{JSON}Transfer-Encoding: chunked\r\n\r\n".encode()

    answer = await send(
        service.port,
        head + b"2;a=b\r\n{}\r\n0\r\n" + b"X-T: 1\r\n" * (100 + more) + b"\r\n",
        eof=True,
    )

    assert answer.status == status
    assert (b"Request body is required" in answer.body) == (status == 400)


async def test_fields_behind_a_chunked_body_may_come_byte_by_byte(service: RunningService) -> None:
    head = spell(
        "POST", USERS, {"Transfer-Encoding": "chunked", "Content-Type": "application/json"}
    )
    rest = b"0\r\nX-A: 1\r\nX-B: 2\r\n\r\n"

    answer = await send(service.port, head + b"2\r\n{}\r\n", *(bytes([each]) for each in rest))

    assert answer.body == b'{"message":"Request body is required","success":false}\n'


@pytest.mark.slow
async def test_a_head_that_does_not_end_is_answered_408(service: RunningService) -> None:
    async with asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(b"GET / HTTP/1.1\r\n")
        reading = asyncio.ensure_future(reader.read())
        while not reading.done():
            writer.write(b"X")
            await asyncio.wait([reading], timeout=0.2)
        writer.close()

    assert is_refusal(Answer.read(reading.result()), 408)


@pytest.mark.parametrize(
    "sent",
    {
        "no Host": f"GET {HEALTH} HTTP/1.1\r\n\r\n",
        "two Hosts": f"GET {HEALTH} HTTP/1.1\r\n{HOST}{HOST}\r\n",
        **{
            f"the Host {host!r}": f"GET {HEALTH} HTTP/1.1\r\nHost: {host}\r\n\r\n"
            for host in (
                "a@b/<>, c:99999999",
                "a b",
                "a, b",
                "a/b",
                "a?b",
                "user@a",
                "http://a",
                "a:b",
                "a:1:2",
                "::1",
                "[::1",
                "[::1]a",
                "[g]",
                "%zz",
                "\xe9",
                'a"',
                "a\\b",
            )
        },
        "two lengths": f"POST {USERS} HTTP/1.1\r\n{HOST}{JSON}Content-Length: 2\r\n"
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "a folded line": f"GET {HEALTH} HTTP/1.1\r\n{HOST}X-A: 1\r\n 2\r\n\r\n",
        "line feeds alone": f"GET {HEALTH} HTTP/1.1\n{HOST}\n",
        "one line feed alone": f"GET {HEALTH} HTTP/1.1\r\n{HOST}X-A: 1\nX-B: 2\r\n\r\n",
        "no HTTP": "hello\r\n\r\n",
        "two Hosts in HTTP/1.0": f"GET {HEALTH} HTTP/1.0\r\n{HOST}{HOST}\r\n",
        "a NUL in a value": f"GET {HEALTH} HTTP/1.1\r\n{HOST}X-A: 1\x002\r\n\r\n",
        "a NUL in a name": f"GET {HEALTH} HTTP/1.1\r\n{HOST}X\x00: 1\r\n\r\n",
        "a NUL in the target": f"GET {HEALTH}\x00 HTTP/1.1\r\n{HOST}\r\n",
        "a carriage return alone": f"GET {HEALTH} HTTP/1.1\r\n{HOST}X-A: 1\r2\r\n\r\n",
        "a space before a colon": f"GET {HEALTH} HTTP/1.1\r\n{HOST}X-A : 1\r\n\r\n",
        "a line without a colon": f"GET {HEALTH} HTTP/1.1\r\n{HOST}X-A\r\n\r\n",
        "HTTP/1.2": f"GET {HEALTH} HTTP/1.2\r\n{HOST}\r\n",
        "HTTP/2.0": f"GET {HEALTH} HTTP/2.0\r\n{HOST}\r\n",
        "a method in small letters": f"get {HEALTH} HTTP/1.1\r\n{HOST}\r\n",
        **{
            f"the length {length}": f"POST {USERS} HTTP/1.1\r\n{HOST}{JSON}"
            f"Content-Length: {length}\r\n\r\n{{}}"
            for length in (
                "-1",
                "+2",
                "0x2",
                "2, 3",
                "2 2",
                "0_2",
                "",
                "9" * 30,
                "2\r\nContent-Length: 3",
            )
        },
        **{
            f"the chunk {size!r}": f"POST {USERS} HTTP/1.1\r\n{HOST}{JSON}"
            f"Transfer-Encoding: chunked\r\n\r\n{size}\r\n{{}}\r\n0\r\n\r\n"
            for size in (
                "0x2",
                "-2",
                "+2",
                " 2",
                "0_2",
                "g",
                "2 ",
                "2 ;a",
                "2;a\0",
                "f" * 18,
                "2;a\n",
                "2;a\rb",
                '2;a="\n"',
                "1",
                "3",
            )
        },
        **{
            f"the chunks {chunks!r}": f"POST {USERS} HTTP/1.1\r\n{HOST}{JSON}"
            f"Transfer-Encoding: chunked\r\n\r\n{chunks}"
            for chunks in (
                "2\n{}\r\n0\r\n\r\n",
                "2\r{}\r\n0\r\n\r\n",
                "2\r\n{}\n0\r\n\r\n",
                "2\r\n{}\r0\r\n\r\n",
                "2\r\n{}\r\n0\n\r\n",
                "2\r\n{}\r\n0\r\n\n",
                "2\r\n{}\r\n0\r\nX-A: 1\n\r\n",
                "2\r\n{}\r\n0\r\nX-A: 1\nX-B: 2\r\n\r\n",
                "2\r\n{}\r\n0\r\nX-A: 1\r\n\n",
                "2\r\n{}\r\n0\r\nX-A: 1\n\n",
                "2\r\n{}\r\n0\r\nX-A: 1\r2\r\n\r\n",
                "2\r\n{}\r\n0\r\nX-A: 1\r\r\n\r\n",
                "2\r\n{}\r\n0\r\nX-A: 1\r\n 2\r\n\r\n",
                "2\r\n{}\r\n0\r\n X-A: 1\r\n\r\n",
                "2\r\n{}\r\n0\r\nX-A : 1\r\n\r\n",
                "2\r\n{}\r\n0\r\nX-A\r\n\r\n",
                "2\r\n{}\r\n0\r\nX-A: 1\0\r\n\r\n",
                "2\r\n{}\r\n0;a\n\r\n",
            )
        },
    }.items(),
    ids=lambda pair: pair[0],
)
async def test_what_may_be_read_in_two_ways_is_refused(
    sent: tuple[str, str], service: RunningService
) -> None:
    answer = await send(service.port, sent[1].encode())

    assert is_refusal(answer, 400), answer


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost:8080",
        "user_service",
        "user-service.fleet.svc.cluster.local.",
        "127.0.0.1:80",
        "[::1]",
        "[::ffff:127.0.0.1]:8080",
        "xn--bcher-kva.example",
        "b%C3%BCcher.example:",
        "a.example:443 ",
    ],
)
async def test_a_host_is_a_name_or_an_address_and_a_port(
    host: str, service: RunningService
) -> None:
    head = f"GET {HEALTH} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"

    assert (await send(service.port, head.encode())).status == 200


async def test_requests_that_are_sent_together_are_answered_one_after_another(
    service: RunningService,
) -> None:
    kept = spell("GET", HEALTH).replace(b"Connection: close\r\n", b"")

    async with asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(kept * 3 + spell("GET", HEALTH))
        answers = await reader.read()
        writer.close()

    assert answers.count(b"HTTP/1.1 200 ") == 4


async def test_http_1_0_needs_no_host(service: RunningService) -> None:
    assert (await send(service.port, f"GET {HEALTH} HTTP/1.0\r\n\r\n".encode())).status == 200


UPGRADES = {
    "a WebSocket": f"{WEBSOCKET}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\n",
    "a WebSocket without a key": f"{WEBSOCKET}Sec-WebSocket-Version: 13\r\n",
    "another version of WebSocket": f"{WEBSOCKET}Sec-WebSocket-Version: 12\r\n",
    "HTTP/2": f"{HOST}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n",
    "another protocol": f"{HOST}Connection: Upgrade\r\nUpgrade: telnet, websocket\r\n",
    "what Connection does not name": f"{HOST}Upgrade: websocket\r\n",
}


@pytest.mark.parametrize("upgrade", UPGRADES.items(), ids=lambda pair: pair[0])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_an_upgrade_is_ignored_where_there_is_no_websocket(
    version: str, upgrade: tuple[str, str], service: RunningService, database: Database
) -> None:
    """Bodies are read and what comes behind them is answered, in however many packets."""
    head = f"POST {USERS} HTTP/{version}\r\n{JSON}{upgrade[1]}Content-Length: {len(BODY)}\r\n\r\n"
    sent = head.encode() + BODY + spell("GET", HEALTH)

    at_once = await send(service.port, sent)
    in_parts = await send(service.port, sent[: -len(BODY) - 90], sent[-len(BODY) - 90 :])

    assert at_once.status == 201
    assert in_parts.body.startswith(b'{"message":"Username already exists"')
    assert at_once.find("Upgrade") is None
    kept = b"HTTP/1.1 200 " in at_once.body, b"HTTP/1.1 200 " in in_parts.body
    assert kept == (version == "1.1", version == "1.1")


async def test_http_2_is_not_spoken(service: RunningService) -> None:
    known_before = await send(service.port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

    assert is_refusal(known_before, 400), known_before


@pytest.mark.parametrize(("version", "interim"), [("1.1", b"HTTP/1.1 100 "), ("1.0", b"")])
async def test_a_client_of_http_1_0_gets_no_interim_answer(
    version: str, interim: bytes, service: RunningService, database: Database
) -> None:
    """It would take it for the answer (RFC 9110, section 15.2)."""
    head = (
        f"POST {USERS} HTTP/{version}\r\n{HOST}{JSON}Connection: close\r\n"
        f"Expect: 100-continue\r\nContent-Length: {len(BODY)}\r\n\r\n"
    )

    async with asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(head.encode())
        if interim:
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(interim)
        else:
            await asyncio.sleep(0.5)  # a service that sends one sends it now
        writer.write(BODY)
        answer = await reader.read()
        writer.close()

    assert answer.split(b" ")[1] == b"201"


@pytest.mark.parametrize("connection", ["", "Connection: keep-alive\r\n"])
async def test_a_connection_of_http_1_0_ends_behind_its_answer(
    connection: str, service: RunningService
) -> None:
    """HTTP/1.0 means that without a word, which newer versions of uvicorn say all the same."""
    answer = await send(service.port, f"GET {HEALTH} HTTP/1.0\r\n{connection}\r\n".encode())

    assert answer.status == 200
    assert answer.find("Connection") in (None, "close")


@pytest.mark.parametrize("coding", ["gzip", "gzip, chunked", "identity", "chunked, chunked", ""])
async def test_another_coding_of_a_body_is_not_read(coding: str, service: RunningService) -> None:
    head = f"POST {USERS} HTTP/1.1\r\n{HOST}{JSON}Transfer-Encoding: {coding}\r\n\r\n"

    answer = await send(service.port, head.encode() + b"2\r\n{}\r\n0\r\n\r\n")

    assert is_refusal(answer, 501) or is_refusal(answer, 400), answer


@pytest.mark.parametrize("target", ["http://localhost", "https://elsewhere.example:8443"])
async def test_a_whole_url_stands_for_its_path(target: str, service: RunningService) -> None:
    assert (await exchange(service.port, spell("GET", target + HEALTH))).status == 200


@pytest.mark.parametrize(
    ("method", "target", "statuses"),
    [
        ("OPTIONS", "*", {404}),
        ("GET", "*", {404}),
        ("TRACE", HEALTH, {405}),
        ("CONNECT", HEALTH, {405}),
        ("CONNECT", "localhost:80", {400, 404}),
        ("GET", "?", {400, 404}),
    ],
)
async def test_what_is_no_path_of_ours_is_answered_and_not_followed(
    method: str, target: str, statuses: set[int], service: RunningService
) -> None:
    answer = await exchange(service.port, spell(method, target))

    assert answer.status in statuses
    assert answer.body.endswith(b'"success":false}\n')


async def test_an_empty_line_before_a_request_is_ignored(
    service: RunningService, database: Database
) -> None:
    """As older clients send behind a body (RFC 9112, section 2.2)."""
    answer = await send(service.port, CREATION, b"\r\n" + spell("GET", HEALTH))
    together = await send(service.port, CREATION + b"\r\n" + spell("GET", HEALTH))

    assert b"HTTP/1.1 200 " in answer.body
    assert b"HTTP/1.1 200 " in together.body


async def test_no_answer_names_the_server(service: RunningService) -> None:
    assert (await exchange(service.port, spell("GET", HEALTH))).find("Server") is None


async def test_clients_that_close_their_sending_side_get_their_answers(
    service: RunningService, database: Database
) -> None:
    answers = await asyncio.gather(*(send(service.port, CREATION, eof=True) for _ in range(8)))

    assert sorted(answer.status for answer in answers) == [201, *[400] * 7]


async def test_a_client_that_waits_with_its_sending_side_closed_is_asked_whether_it_does(
    service: RunningService, database: Database, database_url: str
) -> None:
    connection = await asyncpg.connect(database_url)
    async with connection.transaction():
        await connection.execute("LOCK TABLE users")
        asking = asyncio.ensure_future(send(service.port, CREATION, eof=True))
        await asyncio.sleep(1)
    interim = await asking
    await connection.close()

    assert interim.status == 100
    assert Answer.read(b"HTTP/1.1" + interim.body.partition(b"HTTP/1.1")[2]).status == 201


@pytest.mark.slow
@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
async def test_a_body_has_its_time_and_one_that_is_read_part_by_part_each_part(
    server: str, tmp_path: Path
) -> None:
    """`/say` awaits the whole of it, and `/count` its parts."""
    with logged(tmp_path / "log", "--server", server, BODY_TIMEOUT="2") as client:
        port = client.base_url.port
        assert port is not None
        statuses = {
            (path, kind): await dribble(port, path, count, pause)
            for path in ("/say", "/count")
            for kind, count, pause in [("soon", 3, 0.2), ("slow", 20, 0.2), ("pausing", 3, 60.0)]
        }

    assert statuses == {
        ("/say", "soon"): 200,
        ("/say", "slow"): 408,
        ("/say", "pausing"): 408,
        ("/count", "soon"): 200,
        ("/count", "slow"): 200,
        ("/count", "pausing"): 408,
    }


async def dribble(port: int, path: str, count: int, pause: float) -> int:
    """Send a body in so many parts, with pauses, until there is an answer; return its status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.ensure_future(reader.read())
    writer.write(spell("POST", f"/api/v1{path}", {"Content-Length": str(count)}))
    for _ in range(count):
        writer.write(b"x")
        await asyncio.wait([answer], timeout=pause)
        if answer.done():
            break
    status = Answer.read(await answer).status
    writer.close()
    return status
