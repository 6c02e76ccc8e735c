"""Every kind of forbidden import, planted in a generated workspace, is seen and named.

Out of scope, because no statement says it: modules that `importlib` loads at run time.
"""

from contextlib import ExitStack

import pytest

from scaffold.contracts.rules import ServicePackage, make_rules
from tests.architecture.generated import USER, DamageableWorkspace
from tests.architecture.plants import PLANTS, Plant

_OWNED = ("services/", "shared/")
"""What a workspace holds; the rest is the framework's."""

PERMITTED = {
    f"{USER}/tests/planted.py": """
import quart_fleet.testing, httpx, quart, sqlalchemy
from user_service import app, application, bootstrap, domain, infrastructure
""",
    f"{USER}/bootstrap.py": """
from quart_fleet import database, postgres, server, web, workspace
from shared import config
from . import infrastructure, domain
""",
    f"{USER}/infrastructure/planted.py": """
import quart, sqlalchemy
from quart_fleet import database, web
from shared import models
from shared.utils import response
from user_service.application import dto
""",
    f"{USER}/application/planted.py": """
import asyncio, pydantic
from quart_fleet import dto, errors, paging
from ..domain import entities
""",
    f"{USER}/domain/planted.py": """
import dataclasses
from quart_fleet import errors
from . import entities
""",
    "shared/utils/planted.py": "from quart_fleet import database, dto, errors, web\n",
    "quart_fleet/server/planted.py": "from quart_fleet import asgi, web\n",
    "scaffold/planted.py": """
from quart_fleet import conventions, errors, files, logs, output, patterns, revisions, times
from quart_fleet import workspace
""",
    "db_manager/planted.py": "from quart_fleet import database, settings, workspace\n",
}


def test_a_generated_workspace_keeps_every_contract(workspace: DamageableWorkspace) -> None:
    run = workspace.scaffold("contracts")

    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.endswith("rules hold in shared, product_service, user_service.\n")


def test_the_frameworks_repository_keeps_every_contract(repository: DamageableWorkspace) -> None:
    run = repository.scaffold("contracts")

    assert (run.returncode, run.stderr) == (0, "")
    assert "quart_fleet, shared, db_manager, scaffold, product_service, user_service" in run.stdout


def test_every_rule_has_an_import_that_breaks_it() -> None:
    owners = {f"shared.models.{name}": f"{name}_service" for name in ("user", "product")}
    services = [ServicePackage(name) for name in owners.values()]
    rules = make_rules(services, owners)

    assert {rule.says for rule in rules} == {plant.rule for plant in PLANTS}


@pytest.mark.slow
@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_a_forbidden_import_turns_the_check_red(
    workspace: DamageableWorkspace, repository: DamageableWorkspace, plant: Plant
) -> None:
    where = workspace if plant.file.startswith(_OWNED) else repository
    with where.planted(plant.file, plant.source) as start:
        run = where.scaffold("contracts")

    assert run.stdout.splitlines() == [plant.report(start)]
    assert run.returncode == 1


@pytest.mark.slow
def test_all_forbidden_imports_at_once_are_each_named_once(
    repository: DamageableWorkspace,
) -> None:
    with ExitStack() as plants:
        expected = [
            plant.report(plants.enter_context(repository.planted(plant.file, plant.source)))
            for plant in PLANTS
        ]
        run = repository.scaffold("contracts")

    assert sorted(run.stdout.splitlines()) == sorted(expected), run.stderr


@pytest.mark.slow
def test_what_the_layers_may_import_stays_green(repository: DamageableWorkspace) -> None:
    with ExitStack() as plants:
        for file, source in PERMITTED.items():
            plants.enter_context(repository.planted(file, source))
        run = repository.scaffold("contracts")

    assert (run.stderr, run.returncode) == ("", 0)
