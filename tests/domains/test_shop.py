"""The shop of the language's page: whom it asks for ids of other services, and what its code says."""

import asyncio
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import httpx
import pytest

from quart_fleet.testing import NewDatabase
from tests.chassis.consul import Consul, ids_of, started, until
from tests.domains.test_domains import DOMAINS
from tests.workspace import GeneratedWorkspace, booted

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> GeneratedWorkspace:
    """A workspace with the shop."""
    fleet = (DOMAINS / "shop/fleet.toml").read_text()
    return GeneratedWorkspace.describe(tmp_path_factory.mktemp("shop") / "fleet", fleet)


ORDER_OF_CHECKS = """
import asyncio
from order_service.application.dto.order_dto import CreateOrderLineDTO, PatchOrderDTO, UpdateOrderDTO
from order_service.application.use_cases.order_use_cases import OrderUseCases
from order_service.tests.fake_product_directory import FakeProductDirectory
from order_service.tests.fake_user_directory import FakeUserDirectory
from order_service.tests.fakes import FakeOrderUnitOfWork, Store
from order_service.tests.samples import a_request
from quart_fleet.errors import ServiceError


async def main():
    store = Store()
    directories = FakeUserDirectory(9), FakeProductDirectory(9)
    use_cases = OrderUseCases(lambda: FakeOrderUnitOfWork(store), *directories)
    made = await use_cases.create(a_request())
    given = {"product_id": 9, "unit_price": "1"}
    lines = [CreateOrderLineDTO.model_validate(given | {"quantity": each}) for each in (1, 0)]
    for kind, change in ((UpdateOrderDTO, use_cases.update), (PatchOrderDTO, use_cases.patch)):
        for record_id, each in ((made.id + 1, lines[:1]), (made.id, lines[1:]), (made.id, lines[:1])):
            try:
                await change(record_id, kind(buyer_id=9, lines=each))
            except ServiceError as error:
                print(error.message, getattr(error, "errors", {}))
        print((await change(made.id, kind(buyer_id=8))).buyer_id)
    print((await use_cases.patch(made.id, PatchOrderDTO())).buyer_id)


asyncio.run(main())
"""


def test_other_services_are_asked_last_and_together(workspace: GeneratedWorkspace) -> None:
    said = [
        "Order not found {}",
        "Validation failed {'lines.0.quantity': 'Must be greater than 0'}",
        "Validation failed {'buyer_id': 'No such buyer', 'lines.0.product_id': 'No such product'}",
        "8",
    ]

    assert workspace.python("-c", ORDER_OF_CHECKS).splitlines() == [*said, *said, "8"]


def test_a_deletion_tells_that_others_may_refer_to_the_row(workspace: GeneratedWorkspace) -> None:
    told = {
        name: "raises NotFoundError or ConflictError." in text.partition("async def delete")[2]
        for name in ("category", "tag", "product")
        for path in [f"services/product_service/application/use_cases/{name}_use_cases.py"]
        for text in [(workspace.root / path).read_text()]
    }

    assert told == {"category": True, "tag": True, "product": False}


def post(address: str, body: dict[str, object]) -> httpx.Response:
    return httpx.post(address, json=body, timeout=30)


async def test_an_order_names_users_and_products_that_their_services_keep(
    workspace: GeneratedWorkspace, new_database: NewDatabase
) -> None:
    async with new_database() as url:
        workspace.python("-m", "db_manager", "migrate", DATABASE_URL=url)
        with ExitStack() as stack, ExitStack() as early:
            users = early.enter_context(booted(workspace, "user_service", url))
            products = stack.enter_context(booted(workspace, "product_service", url))
            addresses = {
                "USER_SERVICE_URL": users.removesuffix("/api/v1"),
                "PRODUCT_SERVICE_URL": products.removesuffix("/api/v1"),
            }
            orders = stack.enter_context(booted(workspace, "order_service", url, **addresses))

            def order(buyer: int, product: int) -> httpx.Response:
                line = {"product_id": product, "quantity": 1, "unit_price": "1"}
                placed_at = "2026-11-29T12:00:00Z"
                body = {"code": f"{buyer}-{product}", "buyer_id": buyer, "placed_at": placed_at}
                return post(f"{orders}/orders", {**body, "lines": [line]})

            user: dict[str, object] = {"username": "ada", "email": "ada@example.com"}
            product: dict[str, object] = {"name": "Lamp", "sku": "lamp", "price": "1"}
            made = [
                post(f"{users}/users", user),
                post(f"{products}/products", product),
            ]
            known, missing = order(1, 1), order(2, 3)
            early.close()
            down = order(1, 1)

    assert [each.status_code for each in (*made, known)] == [201, 201, 201], known.text
    assert (missing.status_code, missing.json()["errors"]) == (
        422,
        {"buyer_id": "No such buyer", "lines.0.product_id": "No such product"},
    )
    assert (down.status_code, down.json()["message"]) == (503, "The user-service is unavailable")
    assert down.headers["Retry-After"] == "1"
    assert down.elapsed.total_seconds() < 5


@pytest.mark.parametrize("kind", ["imitated", "real"])
async def test_services_find_each_other_by_a_registry(
    kind: str, workspace: GeneratedWorkspace, new_database: NewDatabase, tmp_path: Path
) -> None:
    """One of two instances of a provider ends while it is called, and then the registry."""
    seen, numbers, is_over = list[int](), count(1), False
    async with new_database() as url, started(kind, tmp_path) as registry:
        at = {"SERVICE_REGISTRY_URL": registry.url}
        workspace.python("-m", "db_manager", "migrate", DATABASE_URL=url)
        with ExitStack() as stack, ExitStack() as early:

            async def start(package: str, stack: ExitStack) -> str:
                return await asyncio.to_thread(
                    lambda: stack.enter_context(booted(workspace, package, url, **at))
                )

            users = await start("user_service", stack)
            await start("user_service", early)
            products, orders = [
                await start(package, stack) for package in ("product_service", "order_service")
            ]

            async def are_all_there(*expected: int) -> bool:
                names = ("user-service", "product-service", "order-service")
                return [len(await ids_of(registry, name)) for name in names] == [*expected]

            await until(lambda: are_all_there(2, 1, 1))
            async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
                user = {"username": "ada", "email": "ada@example.com"}
                assert (await client.post(f"{users}/users", json=user)).status_code == 201
                product = {"name": "Lamp", "sku": "lamp", "price": "1"}
                assert (await client.post(f"{products}/products", json=product)).status_code == 201

                async def order() -> None:
                    line = {"product_id": 1, "quantity": 1, "unit_price": "1"}
                    body = {"buyer_id": 1, "placed_at": "2026-11-29T12:00:00Z", "lines": [line]}
                    while not is_over:
                        sent = {**body, "code": f"order-{next(numbers)}"}
                        answer = await client.post(f"{orders}/orders", json=sent)
                        seen.append(answer.status_code)

                async def comes_to(more: int) -> None:
                    enough = len(seen) + more
                    await until(lambda: len(seen) > enough)

                async with asyncio.TaskGroup() as group:
                    for _ in range(5):
                        group.create_task(order())
                    await comes_to(30)
                    await asyncio.to_thread(early.close)
                    await comes_to(30)
                    assert await are_all_there(1, 1, 1)
                    if isinstance(registry, Consul):
                        await registry.stop()
                        await comes_to(30)
                        await registry.start()
                        await until(lambda: are_all_there(1, 1, 1))
                    await comes_to(30)
                    is_over = True
            await asyncio.to_thread(stack.close)
            assert await are_all_there(0, 0, 0)

    assert set(seen) == {201}
