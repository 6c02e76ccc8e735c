"""What a comparison says of its measurements."""

from benchmarks.comparison import Comparison, Plan
from benchmarks.competitors import CAREFUL, FASTAPI, LIMIT, OURS
from benchmarks.figures import figures
from benchmarks.load import Measurement
from benchmarks.machine import Cores
from benchmarks.scenarios import GET

PLAN = Plan(
    rounds=3, seconds=1, warm_up=1, competitors=(FASTAPI, CAREFUL, OURS, LIMIT), scenarios=(GET,)
)
CORES = Cores(frozenset({0}), frozenset({1}))


def measured(requests: int) -> Measurement:
    return Measurement(requests, seconds=1, failed=0, p50=1, p99=2, cpu_seconds=0.5)


def comparison(**requests: list[int]) -> Comparison:
    found = {
        (GET.name, name.replace("_", "-")): [measured(each) for each in rounds]
        for name, rounds in requests.items()
    }
    return Comparison(PLAN, CORES, found)


def test_a_ratio_is_the_median_of_what_each_round_found() -> None:
    # The machine was slow in the second round, for both.
    found = comparison(
        fastapi=[100, 10, 200],
        fastapi_careful=[200, 10, 200],
        ours=[400, 50, 600],
        limit=[800, 100, 600],
    )

    ours = next(each for each in figures(found) if each.competitor == OURS.name)

    documented, careful = ours.to_documented, ours.to_careful
    assert (documented.median, documented.min, documented.max) == (4, 3, 5)
    assert (careful.median, careful.min, careful.max) == (3, 2, 5)
    assert ours.to_limit.median == 0.5


def test_less_computing_than_fastapi_is_a_ratio_above_one() -> None:
    found = comparison(fastapi=[100] * 3, fastapi_careful=[50] * 3, ours=[200] * 3, limit=[400] * 3)

    ours = next(each for each in figures(found) if each.competitor == OURS.name)

    assert ours.cpu.median == 2500
    assert ours.cpu_to_documented.median == 2
    assert ours.cpu_to_careful.median == 4
