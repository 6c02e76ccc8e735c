"""A server of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from quart_fleet.postgres import EmbeddedPostgres
from tests.postgres.owner import await_that, is_gone


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where an embedded server keeps its data."""
    return tmp_path / "work space" / ".postgres"


@pytest.fixture
def postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server of the test's own; it must end with the test."""
    embedded = EmbeddedPostgres(folder, durable=False)
    yield embedded
    embedded.stop()
    await_that(lambda: is_gone(folder))
