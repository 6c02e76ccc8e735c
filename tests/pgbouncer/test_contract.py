"""The contract does not depend on a PgBouncer in between: every test that asks a service is run
again, on two processes whose connections are more than PgBouncer has, while other clients read.
"""

import pytest

from tests.contract import (
    test_answers,
    test_bodies,
    test_concurrency,
    test_cors,
    test_long_lists,
    test_methods,
    test_order_of_checks,
    test_paths,
    test_table,
    test_values,
)

pytestmark = pytest.mark.slow

_MODULES = (
    test_answers,
    test_bodies,
    test_concurrency,
    test_cors,
    test_long_lists,
    test_methods,
    test_order_of_checks,
    test_paths,
    test_table,
    test_values,
)

globals().update(
    {
        name: value
        for module in _MODULES
        for name, value in vars(module).items()
        if name.startswith("test_")
    }
)
