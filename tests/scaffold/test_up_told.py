"""What `up` and `stop` tell, in the background as at a terminal, and that it is so by then."""

import socket

import pytest

from tests.scaffold.test_up import Fleet
from tests.scaffold.test_up_commands import Detached

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return Fleet.make(tmp_path_factory.mktemp("told") / "fleet")


def test_a_port_that_is_taken_is_told_in_the_background_as_at_a_terminal(fleet: Fleet) -> None:
    running = Detached.of(fleet.workspace)
    with socket.create_server(("127.0.0.1", fleet.users)):
        for _ in range(3):
            told = running.run("up", "--detach", code=1)[1]
            assert told.startswith(
                f"Error: user-service cannot listen on 127.0.0.1:{fleet.users}: "
                "Address already in use, by process "
            )
    assert running.left() == []
