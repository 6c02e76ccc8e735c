"""The command line of the database manager: what it says of words that it does not know."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.db_manager.conftest import Run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["migrat"], "No such command 'migrat'."),
        (["--fast"], "No such option"),
    ],
)
def test_misuse_is_said_in_two_lines(run: Run, arguments: list[str], message: str) -> None:
    outcome = run(*arguments)

    first, second = outcome.err.splitlines()
    assert (outcome.code, outcome.out) == (2, "")
    assert first.startswith(f"Error: {message}")
    assert second == "Try: python -m db_manager --help"


def test_misuse_of_a_command_points_to_its_own_help(run: Run) -> None:
    outcome = run("migrate", "--wait", "long")

    assert (outcome.code, len(outcome.err.splitlines())) == (2, 2)
    assert outcome.err.endswith("\nTry: python -m db_manager migrate --help\n")


@pytest.mark.parametrize("revision", ["", "@", ":", "head:", "a:b:c"])
@pytest.mark.parametrize("command", [["migrate"], ["sql"], ["downgrade", "--yes"]], ids=" ".join)
def test_what_can_name_no_revision_is_misuse(run: Run, command: list[str], revision: str) -> None:
    outcome = run(*command, revision)

    first, second = outcome.err.splitlines()
    assert (outcome.code, outcome.out) == (2, "")
    assert first.endswith(f": {revision!r} names no revision.")
    assert second == f"Try: python -m db_manager {command[0]} --help"


def test_an_output_that_the_disk_does_not_hold_is_said_without_a_traceback() -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "db_manager", "history"]
        process = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)

    assert process.returncode == 1
    assert process.stderr == b"Error: The output is not whole: No space left on device\n"


def test_no_words_show_the_help_as_misuse(run: Run) -> None:
    outcome = run()

    assert outcome.code == 2
    assert "migrate" in outcome.err
