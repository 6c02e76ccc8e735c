"""What the tests need of the process that they run in, and of the machine."""

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from tests.audit import audited_lines, pytest_configure, pytest_sessionfinish
from tests.deadline import pytest_runtest_call, pytest_runtest_setup, pytest_runtest_teardown
from tests.shard import pytest_collection_modifyitems

__all__ = [
    "audited_lines",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_runtest_call",
    "pytest_runtest_setup",
    "pytest_runtest_teardown",
    "pytest_sessionfinish",
]

HEEDED = (signal.SIGINT, signal.SIGHUP)


def heed_signals() -> None:
    """Have the programs under test start without a signal that is ignored.

    A shell does that to what it runs in the background, nohup to SIGHUP; children inherit it.
    """
    for number in HEEDED:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


heed_signals()
# As in pyproject.toml, for every pytest that a test starts in a generated workspace.
os.environ["PYTEST_ADDOPTS"] = "-p no:schemathesis -p no:hypothesispytest"


def pytest_xdist_auto_num_workers() -> int:
    """Have half as many workers again as processors: tests wait for much of what they start."""
    return (os.cpu_count() or 1) * 3 // 2


@pytest.fixture(scope="session", autouse=True)
def cache_of_mypy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What mypy knows of libraries, once for all workspaces that this process makes: 11 s of each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYPY_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "mypy"))
        yield


@pytest.fixture
def deaf_socket() -> Iterator[socket.socket]:
    """A socket with a port of its own, which no other program gets, and where none listens yet."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound
