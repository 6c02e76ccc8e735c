"""Who goes next, and who waits too long."""

import asyncio

import pytest

from quart_fleet.database._semaphore import Turns

PATIENCE = 60.0


async def begin_to_wait(turns: Turns) -> asyncio.Task[None]:
    task = asyncio.create_task(turns.take())
    await asyncio.sleep(0)
    return task


async def test_turns_come_in_the_order_of_asking() -> None:
    turns = Turns(1, PATIENCE)
    await turns.take()
    waiting = [await begin_to_wait(turns) for _ in range(3)]

    for task in waiting:
        assert not task.done()
        turns.give_back()
        await task


async def test_a_late_comer_does_not_pass_who_waits() -> None:
    turns = Turns(1, PATIENCE)
    await turns.take()
    first = await begin_to_wait(turns)
    turns.give_back()

    late = await begin_to_wait(turns)

    assert (first.done(), late.done()) == (True, False)
    turns.give_back()
    await late


async def test_who_is_cancelled_as_the_turn_comes_passes_it_on() -> None:
    turns = Turns(1, PATIENCE)
    await turns.take()
    first, second = [await begin_to_wait(turns) for _ in range(2)]

    turns.give_back()
    first.cancel()

    await asyncio.wait_for(second, PATIENCE)
    assert first.cancelled()


async def test_who_was_cancelled_before_is_left_out() -> None:
    turns = Turns(1, PATIENCE)
    await turns.take()
    first, second = [await begin_to_wait(turns) for _ in range(2)]
    first.cancel()

    turns.give_back()

    await asyncio.wait_for(second, PATIENCE)


async def test_everybody_waits_as_long_and_no_longer() -> None:
    turns = Turns(1, 0.01)
    await turns.take()

    waits = await asyncio.gather(*(turns.take() for _ in range(3)), return_exceptions=True)
    assert [type(wait) for wait in waits] == [TimeoutError] * 3

    with pytest.raises(TimeoutError):
        await turns.take()
    turns.give_back()
    await turns.take()
