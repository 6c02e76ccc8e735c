"""References to what another service keeps: all ids of a request are asked for at once."""

from collections.abc import Set

import pytest

from quart_fleet.errors import ValidationFailedError
from quart_fleet.references import ensure_known


class RecordedDirectory:
    """Knows the ids below 10, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Set[int]] = []

    async def missing(self, ids: Set[int]) -> Set[int]:
        self.asked.append(ids)
        return {each for each in ids if each >= 10}


async def test_each_key_whose_id_is_of_nothing_is_named() -> None:
    users = RecordedDirectory()

    with pytest.raises(ValidationFailedError) as refused:
        await ensure_known(
            (users, {"buyer_id": 12, "seller_id": 1, "lines.0.packed_by_id": 12, "owner_id": None})
        )

    assert refused.value.errors == {
        "buyer_id": "No such buyer",
        "lines.0.packed_by_id": "No such packed by",
    }
    assert users.asked == [{1, 12}]


async def test_all_directories_are_asked_before_one_answer() -> None:
    users, products = RecordedDirectory(), RecordedDirectory()

    with pytest.raises(ValidationFailedError) as refused:
        await ensure_known((users, {"buyer_id": 12}), (products, {"product_id": 13, "gift_id": 1}))

    assert refused.value.errors == {"buyer_id": "No such buyer", "product_id": "No such product"}
    assert (users.asked, products.asked) == ([{12}], [{1, 13}])


async def test_without_an_id_nothing_is_asked() -> None:
    users = RecordedDirectory()

    await ensure_known((users, {"buyer_id": None}))

    assert users.asked == []
