"""This workspace keeps its own import contracts."""

from pathlib import Path

import pytest

from scaffold.contracts.check import check
from scaffold.workspace import Workspace


@pytest.mark.slow
def test_every_import_keeps_the_contracts() -> None:
    verdict = check(Workspace.find(Path(__file__)))

    assert [str(broken) for broken in verdict.broken] == []
