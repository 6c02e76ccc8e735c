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


def test_an_option_of_a_second_start_is_followed_or_refused(
    fleet: Fleet, running: Detached
) -> None:
    for option in ("--together", "--isolated", "--no-reload", "--no-migrate", "--ready-timeout=9"):
        told = running.run("up", "--detach", option, code=1)[1]
        assert f"with another choice than {option.partition('=')[0]}. " in told
    told = running.run("up", "--detach", "--seed", "--together", "--no-reload", code=1)[1]
    assert "than --together, --no-reload. To end it first: python -m scaffold stop" in told
    assert "No service 'mails' is up." in running.run("up", "--seed", "mails", code=1)[1]
    assert fleet.get(fleet.users, "/users/username/ada") == 404

    running.run("up", "--detach", "--seed", "--ready-timeout=120")
    assert fleet.get(fleet.users, "/users/username/ada") == 200
    running.run("up", "--seed")

    seeds = fleet.workspace.root / "services/user_service/seeds.py"
    with replaced(seeds, f"{seeds.read_text()}\n1 / 0\n"):
        told = running.run("up", "--detach", "--seed", code=1)[1]
        assert told.startswith("Error: The rows cannot be stored: ")
        assert "ZeroDivisionError" in told
