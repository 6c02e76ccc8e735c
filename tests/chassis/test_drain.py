"""How a service that drains makes its clients open their next connection elsewhere."""

import os
import signal
from threading import Thread

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.server._lifecycle import DRAIN_SIGNAL, draining_on_signal


async def find_connection(app: ServiceApplication, http_version: str = "1.1") -> str | None:
    response = await app.test_client().get("/nowhere", http_version=http_version)
    return response.headers.get("Connection")


async def test_an_answer_says_nothing_of_its_connection(app: ServiceApplication) -> None:
    assert await find_connection(app) is None


async def test_an_answer_ends_its_connection_while_the_service_drains(
    app: ServiceApplication,
) -> None:
    app.drain()

    assert await find_connection(app) == "close"


async def test_http_2_has_no_such_header(app: ServiceApplication) -> None:
    app.drain()

    assert await find_connection(app, http_version="2") is None


async def test_a_request_that_was_running_already_ends_its_connection_too(
    app: ServiceApplication,
) -> None:
    @app.get("/slow")
    async def slow() -> str:
        app.drain()
        return "done"

    response = await app.test_client().get("/slow")

    assert response.headers["Connection"] == "close"


def test_the_signal_drains() -> None:
    calls = list[str]()

    with draining_on_signal(lambda: calls.append("drain")):
        os.kill(os.getpid(), DRAIN_SIGNAL)

    assert calls == ["drain"]


def test_the_signal_means_nothing_to_a_process_that_does_not_serve() -> None:
    before = signal.getsignal(DRAIN_SIGNAL)

    with draining_on_signal(lambda: None):
        pass
    os.kill(os.getpid(), DRAIN_SIGNAL)

    assert signal.getsignal(DRAIN_SIGNAL) == before


def test_where_no_signal_may_be_handled_nothing_is_drained() -> None:
    entered = list[bool]()

    def serve() -> None:
        with draining_on_signal(lambda: None):
            entered.append(True)

    thread = Thread(target=serve)
    thread.start()
    thread.join()

    assert entered
