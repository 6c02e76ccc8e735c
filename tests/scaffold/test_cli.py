"""The command line itself: quick to answer, and honest about its commands."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from scaffold.commands import COMMANDS
from tests.scaffold.commands import ENVIRONMENT, done, refused, run, scaffold

SLOW = ("jinja2", "inflect", "rich", "importlib.metadata", "pydantic", "sqlalchemy")
PING = (sys.executable, "-m", "scaffold", "ping", "8081", "--bare")


def test_help_lists_every_command_and_imports_nothing_slow(tmp_path: Path) -> None:
    code = (
        "import sys; from scaffold.cli import main; main(['--help'], standalone_mode=False);"
        f"print([name for name in {SLOW} if name in sys.modules])"
    )

    *help_lines, imported = done(run(tmp_path, sys.executable, "-c", code)).splitlines()

    assert imported == "[]"
    assert all(f"  {name} " in "\n".join(help_lines) for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_registered_command_is_there(name: str) -> None:
    assert COMMANDS[name].load().name == name


def test_help_of_a_command_is_its_own(tmp_path: Path) -> None:
    assert "NAME PORT" in done(scaffold(tmp_path, "service", "--help"))
    assert "DIR" in done(scaffold(tmp_path, "init", "--help"))


def test_no_words_show_the_help_as_misuse(tmp_path: Path) -> None:
    completed = scaffold(tmp_path)

    assert completed.returncode == 2
    assert "NAME PORT" in completed.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["user-service"], "Missing argument 'PORT'.\nTry: python -m scaffold service --help"),
        (
            ["init", "x", "y"],
            "Got unexpected extra argument (y)\nTry: python -m scaffold init --help",
        ),
        (
            ["init", "8081"],
            "'init' is a command, so no service can have this name: try init-service.",
        ),
    ],
)
def test_misuse_is_said_in_two_lines_at_most(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    assert refused(scaffold(tmp_path, *arguments), exit_code=2) == f"Error: {message}\n"


def test_a_library_that_is_missing_is_named(workspace: Path) -> None:
    code = (
        "import sys; sys.modules['jinja2'] = None;"
        "from scaffold.cli import main; main(['ping', '8081', '--bare'])"
    )

    message = refused(run(workspace, sys.executable, "-c", code))

    assert "jinja2 is not installed: pip install -e '.[dev]'" in message


@pytest.mark.parametrize(("port", "colour"), [("8081", b"\x1b[32m"), ("80", b"\x1b[31m")])
@pytest.mark.parametrize(("variables", "coloured"), [([], True), (["NO_COLOR=1"], False)])
def test_colours_are_for_terminals_that_want_them(
    workspace: Path, variables: list[str], coloured: bool, port: str, colour: bytes
) -> None:
    command = [word.replace("8081", port) for word in PING]
    ours, theirs = pty.openpty()

    with subprocess.Popen(
        ["env", "-u", "NO_COLOR", *variables, *command],
        cwd=workspace,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        output = os.read(ours, 1000)
        process.wait()

    os.close(ours)
    assert (colour in output, b"\x1b" in output) == (coloured, coloured)
    redirected = run(workspace, *command)
    assert "\x1b" not in redirected.stdout + redirected.stderr
