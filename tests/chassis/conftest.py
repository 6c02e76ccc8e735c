"""A bare application, and the servers that run it."""

import pytest

from quart_fleet.asgi._application import LeanApplication, ServiceApplication
from tests.chassis.serving import TIMEOUT, Serve, under_hypercorn, under_uvicorn


@pytest.fixture(autouse=True)
def long_ping_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy may take seconds to open a connection, which `ping` does."""
    monkeypatch.setattr("quart_fleet.database._engine.PING_TIMEOUT", TIMEOUT)


@pytest.fixture(params=[under_uvicorn, under_hypercorn], ids=["uvicorn", "hypercorn"])
def serve(request: pytest.FixtureRequest) -> Serve:
    chosen: Serve = request.param
    return chosen


@pytest.fixture
def app() -> ServiceApplication:
    return LeanApplication(__name__, static_folder=None)


@pytest.fixture(params=[LeanApplication, ServiceApplication])
def each_app(request: pytest.FixtureRequest) -> ServiceApplication:
    kind: type[ServiceApplication] = request.param
    return kind(__name__, static_folder=None)
