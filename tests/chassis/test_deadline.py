"""Awaiting with a deadline, of what is there and of what is not."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from quart_fleet.asgi._deadline import within

ValueT = TypeVar("ValueT")


async def give(value: str, *waits: float) -> str:
    for seconds in waits:
        await asyncio.sleep(seconds)
    return value


async def refuse(*waits: float) -> str:
    await give("", *waits)
    raise ValueError


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


def begin(awaited: Coroutine[Any, Any, ValueT]) -> asyncio.Task[ValueT]:
    async def hold() -> ValueT:
        return await within(60, awaited)

    return asyncio.create_task(hold())


@pytest.mark.parametrize("waits", [(), (0,), (0, 0.001, 0)], ids=str)
async def test_the_value_comes_however_often_it_waits(waits: tuple[float, ...]) -> None:
    assert await within(60, give("it", *waits)) == "it"
    assert await within(None, give("it", *waits)) == "it"


@pytest.mark.parametrize("waits", [(), (0,), (0, 0.001, 0)], ids=str)
async def test_an_error_comes_however_often_it_waits(waits: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        await within(60, refuse(*waits))


async def test_what_does_not_come_in_time_is_given_up() -> None:
    with pytest.raises(TimeoutError):
        await within(0.01, wait_for_ever())

    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]  # it is a task


async def test_who_is_cancelled_is_cancelled_inside_and_may_still_wait() -> None:
    ended = []

    async def end_slowly() -> None:
        try:
            await wait_for_ever()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    task = begin(end_slowly())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_a_cancellation_that_is_caught_inside_is_over() -> None:
    async def stay() -> str:
        try:
            await wait_for_ever()
        except asyncio.CancelledError:
            return "stayed"
        return ""

    task = begin(stay())
    await asyncio.sleep(0)
    task.cancel()

    assert await task == "stayed"
