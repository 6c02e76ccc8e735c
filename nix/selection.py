"""Pytest's tests in two kinds: those that need a server run somewhere else than the others."""

import pytest

_SERVER = "_server_url"
"""The fixture of quart_fleet.testing that every test with a database stands on."""
_SERVERS_OF_THEIR_OWN = (
    *("tests/db_manager/", "tests/generated/", "tests/postgres/", "tests/scaffold/test_demo"),
    "tests/tls/",
)
"""What starts servers without asking for it."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the kinds."""
    config.addinivalue_line("markers", "database: asks for a database")
    config.addinivalue_line("markers", "unit: needs no PostgreSQL")


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test with its kind; those with servers of their own have none."""
    for item in items:
        if _SERVER in getattr(item, "fixturenames", ()):
            item.add_marker("database")
        elif not item.nodeid.startswith(_SERVERS_OF_THEIR_OWN):
            item.add_marker("unit")
