"""The circuit breaker, by a clock of its own."""

import pytest

from quart_fleet.clients import CircuitBreaker
from quart_fleet.errors import UnavailableError


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker("user-service", clock, most_failures=3, pause=5)


def state(breaker: CircuitBreaker) -> str:
    return breaker.state


def fail(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        breaker.record(breaker.acquire(), outcome=False)


def test_failures_in_a_row_open_it_and_a_success_between_them_does_not(
    breaker: CircuitBreaker,
) -> None:
    fail(breaker, 2)
    breaker.record(breaker.acquire(), outcome=True)
    fail(breaker, 2)
    breaker.record(breaker.acquire(), outcome=None)
    assert state(breaker) == "closed"

    fail(breaker, 1)
    assert state(breaker) == "open"


def test_open_it_refuses_every_call_and_says_for_how_long(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail(breaker, 3)
    clock.now += 1.5

    with pytest.raises(UnavailableError) as refused:
        breaker.acquire()

    assert refused.value.retry_after == 4


def test_after_its_pause_one_call_tries_the_service(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 5
    probe = breaker.acquire()
    assert state(breaker) == "half-open"
    with pytest.raises(UnavailableError) as refused:
        breaker.acquire()
    assert refused.value.retry_after == 1

    breaker.record(probe, outcome=True)
    assert state(breaker) == "closed"
    fail(breaker, 2)
    assert state(breaker) == "closed"


def test_a_probe_that_fails_opens_it_for_another_pause(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail(breaker, 3)
    clock.now += 5
    fail(breaker, 1)
    assert state(breaker) == "open"

    clock.now += 4.9
    with pytest.raises(UnavailableError):
        breaker.acquire()
    clock.now += 0.1
    breaker.acquire()


def test_a_probe_without_an_outcome_leaves_it_to_the_next(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail(breaker, 3)
    clock.now += 5
    breaker.record(breaker.acquire(), outcome=None)

    breaker.record(breaker.acquire(), outcome=True)
    assert state(breaker) == "closed"


def test_calls_of_before_a_change_decide_nothing(breaker: CircuitBreaker, clock: Clock) -> None:
    early = [breaker.acquire() for _ in range(5)]
    for permit in early[:3]:
        breaker.record(permit, outcome=False)
    clock.now += 5
    probe = breaker.acquire()
    for permit in early[3:]:
        breaker.record(permit, outcome=True)

    assert state(breaker) == "half-open"
    breaker.record(probe, outcome=False)
    assert state(breaker) == "open"


def test_a_call_that_is_sent_again_holds_its_permit_until_others_change_the_state(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    early = breaker.acquire()
    assert breaker.acquire(early) == early
    fail(breaker, 3)
    with pytest.raises(UnavailableError):
        breaker.acquire(early)

    clock.now += 5
    probe = breaker.acquire()
    assert breaker.acquire(probe) == probe
    with pytest.raises(UnavailableError):
        breaker.acquire(early)
