"""The committed copies of what services answer: made with their code, by every command that changes it."""

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path, PurePosixPath

import pytest

from scaffold import applications
from scaffold.engine.documents import Documents, place_of_copy, place_of_digest
from scaffold.engine.plan import Plan
from scaffold.workspace import Service
from tests.scaffold.commands import ENVIRONMENT, done, picture, scaffold

USER = "services/user_service"
COPY = f"{USER}/openapi.json"
CONTROLLERS = f"{USER}/infrastructure/web/controllers.py"


def paths_of(copy: Path) -> set[str]:
    """Return the paths that a copy tells of."""
    return set(json.loads(copy.read_text())["paths"])


def summarise_anew(workspace: Path) -> None:
    """Edit a controller, as its owner does."""
    path = workspace / CONTROLLERS
    text = path.read_text()
    assert "async def get(record_id: int)" in text
    edited = text.replace("async def get(record_id: int)", "async def fetch(record_id: int)")
    path.write_text(edited)


@pytest.mark.slow
def test_a_copy_is_what_the_service_tells_and_follows_its_code(with_user_service: Path) -> None:
    fleet, copy = with_user_service, with_user_service / COPY
    before = picture(fleet)
    told = done(scaffold(fleet, "openapi", "user-service"))
    assert copy.read_text() == told

    completed = scaffold(fleet, "resource", "user-service", "invoice", "code:str(9)")

    done(completed)
    assert completed.stderr == ""
    assert "/api/v1/invoices" in paths_of(copy)
    assert copy.read_text() == done(scaffold(fleet, "openapi", "user-service"))
    done(scaffold(fleet, "remove", "user-service", "invoice", "--yes"))
    gone = [".scaffold/undo.json", ".scaffold/.gitignore"]
    assert {path: what for path, what in picture(fleet).items() if path not in gone} == {
        path: what for path, what in before.items() if path not in gone
    }


@pytest.mark.slow
def test_an_edited_controller_reaches_the_copy_by_apply_and_undo_takes_it_back(
    with_user_service: Path,
) -> None:
    fleet, copy = with_user_service, with_user_service / COPY
    summarise_anew(fleet)
    edited = picture(fleet)

    shown = done(scaffold(fleet, "apply", "--dry-run"))
    diff = done(scaffold(fleet, "apply", "--diff"))
    assert picture(fleet) == edited
    done(scaffold(fleet, "apply"))

    assert f"change     {COPY}\n" in shown
    assert '+        "operationId": "fetch_user",\n' in diff
    assert '"operationId": "fetch_user"' in copy.read_text()
    applied = picture(fleet)
    assert done(scaffold(fleet, "apply")) == "✓ Nothing to write.\n"
    assert picture(fleet) == applied
    done(scaffold(fleet, "undo"))
    assert picture(fleet)[COPY] == edited[COPY]


@pytest.mark.slow
@pytest.mark.parametrize("content", ["<<<<<<< HEAD\n{\n=======\n{}\n>>>>>>> main\n", "{}", None])
def test_a_copy_that_is_not_whole_is_made_anew(
    with_user_service: Path, content: str | None
) -> None:
    copy = with_user_service / COPY
    text = copy.read_text()
    if content is None:
        copy.unlink()
    else:
        copy.write_text(content)

    done(scaffold(with_user_service, "apply"))

    assert copy.read_text() == text


@pytest.mark.slow
def test_a_service_that_cannot_be_imported_keeps_its_copy_and_stops_no_command(
    with_user_service: Path,
) -> None:
    fleet = with_user_service
    before = (fleet / COPY).read_text()
    text = (fleet / CONTROLLERS).read_text()
    (fleet / CONTROLLERS).write_text(f"{text}\nraise RuntimeError('broken')\n")
    line = text.count("\n") + 2

    completed = scaffold(fleet, "product-service", "8082")
    again = scaffold(fleet, "apply")

    for each in (completed, again):
        done(each)
        assert each.stderr == (
            f"Warning: {USER}/app.py does not tell its OpenAPI document: RuntimeError: broken "
            f"({CONTROLLERS}:{line}).\nMend it until this works: DEBUG=True python {USER}/app.py "
            f"--openapi\n{COPY} stays as it is until then, and: python -m scaffold apply\n"
        )
    assert (fleet / COPY).read_text() == before
    assert "/api/v1/products" in paths_of(fleet / "services/product_service/openapi.json")
    (fleet / CONTROLLERS).write_text(text)
    assert done(scaffold(fleet, "apply")) == "✓ Nothing to write.\n"


def test_a_removed_service_takes_its_copy_with_it(with_user_service: Path) -> None:
    (with_user_service / COPY).write_text("{}")

    done(scaffold(with_user_service, "remove", "user-service", "--yes"))

    assert not (with_user_service / USER).exists()
    assert not (with_user_service / ".scaffold/generated/documents").exists()


@pytest.mark.slow
def test_nothing_is_asked_of_a_service_that_its_owner_has_to_decide_about(
    with_user_service: Path,
) -> None:
    fleet, copy = with_user_service, with_user_service / COPY
    before, settings = copy.read_text(), fleet / USER / "settings.py"
    ours = settings.read_text().replace("= 8081", "= 9999")
    settings.write_text(ours)
    description = (fleet / "fleet.toml").read_text().replace("8081", "8090")
    (fleet / "fleet.toml").write_text(f'{description}\n[user-service.invoice]\ncode = "str(9)"\n')

    completed = scaffold(fleet, "apply")

    assert completed.returncode == 1
    assert "settings.py: 1 conflict, marked in the file." in completed.stderr
    assert "does not tell" not in completed.stderr
    assert copy.read_text() == before
    settings.write_text(ours)
    done(scaffold(fleet, "apply"))
    assert "/api/v1/invoices" in paths_of(copy)


HELD = """import os, signal, subprocess, sys
held = os.open({held!r}, os.O_WRONLY)
subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], pass_fds=[held])
os.write(held, b"up")
signal.pause()
"""
"""An app.py that never ends, and a process that it started; both hold a named pipe."""


def asked(root: Path, *scripts: str) -> list[str]:
    """Return what services with these app.py tell, or why they do not."""
    services = []
    for at, script in enumerate(scripts):
        folder = root / f"services/service_{at}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "app.py").write_text(script)
        services.append(Service.read(folder))
    return [str(each) for each in applications.ask(services, "--openapi")]


def is_closed(reader: int) -> bool:
    """Return whether no process holds a pipe any more, or soon."""
    while select.select([reader], [], [], 20)[0]:
        if not os.read(reader, 9):
            return True
    return False


@pytest.mark.slow
def test_an_application_that_never_ends_is_ended_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = tmp_path / "held"
    os.mkfifo(held)
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    monkeypatch.setattr(applications, "DEADLINE", 2)

    late, told = asked(tmp_path, HELD.format(held=str(held)), "print('{}')")

    assert told == "{}\n"
    assert late.startswith(
        "services/service_0/app.py does not tell its OpenAPI document: it did not end in 2 s; "
        "only quart_fleet.server.serve(app, ...) may start its server.\n"
    )
    assert os.read(reader, 2) == b"up"
    assert is_closed(reader)
    os.close(reader)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_application_ends_with_the_command_that_asks_it(
    with_user_service: Path, tmp_path: Path, number: signal.Signals
) -> None:
    held = tmp_path / "held"
    os.mkfifo(held)
    (with_user_service / USER / "app.py").write_text(HELD.format(held=str(held)))
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    with subprocess.Popen(
        [sys.executable, "-m", "scaffold", "apply", "--dry-run"],
        cwd=with_user_service,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as command:
        assert select.select([reader], [], [], 60)[0]
        assert os.read(reader, 2) == b"up"

        command.send_signal(number)

        assert is_closed(reader)
    os.close(reader)


def test_what_an_application_made_until_its_end_is_removed(tmp_path: Path) -> None:
    script = (
        "import sys, tempfile\nsys.made = tempfile.TemporaryDirectory(dir={!r})\nprint('{{}}')\n"
    )
    folder = tmp_path / "made"
    folder.mkdir()

    assert asked(tmp_path, script.format(str(folder))) == ["{}\n"]

    assert list(folder.iterdir()) == []


def service(root: Path, script: str) -> Path:
    """Make a workspace of one service that its app.py is all of; returns the service's folder."""
    folder = root / "services/a_service"
    folder.mkdir(parents=True)
    (root / "pyproject.toml").write_text("")
    (folder / "app.py").write_text(script)
    return folder


def write(root: Path, plan: Plan | None = None) -> list[str]:
    """Make the copy of that service; returns why it cannot be."""
    with closing(applications.Asker("--openapi")) as asker:
        made, untold = Documents(plan or Plan(root)).write(["a_service"], asker)
    for path in (place_of_copy("a_service"), place_of_digest("a_service")):
        if path in made.writes:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(made.writes[path])
    return untold


def outdated(root: Path) -> list[str]:
    """Return the services whose copy is not of their code any more."""
    return Documents(Plan(root)).find_outdated(["a_service"])


@pytest.mark.slow
def test_what_is_saved_while_a_service_is_asked_is_not_taken_for_asked(tmp_path: Path) -> None:
    folder = service(
        tmp_path, "import os, pathlib\npathlib.Path(os.environ['SAVED']).touch()\nprint('{}')\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAVED", str(folder / "controllers.py"))
        assert write(tmp_path) == []

    assert outdated(tmp_path) == ["a_service"]
    assert write(tmp_path, Plan(tmp_path)) != []  # SAVED is not set
    (folder / "app.py").write_text("print('{}')")
    assert write(tmp_path) == []
    assert outdated(tmp_path) == []


def test_what_nobody_writes_by_hand_is_no_source_and_is_there(tmp_path: Path) -> None:
    made = [".venv/lib/m.py", "env/lib/m.py", "build/lib/m.py", "a.egg-info/m.py", ".tox/m.py"]
    folder = service(
        tmp_path,
        f"import pathlib\nfor one in {made}:\n"
        "    pathlib.Path(__file__).parent.joinpath(one).read_text()\nprint('{}')\n",
    )
    for path in (*made, "env/pyvenv.cfg"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    assert write(tmp_path) == []

    for path in made:
        (folder / path).write_text("more = 1\n")

    assert outdated(tmp_path) == []
    (folder / "domain/build").mkdir(parents=True)
    (folder / "domain/build/entity.py").touch()
    assert outdated(tmp_path) == ["a_service"]


@pytest.mark.slow
def test_a_linked_folder_is_a_part_of_a_service_and_nothing_is_written_in_it(
    tmp_path: Path,
) -> None:
    root, beside = tmp_path, tmp_path / "lib"
    beside.mkdir()
    (beside / "words.py").write_text("SAID = '{}'\n")
    folder = service(root, "from common.new import words\nprint(words.SAID)\n")
    (folder / "common").symlink_to("../../lib")
    (beside / "back").symlink_to(folder)
    (folder / "round").symlink_to("../..")
    new = PurePosixPath("services/a_service/common/new.py")

    assert write(root, Plan.decide(root, {new: b"from common import words\n"})) == []

    assert not (beside / "new.py").exists()
    (beside / "new.py").write_text("from common import words\n")
    assert write(root) == []
    assert outdated(root) == []
    (beside / "words.py").write_text("SAID = '[]'\n")
    assert outdated(root) == ["a_service"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "import sys\nprint('note', file=sys.stderr)\nprint('hello\\n{}')",
            "it printed hello, and not JSON alone.",
        ),
        ("import sys\nprint('hello')\nsys.exit('SECRET_KEY: set it.')", "SECRET_KEY: set it."),
        (
            "import sys\nfor at in range(400):\n    print('line', at, file=sys.stderr)",
            " ".join(f"line {at}" for at in range(390, 400)) + ".",
        ),
        ("print('x' * 900)", f"it printed {'x' * 189}…."),
        ("", "it printed nothing."),
        (
            "raise ValueError('no postgresql://me:sec/r@et@db:5432/a, but amqp://:secret@mq')",
            "ValueError: no postgresql://***@db:5432/a, but amqp://***@mq (services/service_0/app.py:1).",
        ),
    ],
    ids=["before", "exit", "log", "long", "nothing", "password"],
)
def test_the_reason_is_one_line_of_what_was_wrong_without_a_password(
    tmp_path: Path, script: str, reason: str
) -> None:
    what = "services/service_0/app.py does not tell its OpenAPI document"

    (told,) = asked(tmp_path, script)

    assert told.splitlines()[0] == f"{what}: {reason}"


@pytest.mark.slow
def test_doctor_tells_of_a_service_that_tells_routes_and_no_document(
    with_user_service: Path,
) -> None:
    app = with_user_service / USER / "app.py"
    text = app.read_text()
    app.write_text(f"import sys\n\nif '--openapi' in sys.argv:\n    sys.exit('No words.')\n{text}")

    told = scaffold(with_user_service, "doctor").stdout

    assert told.count("does not tell") == 1
    assert f"{USER}/app.py does not tell its OpenAPI document: No words." in told
    assert f"DEBUG=True python {USER}/app.py --openapi" in told
