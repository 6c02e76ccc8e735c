"""A clone of a workspace runs on what is tracked, and on what its service's README says."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.ports import reserve_port
from tests.workspace import GeneratedWorkspace, run

TIMEOUT = 60.0
"""Seconds that a test waits for a service."""
README = "services/user_service/README.md"
IDENTITY = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")


@pytest.fixture
def port() -> int:
    """The port that the service is generated with, and that the clone has to know."""
    return reserve_port()


@pytest.fixture
def clone(tmp_path: Path, port: int) -> GeneratedWorkspace:
    """A clone of a workspace that its owner committed."""
    original = GeneratedWorkspace.make(tmp_path / "original", f"user-service {port}")
    for words in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "-m", "Begin")):
        run(["git", *IDENTITY, *words], original.root, original.environment)
    cloned = GeneratedWorkspace(tmp_path / "clone")
    run(
        ["git", "clone", "--quiet", str(original.root), str(cloned.root)],
        tmp_path,
        dict(os.environ),
    )
    return cloned


def commands(workspace: GeneratedWorkspace) -> list[str]:
    """Return the commands of the README's first block, without their comments."""
    text = (workspace.root / README).read_text()
    block = re.findall(r"(?:^    .+\n)+", text, re.MULTILINE)[0]
    return [line.partition("#")[0].strip() for line in block.splitlines()]


@contextmanager
def running(workspace: GeneratedWorkspace, command: str, log: Path) -> Iterator[None]:
    """Run the service for a block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            cwd=workspace.root,
            env=workspace.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0, log.read_text()


def ask(port: int, path: str) -> object:
    """Return the data of an answer, once the service answers."""
    end = time.monotonic() + TIMEOUT
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{port}/api/v1{path}") as answer:
                return json.load(answer)["data"]
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.mark.slow
def test_a_clone_starts_as_the_readme_says(
    clone: GeneratedWorkspace, port: int, tmp_path: Path
) -> None:
    assert not list(clone.root.rglob(".env"))
    make_env, migrate, start, _test = commands(clone)
    run(["sh", "-ec", f"{make_env}\n{migrate}"], clone.root, clone.environment)

    log = tmp_path / "log"
    with running(clone, start, log):
        welcome, users = ask(port, "/"), ask(port, "/users")

    assert welcome == {"message": "Welcome to user-service"}
    assert users == []
    assert f"Using the embedded PostgreSQL in {clone.root / '.postgres'}" in log.read_text()
    status = run(["git", "status", "--porcelain"], clone.root, clone.environment)
    assert status == ""


@pytest.mark.slow
def test_a_clone_without_a_dotenv_names_the_command_that_makes_it(
    clone: GeneratedWorkspace,
) -> None:
    start = commands(clone)[2]

    ended = subprocess.run(
        ["sh", "-c", start],
        cwd=clone.root,
        env=clone.environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith(" for development: python -m scaffold env")
