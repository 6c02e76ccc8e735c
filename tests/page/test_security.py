"""What a web site that the user visits, a log and a slow reader cannot do to the page."""

import asyncio
import json
import os
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from scaffold.supervisor.page import sources
from scaffold.supervisor.page.broadcast import MOST_FOLLOWERS
from scaffold.supervisor.page.server import page_of
from tests.page.served import LiveProcess, made_fleet, served, service_at

OWN = ("/", "/_fleet/events", "/_fleet/logs", "/_fleet/assets/main.js", "/api/v1/users")


@pytest.mark.parametrize("path", OWN)
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.nip.io", ""]
)
async def test_a_name_that_was_made_to_lead_here_is_refused(
    tmp_path: Path, path: str, host: str
) -> None:
    async with served(tmp_path) as page:
        answer = await page.client.get(path, headers={"Host": host})

    assert answer.status_code == 403
    assert page.token not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_another_site_gets_nothing_and_changes_nothing(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    async with served(tmp_path) as page:
        heard = await page.client.get("/_fleet/events", headers=headers)
        found = await page.client.get("/_fleet/logs", headers=headers)
        migrated = await page.client.post(
            "/_fleet/migrate", headers=headers | {"X-Fleet-Token": page.token}
        )

    assert [each.status_code for each in (heard, found, migrated)] == [403, 403, 403]
    assert not [name for name in heard.headers if name.startswith("access-control")]


@pytest.mark.parametrize("origin", ["http://evil.example", "null", ""])
async def test_another_site_learns_nothing_of_services(
    tmp_path: Path, deaf_socket: socket.socket, origin: str
) -> None:
    paths = (
        "/api/v1/users",
        "/api/v1/other",
        "/_fleet/to/user-service/x",
        "/_fleet/to/other/x",
        "/_fleet/to/user-service",
    )
    async with served(tmp_path) as page:
        service = service_at(page.fleet, "user-service", deaf_socket)
        page.fleet.services["user-service"] = service
        (tmp_path / "openapi.json").write_text('{"paths": {"/api/v1/users": {}}}')
        service.state, service.reason = "failed", "password=ter2"
        headers = {"Origin": origin} if origin else {}
        answers = [await page.client.get(path, headers=headers) for path in paths]

    assert not [
        name
        for answer in answers
        for name in answer.headers
        if name.startswith("access-control") or "ter2" in answer.text
    ]
    assert {answer.status_code for answer in answers[2:]} == {403}


async def test_a_reason_is_told_without_secrets(tmp_path: Path) -> None:
    """As is one of what is asked for: there is no database manager here, as the reason says."""
    (tmp_path / "db_manager.py").write_text(
        "raise SystemExit('postgresql://app:ter2@db.example/app refuses: password=ter2')"
    )
    async with served(tmp_path) as page:
        asked = await page.client.get("/_fleet/migrations")
        applied = await page.client.post("/_fleet/migrate", headers={"X-Fleet-Token": page.token})

    assert [answer.status_code for answer in (asked, applied)] == [409, 409]
    for answer in (asked, applied):
        assert "refuses" in answer.text
        assert "ter2" not in answer.text


@pytest.mark.parametrize("request_id", ["a/b", "..", "a//b", "/", "~=:@+"])
async def test_a_request_of_any_id_is_told(tmp_path: Path, request_id: str) -> None:
    async with served(tmp_path) as page:
        process = LiveProcess(page.fleet.live / "7.sock", "user-service", 7)
        process.request(request_id)
        async with process.listening(), asyncio.timeout(30):
            found: list[Any] = []
            while not found:
                answer = await page.client.get("/_fleet/requests", params={"id": request_id})
                found = answer.json()
                await asyncio.sleep(0.05)

    assert [each["id"] for each in found] == [request_id]


@pytest.mark.slow
async def test_a_process_that_does_not_listen_yet_is_followed_later(
    tmp_path: Path, deaf_socket: socket.socket
) -> None:
    async with served(tmp_path) as page:
        page.fleet.services["user-service"] = service_at(page.fleet, "user-service", deaf_socket)
        process = LiveProcess(page.fleet.live / "7.sock", "user-service", 7)
        await page.events(4)  # by then it was tried
        async with process.listening(), asyncio.timeout(30):
            while not (await page.events(2))[0][1]["fleet"]["services"][0]["processes"]:
                pass


async def test_the_memory_of_a_process_that_services_share_is_none_of_theirs(
    tmp_path: Path, deaf_socket: socket.socket
) -> None:
    pids = {"a-service": 7, "b-service": 7, "c-service": 8}
    async with served(tmp_path) as page, AsyncExitStack() as stack:
        for name, pid in pids.items():
            page.fleet.services[name] = service_at(page.fleet, name, deaf_socket)
            process = LiveProcess(page.fleet.live / f"{name}.sock", name, pid)
            process.second(memory=pid * 1000)
            await stack.enter_async_context(process.listening())
        async with asyncio.timeout(30):
            told: list[dict[str, Any]] = []
            while not told or not all(each["seconds"] for each in told):
                told = (await page.events(1))[0][1]["fleet"]["services"]
                await asyncio.sleep(0.1)

    memory = {each["name"]: (each["memory"], each["shared_memory"]) for each in told}
    assert memory == {
        "a-service": (None, 7000),
        "b-service": (None, 7000),
        "c-service": (8000, None),
    }


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="asks as another user")
@pytest.mark.parametrize("host", ["127.0.0.1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize(("user", "answers"), [(0, True), (54321, False)])
async def test_another_user_of_the_machine_gets_nothing(
    tmp_path: Path, host: str, user: int, answers: bool
) -> None:
    asks = (
        "import socket, sys\n"
        "with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as client:\n"
        "    client.sendall(b'GET / HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n')\n"
        "    print(client.recv(100))\n"
    )
    async with served(tmp_path) as page:
        process = await asyncio.create_subprocess_exec(
            *("/usr/bin/env", "python3", "-c", asks, host, str(page.client.base_url.port)),
            user=user, cwd="/", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        told, error = await process.communicate()

    assert (b"200 OK" in told) is answers
    assert answers or b" 403 " in told, error


@pytest.mark.slow
async def test_the_database_is_asked_again_where_its_manager_did_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_PAUSE", 0.1)
    root = tmp_path / "workspace"
    async with served(root) as page:
        page.fleet.database.state = "ready"
        await page.events(3)  # while its folder is not there
        asked = await page.client.get("/_fleet/migrations")
        root.mkdir()
        (root / "db_manager.py").write_text("print('{\"size\": 7}', flush=True); input()")
        async with asyncio.timeout(30):
            told = None
            while not told:
                told = (await page.events(3))[0][1]["fleet"]["database"]["activity"]

    assert (asked.status_code, "does not start" in asked.text) == (409, True)
    assert told == {"size": 7}


async def test_the_page_of_another_fleet_is_not_woken(tmp_path: Path) -> None:
    with made_fleet(tmp_path) as fleet, socket.create_server(("127.0.0.1", 0)) as other:
        other.setblocking(False)
        port = other.getsockname()[1]
        async with page_of(fleet, port) as address:
            assert address
            assert not address.endswith(f":{port}/")
        with pytest.raises(BlockingIOError):
            other.accept()


@pytest.mark.parametrize("token", ["", "x", "ä"])
async def test_what_changes_something_wants_the_token(tmp_path: Path, token: str) -> None:
    async with served(tmp_path) as page:
        answers = [
            await page.client.post(path, headers={b"X-Fleet-Token": token.encode()})
            for path in ("/_fleet/migrate", "/_fleet/services/user-service/restart")
        ]

    assert [each.status_code for each in answers] == [403, 403]


async def test_the_page_is_framed_by_none_and_runs_no_script_but_its_own(tmp_path: Path) -> None:
    async with served(tmp_path) as page:
        answers = [await page.client.get(path) for path in OWN[:-1] if "events" not in path]

    for answer in answers:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_a_log_of_any_kind_is_told_within_bounds_and_without_passwords(
    tmp_path: Path,
) -> None:
    lines = [
        "<script>alert(1)</script>\u2028\u0000",
        "x" * 1_000_000,
        json.dumps({"event": "half \ud800", "level": "info", "password": "hunter2", "n": [1]}),
        json.dumps({"event": "x", **{f"field{number}": "y" * 50_000 for number in range(200)}}),
        "could not reach postgresql://app:hunter2@db.example/app",
    ]
    async with served(tmp_path) as page:
        for line in lines:
            page.fleet.journal.add_line("user-service", line)
        [(kind, hello)] = await page.events(1)
        found = (await page.client.get("/_fleet/logs")).json()

    told = hello["lines"]
    assert kind == "hello"
    assert told == found
    assert told[0]["message"] == lines[0]
    assert len(told[1]["message"]) < 5000
    assert (told[2]["message"], told[2]["fields"]["password"]) == ("half ?", "***")
    assert len(json.dumps(told[3])) < 1_000_000
    assert "hunter2" not in json.dumps(told)


@pytest.mark.parametrize(
    "line",
    [
        "could not reach postgresql://app:hun/ter2@db.example/app",
        "could not reach postgresql://app:hun@ter2@db.example/app",
        "refused: password=ter2",
        "Traceback\n  login(password='a\nter2')",
        "Authorization: Bearer ter2",
        "x" * 3990 + " postgresql://app:ter2@db.example/app",
        json.dumps({"event": "x", "pwd": "ter2"}),
        json.dumps({"event": "x", "credential": "ter2", "jwt": "ter2", "session_id": "ter2"}),
        json.dumps({"event": "x", "private_key": ["ter2"]}),
        json.dumps({"event": "x", "asked": {"password": ["ter2", {"a": "ter2"}]}}),
        json.dumps({"event": "x", "asked": [{"private key": {"a": "ter2"}}]}),
        json.dumps({"event": "x", "level": "password=ter2"}),
        json.dumps({"event": "x", "x" * 200 + "password": "ter2"}),
    ],
)
async def test_no_secret_is_told(tmp_path: Path, line: str) -> None:
    async with served(tmp_path) as page:
        page.fleet.journal.add_line("user-service", line)
        [(_, hello)] = await page.events(1)
        found = await page.client.get("/_fleet/logs")

    assert "ter2" not in json.dumps(hello)
    assert "ter2" not in found.text
    assert len(found.json()) == 1


@pytest.mark.parametrize(
    "level",
    ["\ud800", "x" * 1_000_000, "in\ud800fo" * 100],
    ids=["no text", "a long one", "both"],  # older versions of pytest put all of it into a variable
)
async def test_a_level_of_any_kind_is_told_within_bounds(tmp_path: Path, level: str) -> None:
    async with served(tmp_path) as page:
        page.fleet.journal.add_line("user-service", json.dumps({"event": "x", "level": level}))
        [(_, hello)] = await page.events(1)

    assert hello["lines"][0]["message"] == "x"
    assert len(hello["lines"][0]["level"]) < 200


async def test_a_page_hears_at_once_how_much_was_left_out(tmp_path: Path) -> None:
    async with served(tmp_path) as page:
        hearing = asyncio.create_task(page.events(4))
        await asyncio.sleep(0.5)
        for number in range(5000):
            page.fleet.journal.add_line("user-service", f"line {number}")
        events = await hearing

    [told] = [event for kind, event in events if kind == "lines"]
    assert told["lines"][-1]["message"] == "line 4999"
    assert len(told["lines"]) + told["omitted"] == 5000
    assert len(told["lines"]) <= 100


@pytest.mark.slow
async def test_a_page_that_reads_nothing_costs_nothing_and_does_not_hold_up_others(
    tmp_path: Path,
) -> None:
    async with served(tmp_path) as page:
        url = page.client.base_url
        _, writer = await asyncio.open_connection(url.host, url.port)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /_fleet/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for number in range(20_000):
            page.fleet.journal.add_line("user-service", f"{number} " + "x" * 500)
            if not number % 1000:
                await asyncio.sleep(0)
        events = await page.events(3)
        writer.close()

    assert events[0][0] == "hello"
    assert len(events) == 3


async def test_no_more_pages_are_told_than_the_bound(tmp_path: Path) -> None:
    async with served(tmp_path) as page:
        url = page.client.base_url
        opened = [await asyncio.open_connection(url.host, url.port) for _ in range(MOST_FOLLOWERS)]
        for _, writer in opened:
            writer.write(b"GET /_fleet/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        heads = [await reader.readuntil(b"\r\n\r\n") for reader, _ in opened]
        for reader, _ in opened:
            await reader.readuntil(b"event: hello")
        refused = await page.client.get("/_fleet/events")
        for _, writer in opened:
            writer.close()
        await asyncio.sleep(0.5)
        events = await page.events(1)

    assert {head.split()[1] for head in heads} == {b"200"}
    assert refused.status_code == 503
    assert events


async def test_logs_are_searched_by_words_service_level_and_request(tmp_path: Path) -> None:
    async with served(tmp_path) as page:
        journal = page.fleet.journal
        journal.add_line(
            "a-service", json.dumps({"event": "One", "level": "info", "request_id": "r1"})
        )
        journal.add_line(
            "b-service", json.dumps({"event": "Two", "level": "error", "request_id": "r1"})
        )
        journal.add_line("b-service", "three")

        async def search(**asked: str) -> list[str]:
            found = await page.client.get("/_fleet/logs", params=asked)
            return [each["message"] for each in found.json()]

        assert await search() == ["One", "Two", "three"]
        assert await search(q="REQUEST_ID=r1 tw") == ["Two"]
        assert await search(services="a-service") == ["One"]
        assert await search(level="warning") == ["Two"]
        assert await search(request="r1") == ["One", "Two"]
        assert await search(before="3") == ["One", "Two"]
