"""A competitor that answers otherwise than the service is not measured."""

import pytest

from benchmarks.agreement import MEASURED, require_agreement
from benchmarks.errors import BenchmarkError
from benchmarks.wire import Answer

OURS = [Answer(200, b"{}") for _ in MEASURED]


def test_the_same_answers_agree() -> None:
    require_agreement({"ours": OURS, "peer": list(OURS)}, "ours")


@pytest.mark.parametrize("other", [Answer(200, b"[]"), Answer(201, b"{}")])
def test_another_body_or_status_is_named_with_its_request(other: Answer) -> None:
    peer = [*OURS[:-1], other]

    with pytest.raises(BenchmarkError, match="peer answers POST /api/v1/users"):
        require_agreement({"ours": OURS, "peer": peer}, "ours")
