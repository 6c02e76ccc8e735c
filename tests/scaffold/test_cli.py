"""The command line itself: quick to answer, and honest about its commands."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scaffold.cli import COMMANDS
from tests.scaffold.commands import ENVIRONMENT, REPOSITORY, done, refused, run, scaffold

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


@pytest.mark.parametrize(
    "command", [[], *([name] for name in COMMANDS), ["deploy", "k8s"]], ids=" ".join
)
def test_help_says_whole_lines(tmp_path: Path, command: list[str]) -> None:
    lines = done(scaffold(tmp_path, *command, "--help")).splitlines()

    assert [line for line in lines if line.endswith("...") and "Usage:" not in line] == []
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_ends_with_examples_that_it_takes(tmp_path: Path, name: str) -> None:
    text = done(scaffold(tmp_path, name, "--help"))

    assert len(COMMANDS[name].examples) > 0
    for example in COMMANDS[name].examples:
        assert f"  python -m scaffold {example}\n" in text.partition("For example:")[2]


@pytest.mark.parametrize("words", [["feild"], ["feild", "member-service", "member", "x:int"]])
def test_a_word_that_is_near_a_command_is_asked_about(tmp_path: Path, words: list[str]) -> None:
    message = refused(scaffold(tmp_path, *words), exit_code=2)

    assert "'feild' is no command, and no port follows it. Did you mean field?" in message


def test_help_groups_the_commands_in_one_column(tmp_path: Path) -> None:
    lines = done(scaffold(tmp_path, "--help")).splitlines()

    headings = list(dict.fromkeys(f"{command.heading}:" for command in COMMANDS.values()))
    assert [line for line in lines if line in headings] == headings
    listed = [line for line in lines if line[2:].split(" ")[0] in COMMANDS]
    assert {line.index(COMMANDS[line.split()[0]].help) for line in listed} == {
        2 + max(map(len, COMMANDS)) + 2
    }
    assert len(listed) == len(COMMANDS)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder of packages as an installer fills it from a wheel: without pyproject.toml."""
    site = tmp_path / "site-packages"
    for package in ("quart_fleet", "scaffold"):
        shutil.copytree(REPOSITORY / package, site / package)
    project = (REPOSITORY / "pyproject.toml").read_text()
    version = tomllib.loads(project)["project"]["version"]
    carried = project.replace(f'version = "{version}"', 'version = "9.8.7"', 1)
    (site / "scaffold/framework.toml").write_text(carried)
    return site


def test_the_version_is_that_of_the_installed_wheel(installed: Path) -> None:
    path = f"PYTHONPATH={installed}"

    version = run(installed.parent, "env", path, sys.executable, "-m", "scaffold", "--version")

    assert done(version) == "scaffold 9.8.7\n"


def test_in_a_clone_the_version_is_that_of_the_source(tmp_path: Path) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]

    assert done(scaffold(tmp_path, "--version")) == f"scaffold {project['version']}\n"


def test_a_broken_installation_is_named(installed: Path) -> None:
    (installed / "scaffold/framework.toml").unlink()
    path = f"PYTHONPATH={installed}"

    version = run(installed.parent, "env", path, sys.executable, "-m", "scaffold", "--version")

    assert "Install quart-fleet again" in refused(version)


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

    assert "jinja2 is not installed: make install" in message


@pytest.mark.parametrize(("port", "colour"), [("8081", b"\x1b[32m"), ("80", b"\x1b[31m")])
@pytest.mark.parametrize(("variables", "coloured"), [([], True), (["NO_COLOR=1"], False)])
@pytest.mark.slow
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


def test_ctrl_c_while_modules_are_imported_shows_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")

    ended = subprocess.run(
        [sys.executable, "-m", "scaffold", "ps"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")
