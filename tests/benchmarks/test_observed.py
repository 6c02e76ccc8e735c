"""What it costs to see into a service is a ratio of what was measured at the same time."""

from benchmarks.load import Measurement
from benchmarks.observed import ratio, ways


def measured(requests: int) -> Measurement:
    return Measurement(requests, seconds=1, failed=0, p50=1, p99=2, cpu_seconds=0.5)


def test_a_ratio_is_the_median_of_what_each_round_found() -> None:
    base, some = [100, 10, 200], [90, 8, 190]

    found = ratio([*map(measured, some)], [*map(measured, base)], lambda each: each.throughput)

    assert found == "0.900 (0.800 to 0.950)"


def test_each_way_is_compared_with_one_that_comes_before_it() -> None:
    seen = set[str]()
    for each in ways(1, 2, 3, "live"):
        seen.add(each.title)
        assert each.base in seen
