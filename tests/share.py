"""Which tests are tried of those that try one thing in many ways, as CI does: a part, chosen by a seed.

All of them by themselves; of each function that is marked `many`, SHARE says how many percent, of
which one is the least. SEED chooses others.
"""

import os
from collections import defaultdict
from hashlib import sha256

import pytest

SHARE = int(os.environ.get("SHARE", "100"))
SEED = os.environ.get("SEED", "1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is beyond the share; the order stays."""
    many = defaultdict[str, list[pytest.Item]](list)
    for item in items:
        if item.get_closest_marker("many"):
            many[item.nodeid.partition("[")[0]].append(item)
    left_out = set[pytest.Item]()
    for ways in many.values():
        ways.sort(key=lambda item: sha256(f"{SEED} {item.nodeid}".encode()).digest())
        left_out.update(ways[max(1, -(-len(ways) * SHARE // 100)) :])
    if left_out:
        config.hook.pytest_deselected(items=[*left_out])
        items[:] = [item for item in items if item not in left_out]
