"""Holds the lines that services and tests log to what every line is promised to be."""

import json
import logging
import os
import re
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from quart_fleet.observation import find_request

COPIES = "QUART_FLEET_LOG_COPIES"
"""Where `quart_fleet.telemetry._logs` has every process write its lines once more."""
KEYS = {"timestamp": str, "level": str, "logger": str, "event": str, "service": str, "pid": int}
ACCESS = {"method": str, "path": str, "duration_ms": float, "bytes_received": int}
ACCESS |= {"bytes_sent": int, "request_id": str}
SECRETS = ("hunter2", "a secret of the tests", "change-me")
"""Of the tests: none of them is in any line."""
Answered = tuple[int, str]
"""The status of an answer, and its X-Request-ID."""
_PASSWORD = re.compile(r"://[^\s/:@\"']*:(?!\*\*\*@)[^\s/@\"']+@")
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_ASKED = re.compile(r"(?:DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT) /\S* failed")
_SECRET = re.compile(r"password|passwd|secret|token|authorization|cookie|api_?key", re.IGNORECASE)


def audit(text: str) -> dict[str, Any]:
    """Return what a line of JSON says; raises AssertionError where it is not as it should be."""
    line: dict[str, Any] = json.loads(text, object_pairs_hook=_without_repetition)
    assert isinstance(line, dict), text
    for key, kind in KEYS.items():
        assert isinstance(line.get(key), kind), (key, text)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["timestamp"]), text
    assert _UNSAFE.search(text) is None, text
    assert not any(secret in text for secret in SECRETS), text
    assert _PASSWORD.search(text) is None, text
    _audit_values(line)
    if line["logger"] == "quart_fleet.access" and "path" in line:
        for key, kind in ACCESS.items():
            assert isinstance(line.get(key), kind), (key, text)
    return line


def audit_log(path: Path, answers: Iterable[Answered] = ()) -> list[dict[str, Any]]:
    """Return the lines of a service that has ended, each of which is as it should be."""
    return audit_lines(path.read_text(), answers)


def audit_lines(text: str, answers: Iterable[Answered] = ()) -> list[dict[str, Any]]:
    """Return the lines of all that a service has written, each of which is as it should be.

    Args:
        answers: each has an access line, with the X-Request-ID that its client was given.
    """
    lines = [audit(line) for line in text.split("\n") if line]
    asked = defaultdict[str, list[str]](list)
    accesses = Counter[Answered]()
    for line in lines:
        if line["logger"] == "quart_fleet.access" and "path" in line:
            asked[line["request_id"]].append(f"{line['method']} {line['path']} failed")
            accesses[line["status"], line["request_id"]] += 1
    missing = Counter(answers) - accesses
    assert not missing, missing
    for line in lines:
        if found := _ASKED.match(line["event"]):
            assert line.get("request_id"), line
            assert not asked or found[0] in asked[line["request_id"]], line
    return lines


def without_requests(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a service but those of requests that were answered."""
    return [line for line in audit_log(path) if line["logger"] != "quart_fleet.access"]


def _audit_values(value: object, key: str = "") -> None:
    if isinstance(value, dict):
        for name, each in value.items():
            assert _UNSAFE.search(name) is None, name
            assert each == "***" or not _SECRET.search(name), name
            _audit_values(each, name)
    elif isinstance(value, list):
        for each in value:
            _audit_values(each, key)
    elif isinstance(value, str):
        lines = value.split("\n") if key in ("exception", "stack") else [value]
        assert not any(_UNSAFE.search(each) for each in lines), value


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs), pairs
    return found


class Auditor(logging.Handler):
    """Holds what is logged in this process to the same, as a service would write it."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self._formatter: logging.Formatter | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Note what is wrong, for the end of the test: what logs may catch all."""
        if self._formatter is None:
            from quart_fleet.telemetry._logs import LineFormatter  # noqa: PLC0415 - takes a while

            self._formatter = LineFormatter("tests", is_json=True)
        try:
            line = audit(self._formatter.format(record))
            request = find_request()
            assert request is None or line["request_id"] == request.id.decode(), line
        except Exception as error:
            self.wrong.append(repr(error))


AUDITOR = Auditor()


@pytest.fixture(autouse=True)
def audited_lines() -> Iterator[None]:
    """Fail the test during which a line was wrong; leave logging as it was found."""
    root = logging.getLogger()
    level, handlers = root.level, [*root.handlers]
    AUDITOR.wrong.clear()
    yield
    root.setLevel(level)  # which an application that was started here has set
    root.handlers[:] = handlers
    assert not AUDITOR.wrong, AUDITOR.wrong


logging.getLogger().addHandler(AUDITOR)


def pytest_configure(config: pytest.Config) -> None:
    """Have every process that logs as services do leave its lines, whichever test starts it."""
    if not hasattr(config, "workerinput"):  # pytest-xdist's workers have it of their controller
        os.environ[COPIES] = tempfile.mkdtemp(prefix="quart-fleet-log-")
        Path(os.environ[COPIES]).chmod(0o777)  # for services of other users


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run where a line of any process is not as it should be."""
    if hasattr(session.config, "workerinput"):
        return
    folder, wrong, count = Path(os.environ.pop(COPIES)), [], 0
    for path in folder.iterdir():
        # What was killed in the midst of a line has not ended it.
        for line in path.read_text(errors="surrogateescape").split("\n")[:-1]:
            count += 1
            try:
                audit_lines(line)
            except (AssertionError, ValueError) as error:
                wrong.append(repr(error))
    shutil.rmtree(folder, ignore_errors=True)
    print(
        f"\n{len(wrong)} of {count} lines that processes have logged are wrong",
        *wrong[:20],
        sep="\n",
    )
    if wrong:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
