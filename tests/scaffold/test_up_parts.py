"""Parts of a fleet that is up, each by itself: its output, its files, the time that it gives."""

import asyncio
import json
import os
import re
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import scaffold.supervisor.service as service_module
from scaffold.errors import ScaffoldError
from scaffold.supervisor.control import Answer, Asked, read_request
from scaffold.supervisor.fleet import Options
from scaffold.supervisor.journal import Changes, Journal
from scaffold.supervisor.ports import listen
from scaffold.supervisor.reaper import Reaper
from scaffold.supervisor.screen import Output, Screen
from scaffold.supervisor.service import Process, SupervisedService, Surroundings
from scaffold.supervisor.together import SharedProcess, SharingService
from scaffold.supervisor.watching import _Looks, look, watch
from scaffold.workspace import Service, Workspace, choose_services, find_shared_ports
from tests.page.served import made_fleet, service_at
from tests.ports import reserve_port


@contextmanager
def surroundings(folder: Path, reaper: Reaper) -> Iterator[tuple[SupervisedService, Surroundings]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        around = Surroundings(
            folder, reaper, asyncio.Event(), folder, {}, 10.0, Changes(),
            lambda _, line: line, lambda *_: None,
        )  # fmt: skip
        yield SupervisedService("one", folder, "127.0.0.1", 1, listener, around), around


def test_output_that_is_not_read_waits_for_nobody_and_says_what_is_left_out() -> None:
    out, written = os.pipe()
    with Output(written, written) as output:
        for number in range(40_000):
            output.write(f"line {number}", False)
    shown = left_out = 0
    with os.fdopen(out) as lines:
        while shown + left_out < 40_000:
            line = next(lines)
            if found := re.match(r"(\d+) lines are left out here", line):
                left_out += int(found[1])
            else:
                assert line == f"line {shown + left_out}\n"
                shown += 1
    os.close(written)
    assert shown >= 10_000
    assert left_out > 0


@pytest.mark.parametrize(
    ("command", "name", "hint"),
    [
        ("logs", "orders", "Did you mean order-service?"),
        ("restart", "order_servce", "Did you mean order-service?"),
        ("restart", "nope", "There are: order-service, people."),
        ("restart", "invoice-service", "There are: order-service, people."),
        ("restart", "oder-service", "Did you mean order-service?"),
        ("logs", "nope", "There are: order-service, people, fleet, database."),
    ],
)
async def test_a_name_that_no_service_has_is_answered_with_those_that_there_are(
    tmp_path: Path, command: str, name: str, hint: str
) -> None:
    told = list[Answer]()

    async def write(answer: Answer) -> None:
        told.append(answer)

    with made_fleet(tmp_path) as fleet, socket.create_server(("127.0.0.1", 0)) as listener:
        for package, called in (("order_service", "order-service"), ("user_service", "people")):
            service = service_at(fleet, called, listener)
            service.folder = tmp_path / package
            fleet.services[called] = service
        await Asked(fleet, {"command": command, "services": [name]}, write).answer()

    assert told == [{"error": f"No service {name!r} is up. {hint}", "unknown": name}]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"lines": 2}, ["8", "9"]),
        ({"lines": 0}, []),
        ({"lines": 20}, [*"0123456789"]),
        ({}, [*"0123456789"]),
        ({"since": 4e9}, []),
    ],
)
async def test_as_many_of_the_last_lines_are_told_as_are_wanted(
    tmp_path: Path, asked: Answer, expected: list[str]
) -> None:
    told = list[str]()

    async def write(answer: Answer) -> None:
        told.append(answer["message"])

    with made_fleet(tmp_path) as fleet:
        for number in range(10):
            fleet.journal.add_news("fleet", str(number))
        line = json.dumps({"command": "logs", **asked}).encode()
        await Asked(fleet, read_request(line), write).answer()

    assert told == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            '{"event": "Serving", "timestamp": "2026-11-30T09:00:00Z"}',
            r"one  14:30:00 Serving",
        ),
        ("no JSON", r"one  \d\d:\d\d:\d\d no JSON"),
    ],
)
def test_a_line_is_shown_with_its_time_in_that_of_the_machine(
    line: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = list[str]()
    monkeypatch.setenv("TZ", "IST-5:30")
    time.tzset()
    try:
        Screen(["one"], lambda line, _: shown.append(line)).show(Journal().add_line("one", line))
    finally:
        monkeypatch.undo()
        time.tzset()

    assert re.fullmatch(expected, shown[0])


def test_output_that_has_gone_is_no_trouble() -> None:
    out, written = os.pipe()
    os.close(out)
    with Output(-1, written) as output:
        output.write("one", False)
        output.write("two", True)
    os.close(written)


@pytest.mark.parametrize("room", range(8))
async def test_a_process_that_cannot_start_leaves_no_file_open(tmp_path: Path, room: int) -> None:
    def count() -> int:
        return len([*Path("/proc/self/fd").iterdir()])

    (tmp_path / "app.py").write_text("")
    with Reaper() as reaper, surroundings(tmp_path, reaper) as (service, around):
        limits, filled, before = resource.getrlimit(resource.RLIMIT_NOFILE), [], count()
        resource.setrlimit(resource.RLIMIT_NOFILE, (before + 20, limits[1]))
        try:
            while True:
                try:
                    filled.append(os.dup(0))
                except OSError:
                    break
            for _ in range(room):
                os.close(filled.pop())
            process = Process()
            try:
                await process.start(service)
            except OSError:
                await asyncio.sleep(0.01)  # asyncio closes a transport by and by
            else:
                await process.end(around)
                await asyncio.sleep(0.01)
        finally:
            for each in filled:
                os.close(each)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert count() == before


async def test_a_process_that_says_how_long_its_end_takes_is_given_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "DRAIN_TIMEOUT", 0.2)
    (tmp_path / "app.py").write_text(
        "import os, signal, socket, sys, time\n\n\n"
        "def tell(state):\n"
        "    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:\n"
        "        sender.sendto(state, os.environ['NOTIFY_SOCKET'])\n\n\n"
        "def end(*_):\n"
        "    tell(b'STOPPING=1\\nEXTEND_TIMEOUT_USEC=60000000')\n"
        "    time.sleep(0.6)\n"
        "    sys.exit(7)\n\n\n"
        "signal.signal(signal.SIGTERM, end)\ntell(b'READY=1')\nsignal.pause()\n"
    )
    with Reaper() as reaper, surroundings(tmp_path, reaper) as (service, around):
        process = Process()
        await process.start(service)
        await process.serves.wait()
        await process.end(around)
        assert process.explain(tmp_path) == "ended with exit code 7"


async def test_an_edit_of_the_same_size_in_the_same_second_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def edit(value: int) -> None:
        (folder / "code.py").write_text(f"VALUE = {value}\n")
        os.utime(folder / "code.py", ns=(0, 1_790_000_000_000_000_000 + value))

    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    listener = socket.create_server(("127.0.0.1", 0))
    folder = written_service(tmp_path, "one", listener.getsockname()[1])
    (folder / "app.py").write_text(
        "import os, signal, socket\nimport code\n\nprint(code.VALUE)\n"
        "with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:\n"
        "    sender.sendto(b'READY=1\\nX_CLOSED=1', os.environ['NOTIFY_SOCKET'])\nsignal.pause()\n"
    )
    edit(1)
    with made_fleet(tmp_path) as fleet, listener:
        service = service_at(fleet, "one", listener)
        service.folder = folder
        fleet.services["one"] = service
        running, looking = asyncio.create_task(service.run()), asyncio.create_task(watch(fleet))
        try:
            async with asyncio.timeout(60):
                for value in (2, 3):
                    await fleet.until(lambda: service.state == "ready")
                    await fleet.look(10)
                    old = service.serving
                    assert old is not None
                    edit(value)
                    await old.ended
        finally:
            fleet.stop()
            await asyncio.gather(running, looking)
        said = [entry.message for entry in fleet.journal.after(0) if entry.source == "service"]

    assert said == ["1", "2", "3"]


class Told(Process):
    """One that is told what becomes of it, and never started."""

    refusal = ""

    def refuse(self, reason: str) -> None:
        self.refusal = reason


@pytest.mark.parametrize(
    ("before", "after", "refusal"),
    [
        (None, "one", ""),
        (None, "", "one cannot start; two cannot start"),
        ("one two", "one", "two cannot start"),
        ("one", "one", ""),
        ("one", "two", "one cannot start"),
        ("one", "", "one cannot start; two cannot start"),
    ],
)
async def test_of_services_in_one_process_another_takes_over_where_none_is_lost(
    tmp_path: Path, before: str | None, after: str, refusal: str
) -> None:
    def tell(process: Told, served: str) -> None:
        failed = " ".join(sorted({"one", "two"} - {*served.split()}))
        shared.hear(process, {"X_STARTING": "", "X_SERVING": served, "X_FAILED": failed})

    with Reaper() as reaper, surroundings(tmp_path, reaper) as (service, around):
        shared, new = SharedProcess.of(around), Told()
        for name in ("one", "two"):
            service.name, service.folder = name, tmp_path / name
            shared.members.append(SharingService.of(service, shared))
        if before is not None:
            shared.serving = old = Told()
            tell(old, before)
        tell(new, after)
        shared.listener.close()

    assert new.refusal == refusal
    assert new.serves.is_set() == (not refusal)


@pytest.mark.parametrize(
    ("source", "explained"),
    [
        ("raise RuntimeError('one\\ntwo')", "app.py:1: RuntimeError: one"),
        ("raise RuntimeError('one\\n')", "app.py:1: RuntimeError: one"),
        ("assert 0, 'one\\n+ two'", "app.py:1: AssertionError: one"),
        ("e = OSError('one')\ne.add_note('two')\nraise e", "app.py:3: OSError: one"),
        (
            "raise ExceptionGroup('a', [OSError(1)])",
            "app.py:1: ExceptionGroup: a (1 sub-exception)",
        ),
        (
            "try:\n    raise OSError('one\\ntwo')\nexcept OSError as error:\n"
            "    raise ExceptionGroup('a', [error])",
            "app.py:2: OSError: one",
        ),
        (
            "try:\n    1 / 0\nexcept ArithmeticError as error:\n    raise KeyError(1) from error",
            "app.py:4: KeyError: 1",
        ),
        (
            "def f():\n    class Own(Exception):\n        pass\n    raise Own\n\n\nf()",
            "app.py:4: f.<locals>.Own",
        ),
        ("import json\njson.loads('{')", "app.py:2: json.decoder.JSONDecodeError: "),
        (
            "import atexit\natexit.register(print, 'bye: all')\n1 / 0",
            "app.py:3: ZeroDivisionError: ",
        ),
        (
            "class A:\n    def __del__(self):\n        1 / 0\n\n\na = A()\nraise OSError('one')",
            "app.py:7: OSError: one",
        ),
        ("x = (\n", "app.py:1: SyntaxError: '(' was never closed"),
        ("print('lost: all')\nraise SystemExit(1)", "lost: all"),
        (
            "import traceback\ntry:\n    1 / 0\nexcept ArithmeticError:\n    traceback.print_exc()\n"
            "raise SystemExit('Error: HOST: no such host')",
            "Error: HOST: no such host",
        ),
    ],
)
async def test_an_exception_is_told_by_its_first_line_and_its_place(
    tmp_path: Path, source: str, explained: str
) -> None:
    (tmp_path / "app.py").write_text(source)
    with Reaper() as reaper, surroundings(tmp_path, reaper) as (service, around):
        process = Process()
        await process.start(service)
        await process.ended
        told = process.explain(tmp_path)
        assert told.startswith(f"ended with exit code 1: {explained}")
        assert "two" not in told
        await process.end(around)


async def test_a_line_of_the_database_manager_that_is_too_long_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "db_manager.py").write_text(
        "print('a' * 100_000)\nprint('b' * 2_000_000)\nprint('c')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with made_fleet(tmp_path) as fleet:
        assert await fleet.database.migrate() == ""
        lines = [entry.message for entry in fleet.journal.after(0, ["database"])]

    assert fleet.database.state == "ready"
    assert (lines[0], lines[-1]) == ("a" * 100_000, "c")
    assert sum(map(len, lines)) < 2_000_000


@pytest.mark.parametrize(
    ("last", "explained"),
    [
        ('{"event": "Using the database", "level": "info"}', "was ended by SIGKILL"),
        ('{"event": "Slow", "level": "warning"}', "was ended by SIGKILL"),
        (
            '{"event": "No memory", "level": "error"}',
            "was ended by SIGKILL; its last line: error No memory",
        ),
        ("no memory", "was ended by SIGKILL; its last line: no memory"),
        ('{"not": "of the log"}', 'was ended by SIGKILL; its last line: {"not": "of the log"}'),
    ],
)
async def test_a_signal_explains_itself(tmp_path: Path, last: str, explained: str) -> None:
    (tmp_path / "app.py").write_text(
        f"import os\nprint({last!r}, flush=True)\nos.kill(os.getpid(), 9)\n"
    )
    journal, screen = Journal(), Screen(["one"], lambda *_: None)
    with Reaper() as reaper, socket.create_server(("127.0.0.1", 0)) as listener:
        around = Surroundings(
            tmp_path, reaper, asyncio.Event(), tmp_path, os.environ, 10.0, Changes(),
            lambda name, line: screen.show(journal.add_line(name, line)), lambda *_: None,
        )  # fmt: skip
        process = Process()
        await process.start(SupervisedService("one", tmp_path, "127.0.0.1", 1, listener, around))
        await process.ended
        assert process.explain(tmp_path) == explained
        await process.end(around)


def written_service(root: Path, package: str, port: object, name: str = "", env: str = "") -> Path:
    folder = root / "services" / package
    folder.mkdir(parents=True)
    for module in ("__init__.py", "app.py", "bootstrap.py"):
        (folder / module).touch()
    name = name or package.replace("_", "-")
    (folder / "settings.py").write_text(
        f'class Settings:\n    service_name: str = "{name}"\n    service_port: int = {port}\n'
    )
    if env:
        (folder / ".env").write_text(env)
    return folder


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ("", ("user-service", "127.0.0.1", 18081)),
        ("DEBUG=True\nSERVICE_PORT=19000\n", ("user-service", "127.0.0.1", 19000)),
        ("PORT=19000\n", ("user-service", "127.0.0.1", 19000)),
        ("SERVICE_PORT=\n", ("user-service", "127.0.0.1", 18081)),
        ("SERVICE_NAME=people\nHOST=0.0.0.0\n", ("people", "0.0.0.0", 18081)),
        ("NUMBER=19000\nexport SERVICE_PORT=${NUMBER}\n", ("user-service", "127.0.0.1", 19000)),
    ],
)
def test_a_service_is_where_its_own_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, env: str, expected: tuple[str, str, int]
) -> None:
    for name in ("SERVICE_NAME", "SERVICE_PORT", "PORT", "HOST"):  # of none alone
        monkeypatch.setenv(name, "20000")
    for name in (".env", ".env.example"):  # of which the former is made
        service = Service.read(written_service(tmp_path / name, "user_service", 18081))
        (service.folder / name).write_text(env)

        here = service.as_run()

        assert (here.called, here.host, here.port) == expected
        assert service.port == 18081


def test_ports_are_shared_where_services_run_with_one(tmp_path: Path) -> None:
    written_service(tmp_path, "order_service", 18081)
    written_service(
        tmp_path, "user_service", 18081, env="SERVICE_PORT=19000\nSERVICE_NAME=people\n"
    )
    workspace = Workspace(tmp_path)

    assert find_shared_ports(choose_services(workspace, ["people", "order-service"])) == []
    assert [each.called for each in choose_services(workspace, ["user-service"])] == ["people"]
    for name in ("order_service", "user_service"):
        (tmp_path / "services" / name / ".env").write_text("SERVICE_PORT=20000\n")
    [told] = find_shared_ports(choose_services(workspace, []))
    assert told.startswith(
        "services/user_service/.env:1: port 20000 is also that of 'order-service' "
        "(services/order_service/.env:1): give one of them another, such as "
    )


@pytest.mark.parametrize("port", ["0", "65536", "99999", "-1", "no", "9" * 5000])
async def test_what_is_no_port_is_refused_by_its_place(tmp_path: Path, port: str) -> None:
    committed = written_service(tmp_path, "order_service", port)
    own = written_service(tmp_path, "user_service", 18081, env=f"SERVICE_PORT={port}\n")
    with made_fleet(tmp_path) as fleet:
        for folder, place in ((committed, "settings.py:3"), (own, ".env:1")):
            with pytest.raises(ScaffoldError) as refused:
                fleet.add(Service.read(folder).as_run())
            assert str(refused.value).endswith(
                f"its port in services/{folder.name}/{place} is no number from 1 to 65535."
            )
        assert fleet.services == {}


async def test_a_name_that_another_folder_has_is_refused_with_both(tmp_path: Path) -> None:
    one = written_service(tmp_path, "user_service", reserve_port())
    other = written_service(tmp_path, "people_service", reserve_port(), "user-service")
    with made_fleet(tmp_path) as fleet:
        fleet.add(Service.read(one))
        with pytest.raises(ScaffoldError) as refused:
            fleet.add(Service.read(other))
        [service] = fleet.services.values()
        service.listener.close()

    assert str(refused.value) == (
        "services/people_service: the name 'user-service' is also that of services/user_service: "
        "give one of them another SERVICE_NAME."
    )
    assert service.folder == one
    assert not service.ending.is_set()


async def test_a_service_that_is_refused_is_taken_up_once_the_other_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = written_service(tmp_path, "user_service", reserve_port())
    other = written_service(tmp_path, "people_service", reserve_port(), "user-service")
    with made_fleet(tmp_path) as fleet:
        monkeypatch.setattr(fleet, "start", lambda _service: None)
        fleet.add(Service.read(one)).listener.close()
        looks = _Looks(fleet)
        for _ in range(2):
            await looks.take_up(set(), {one: look(one), other: look(other)})
            assert [each.folder for each in fleet.services.values()] == [one]
        assert [line.message.partition(":")[0] for line in fleet.journal.after(0)] == [
            "services/people_service"
        ]

        fleet.services.clear()
        await looks.take_up(set(), {other: look(other)})
        [service] = fleet.services.values()
        service.listener.close()

    assert service.folder == other


async def test_another_name_has_the_port_without_a_moment_in_which_it_is_closed(
    tmp_path: Path,
) -> None:
    folder = written_service(tmp_path, "user_service", reserve_port())
    with made_fleet(tmp_path) as fleet:
        before = fleet.add(Service.read(folder))
        now = fleet.add(replace(Service.read(folder), names=("people",)))
        with now.listener, before.listener:
            assert fleet.services == {"people": now}
            assert before.ending.is_set()
            assert now.listener.getsockname() == before.listener.getsockname()


async def test_a_service_that_comes_back_to_an_isolated_fleet_has_the_port_that_it_had(
    tmp_path: Path,
) -> None:
    orders = Service.read(written_service(tmp_path, "order_service", 18081))
    users = Service.read(written_service(tmp_path, "user_service", 18082))
    with made_fleet(tmp_path) as fleet:
        fleet.options = Options(isolated=True)
        calling, before = fleet.add(orders), fleet.add(users)

        def come_back() -> SupervisedService:
            del fleet.services["user-service"]
            before.listener.close()
            return fleet.add(users)

        with calling.listener:
            back = come_back()
            assert back.port == before.port
            assert not calling.changed.is_set()
            back.listener.close()
            with socket.create_server(("127.0.0.1", before.port)), come_back().listener as moved:
                assert moved.getsockname()[1] != before.port
                assert calling.changed.is_set()
                url = f"http://127.0.0.1:{moved.getsockname()[1]}"
                assert fleet.environment["USER_SERVICE_URL"] == url


@pytest.mark.parametrize(
    ("host", "reached"),
    [("::", ["::1", "127.0.0.1"]), ("::1", ["::1"]), ("localhost", ["127.0.0.1"])],
)
def test_a_host_is_reached_as_the_service_itself_listens(
    tmp_path: Path, host: str, reached: list[str]
) -> None:
    service = Service.read(written_service(tmp_path, "user_service", 18081))
    with listen(replace(service, host=host), 0) as listener:
        for address in reached:
            socket.create_connection((address, listener.getsockname()[1])).close()


@pytest.mark.parametrize("host", ["nosuch.invalid", "a" * 64])
def test_a_host_that_does_not_exist_is_refused(tmp_path: Path, host: str) -> None:
    service = Service.read(written_service(tmp_path, "user_service", 18081))
    with pytest.raises(ScaffoldError, match="user-service cannot listen on "):
        listen(replace(service, host=host), 0)
