"""Which tests are tried where SHARD asks for a part of them: `SHARD=2/4`, the second of four quarters.

Every test is in one part, by its name alone: whoever tries all parts tries all tests. CI tries
another sixth of the slow ones for each tree.
"""

import os
import re
from hashlib import sha256

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is in another part; the order stays."""
    shard = os.environ.get("SHARD", "1/1")
    others = [item for item in items if not is_in(shard, item.nodeid)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if is_in(shard, item.nodeid)]


def is_in(shard: str, test: str) -> bool:
    """Whether the test is in that part, such as 2/4.

    Raises:
        pytest.UsageError: there is no such part.
    """
    found = re.fullmatch(r"([0-9]+)/([0-9]+)", shard)
    number, count = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= count:
        raise pytest.UsageError(f"SHARD={shard}: a part and the number of all, such as 2/4")
    return int.from_bytes(sha256(test.encode()).digest()) % count + 1 == number
