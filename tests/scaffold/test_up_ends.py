"""A fleet that is ended again and again, in each way and at any moment: nothing is left of it."""

import os
import random
import signal
import socket
import time
from contextlib import closing

import pytest

from quart_fleet.postgres import EmbeddedPostgres
from scaffold.supervisor.place import Place
from tests.scaffold.test_up import TIMEOUT, Fleet
from tests.scaffold.test_up_commands import Detached

ENDS = int(os.environ.get("ENDS", "3"))
"""How often it is ended in each way: in the background, when it is ready, and at any moment."""
SEED = os.environ.get("SEED", "up")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return Fleet.make(tmp_path_factory.mktemp("ends") / "fleet")


@pytest.mark.slow
@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL],
    ids=lambda each: each.name,
)
def test_nothing_is_left_however_and_whenever_it_is_ended(
    fleet: Fleet, number: signal.Signals
) -> None:
    moments = random.Random(f"{SEED} {number}")
    found = [what for run in range(ENDS) for what in _end(fleet, number, run, moments)]
    assert found == []


def _end(fleet: Fleet, number: signal.Signals, run: int, moments: random.Random) -> list[str]:
    """End a fleet once; return what is left of it."""
    if run % 3 == 0:
        background = Detached.of(fleet.workspace)
        os.kill(background.get_json("up", "--detach")["pid"], number)
        processes = background.left()
    else:
        with fleet.up() as up:
            if run % 3 == 1:
                up.until("2 services ready in ")
            else:
                time.sleep(moments.uniform(0, 4))
            up.process.send_signal(number)
            up.process.wait(TIMEOUT)
            processes = up.left()
    place = Place.of(fleet.workspace.root)
    end = time.monotonic() + TIMEOUT
    while left := [*_find_left(fleet, place), *processes]:
        if time.monotonic() > end:
            return [f"{number.name} {run}: {each}" for each in left]
        time.sleep(0.1)
    return []


def _find_left(fleet: Fleet, place: Place) -> list[str]:
    """Return the folder, ports and server that are left."""
    left = [str(place.folder)] if place.folder.exists() else []
    for port in (fleet.users, fleet.products):
        with closing(socket.socket()) as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                left.append(f"port {port}")
    if EmbeddedPostgres(fleet.workspace.root / ".postgres").status().running:
        left.append("PostgreSQL")
    return left
