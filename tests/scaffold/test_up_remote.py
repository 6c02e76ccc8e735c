"""What a fleet that is up answers by its socket: of whom, to whom, and for how long it is awaited."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scaffold.test_up import Fleet
from tests.scaffold.test_up_commands import Detached, detached

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """One of which a service has another name than its folder."""
    made = Fleet.make(tmp_path_factory.mktemp("up") / "fleet")
    settings = made.workspace.root / "services/user_service/settings.py"
    text = settings.read_text()
    assert '"user-service"' in text
    settings.write_text(text.replace('"user-service"', '"people"'))
    return made


@pytest.fixture(scope="module")
def running(fleet: Fleet) -> Iterator[Detached]:
    with detached(fleet.workspace) as (found, _):
        yield found


@contextmanager
def replaced(path: Path, text: str) -> Iterator[None]:
    """Have another text in a file during a block."""
    before = path.read_text()
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(before)


def test_a_service_is_judged_by_whichever_of_its_names_it_was_waited_for(
    fleet: Fleet, running: Detached
) -> None:
    services = {each["name"]: each for each in running.get_json("ps")["services"]}
    app = fleet.workspace.root / "services/user_service/app.py"
    with replaced(app, "this is no Python\n"):
        os.kill(services["people"]["pid"], signal.SIGKILL)
        for name in ("people", "user_service"):
            out, told = running.run("wait", name, "--timeout", "2", code=1)
            assert told.startswith("Error: people is "), out
        assert running.get_json("wait", "product_service")["waited"] == ["product-service"]
        told = running.run("up", "--detach", "user_service", code=1)[1]
        assert told.startswith("Error: people is ")
    assert sorted(running.get_json("wait")["waited"]) == ["people", "product-service"]
