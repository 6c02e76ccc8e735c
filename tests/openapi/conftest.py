"""A workspace with a user service, for what needs a whole one."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from quart_fleet.testing import NewDatabase
from tests.architecture.generated import DamageableWorkspace

PRODUCTS = (
    "product-service 8082 name:str(40):unique:length(6,30) price:decimal(10,2):min(100)"
    " quantity:int:min(10) weight:float?:positive:max(0.5) share:decimal(4,3):positive:max(0.5)"
    " code:str(8):pattern(/[A-Z]{3}/) extra:json? kind:enum(fresh,used)=fresh sold_at:datetime?:index"
)


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> DamageableWorkspace:
    """Users as the contract has them, and another resource; a test that damages it repairs it."""
    root = tmp_path_factory.mktemp("openapi") / "fleet"
    return DamageableWorkspace.make(root, "user-service 8081", PRODUCTS)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fleet_url(fleet: DamageableWorkspace, new_database: NewDatabase) -> AsyncIterator[str]:
    """Its database at the newest revision."""
    async with new_database() as url:
        fleet.python("-m", "db_manager", "migrate", DATABASE_URL=url)
        yield url
