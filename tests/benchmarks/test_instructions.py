"""More instructions than were recorded are a regression, within what runs differ by not."""

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.instructions import require_no_regression

BEFORE = {"health": 1000, "get": 2000}


def test_five_per_cent_more_is_allowed() -> None:
    require_no_regression(BEFORE, {"health": 1050, "get": 1500})


def test_more_than_five_per_cent_more_is_refused_by_name() -> None:
    with pytest.raises(BenchmarkError, match="per request: get"):
        require_no_regression(BEFORE, {"health": 1000, "get": 2101})
