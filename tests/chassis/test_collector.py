"""The garbage collector while a service runs."""

import asyncio
import gc
import weakref
from typing import Any

import pytest

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.bounds import BOUND
from quart_fleet.server._lifecycle import collecting_requests_only
from tests.chassis.serving import Serve, exchange, spell


@pytest.fixture(autouse=True)
def nothing_left_out_before() -> None:
    """Commands of the database manager, which other tests run here, leave out what they import."""
    gc.unfreeze()


class Knot:
    """An object that only the collector can free."""

    def __init__(self, freed: list[str]) -> None:
        self.itself = self
        self._freed = freed

    def __del__(self) -> None:
        self._freed.append("freed")


def test_objects_from_before_the_block_are_left_out() -> None:
    known = Knot([])

    with collecting_requests_only():
        watched = {id(each) for each in gc.get_objects()}

    assert id(known) not in watched
    assert id(known) in {id(each) for each in gc.get_objects()}


def test_the_garbage_of_requests_is_collected() -> None:
    freed = list[str]()

    with collecting_requests_only():
        Knot(freed)
        gc.collect()

    assert freed == ["freed"]


def test_the_collector_is_as_it_was_afterwards() -> None:
    before = gc.get_threshold(), gc.get_freeze_count()

    with collecting_requests_only():
        pass

    assert (gc.get_threshold(), gc.get_freeze_count()) == before


async def test_a_request_whose_client_was_watched_is_freed_with_its_answer(
    app: ServiceApplication, serve: Serve
) -> None:
    """Not later by the collector: thousands of them would wait for it."""
    seen = list[weakref.ref[Any]]()

    @app.get("/slow")
    async def slow() -> str:
        bound = BOUND.get()
        assert bound is not None
        while bound.watcher is None:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)  # it has begun
        seen.append(weakref.ref(bound.request))
        return "slow"

    gc.collect()
    gc.disable()
    try:
        async with serve(app) as port:
            answer = await exchange(port, spell("GET", "/slow"))
            await asyncio.sleep(0)
            [request] = seen
            assert request() is None
    finally:
        gc.enable()
    assert answer.endswith(b"slow")
