"""A generated workspace with a user service, for processes that are to be harmed."""

from pathlib import Path

import pytest

from tests.contract.workspace import generate


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a user service, fresh from the generator."""
    return generate(tmp_path_factory.mktemp("faults") / "workspace")
