"""Several processes on one port, which come and go together."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from quart import Quart

from quart_fleet.server import serve

from .service import RunningService, running
from .wire import TIMEOUT


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
@pytest.mark.slow
async def test_workers_end_where_their_parent_is_killed(
    server: str, workspace: Path, database_url: str, tmp_path: Path
) -> None:
    options = ("--server", server, "--workers", "2")
    async with running(workspace, database_url, tmp_path / "log", options=options) as service:
        os.kill(service.pid, signal.SIGKILL)

        async with asyncio.timeout(TIMEOUT):
            while await listens(service):  # noqa: ASYNC110  # no event tells of it
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("number", ["0", "129", "-1", "2.0", "two"])
def test_a_number_of_workers_that_cannot_be_is_refused_in_a_line(
    number: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["app.py", f"--workers={number}"])

    with pytest.raises(SystemExit) as refusal:
        serve(Quart("app"), "app:app")

    assert refusal.value.code == 2
    reason = f"argument --workers: '{number}' is not a whole number from 1 to 128"
    assert capsys.readouterr().err.splitlines()[-1] == f"app.py: error: {reason}"


async def listens(service: RunningService) -> bool:
    """Whether a process accepts connections on the service's port."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", service.port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True
