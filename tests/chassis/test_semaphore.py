"""The pool's semaphore: the order of its waits, and their timeout."""

import asyncio

import pytest

from quart_fleet.database._engine import Semaphore

TIMEOUT = 60.0


async def begin_to_wait(semaphore: Semaphore) -> asyncio.Task[None]:
    task = asyncio.create_task(semaphore.acquire())
    await asyncio.sleep(0)
    return task


async def test_a_permit_goes_to_the_longest_wait() -> None:
    semaphore = Semaphore(1, TIMEOUT)
    await semaphore.acquire()
    waiting = [await begin_to_wait(semaphore) for _ in range(3)]

    for task in waiting:
        assert not task.done()
        semaphore.release()
        await task


async def test_a_late_caller_does_not_overtake_a_wait() -> None:
    semaphore = Semaphore(1, TIMEOUT)
    await semaphore.acquire()
    first = await begin_to_wait(semaphore)
    semaphore.release()

    late = await begin_to_wait(semaphore)

    assert (first.done(), late.done()) == (True, False)
    semaphore.release()
    await late


async def test_a_wait_that_is_cancelled_as_its_permit_comes_passes_it_on() -> None:
    semaphore = Semaphore(1, TIMEOUT)
    await semaphore.acquire()
    first, second = [await begin_to_wait(semaphore) for _ in range(2)]

    semaphore.release()
    first.cancel()

    await asyncio.wait_for(second, TIMEOUT)
    assert first.cancelled()


async def test_a_wait_that_was_cancelled_before_is_passed_over() -> None:
    semaphore = Semaphore(1, TIMEOUT)
    await semaphore.acquire()
    first, second = [await begin_to_wait(semaphore) for _ in range(2)]
    first.cancel()

    semaphore.release()

    await asyncio.wait_for(second, TIMEOUT)


async def test_every_wait_times_out_and_takes_no_permit() -> None:
    semaphore = Semaphore(1, 0.01)
    await semaphore.acquire()

    waits = await asyncio.gather(*(semaphore.acquire() for _ in range(3)), return_exceptions=True)
    assert [type(wait) for wait in waits] == [TimeoutError] * 3

    with pytest.raises(TimeoutError):
        await semaphore.acquire()
    semaphore.release()
    await semaphore.acquire()
