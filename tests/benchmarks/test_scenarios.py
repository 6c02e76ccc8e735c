"""The requests that are measured ask for other rows each time, the same for every competitor."""

from itertools import islice

from benchmarks.scenarios import CREATE, GET, LIST, Scenario


def first(scenario: Scenario, number: int, prefix: str = "", seed: int = 0) -> list[bytes]:
    return list(islice(scenario.requests(prefix, seed), number))


def test_reads_ask_for_rows_drawn_at_random() -> None:
    for scenario in (GET, LIST):
        assert len(set(first(scenario, 100))) > 90


def test_the_same_seed_asks_the_same_rows_in_the_same_order() -> None:
    for scenario in (GET, LIST):
        assert first(scenario, 100, seed=3) == first(scenario, 100, seed=3)
        assert first(scenario, 100, seed=3) != first(scenario, 100, seed=4)


def test_no_user_is_created_twice() -> None:
    created = first(CREATE, 100, "one") + first(CREATE, 100, "two")

    assert len(set(created)) == 200
