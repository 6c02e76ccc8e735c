"""The shop of the language's page: what refers to what, over HTTP, from products to orders with lines."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio

from quart_fleet.testing import NewDatabase
from tests.workspace import GeneratedWorkspace, booted

pytestmark = pytest.mark.slow

FLEET = """
[product-service]
port = 8082

[product-service.category]
name = "str(80):unique"

[product-service.product]
name = "str(120):search"
sku = "str(32):lookup:fixed"
price = "decimal(10,2):min(0)"
stock = "int:min(0)=0"
released_on = "date?:index"
description = "text?:search"
category = "ref(category)?"
tags = "many(tag)"
_index = ["category, price"]

[product-service.tag]
label = "str(40):unique:length(2)"
_active = false

[order-service]
port = 8083

[order-service.order]
code = "str(20):lookup:fixed"
buyer = "ref(user-service.user)"
placed_at = "datetime"
status = "enum(open, paid, shipped, cancelled):index=open"
lines = "items(line)"
_actions = { pay = "status: open -> paid", ship = "status: paid -> shipped", cancel = "status: open, paid -> cancelled" }

[order-service.order.line]
product = "ref(product-service.product)"
quantity = "int:positive"
unit_price = "decimal(10,2):min(0)"
_unique = ["product"]
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> GeneratedWorkspace:
    """A workspace with the shop."""
    made = GeneratedWorkspace.make(tmp_path_factory.mktemp("shop") / "fleet", "user-service 8081")
    with (made.root / "fleet.toml").open("a") as file:
        file.write(FLEET)
    made.python("-m", "scaffold", "apply")
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def migrated_url(
    workspace: GeneratedWorkspace, new_database: NewDatabase
) -> AsyncIterator[str]:
    """Its database at the newest revision."""
    async with new_database() as url:
        workspace.python("-m", "db_manager", "migrate", DATABASE_URL=url)
        yield url


@pytest.fixture(scope="module")
def products(workspace: GeneratedWorkspace, migrated_url: str) -> Iterator[httpx.Client]:
    """A client of the running product service."""
    with (
        booted(workspace, "product_service", migrated_url) as address,
        httpx.Client(base_url=address, timeout=30) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def orders(workspace: GeneratedWorkspace, migrated_url: str) -> Iterator[httpx.Client]:
    """A client of the running order service."""
    with (
        booted(workspace, "order_service", migrated_url) as address,
        httpx.Client(base_url=address, timeout=30) as client,
    ):
        yield client


def test_products_have_a_category_and_tags(products: httpx.Client) -> None:
    books = products.post("/categories", json={"name": "Books"}).json()["data"]["id"]
    new, used = (
        products.post("/tags", json={"label": each}).json()["data"]["id"]
        for each in ("new", "used")
    )
    body = {"name": "Atlas", "sku": "A1", "price": "12.50", "category_id": books}

    made = products.post("/products", json=body | {"tag_ids": [used, new]}).json()["data"]
    found = products.get("/products", params={"category_id": books, "sort": "price"}).json()["data"]

    assert (made["tag_ids"], made["category_id"]) == ([new, used], books)
    assert found == [made] == products.get("/products").json()["data"]
    assert products.get("/products/sku/A1").json()["data"] == made
    for path, message in ((f"/tags/{new}", "Tag"), (f"/categories/{books}", "Category")):
        refused = products.delete(path)
        assert (refused.status_code, refused.json()["message"]) == (409, f"{message} is in use")
    changed = products.patch(f"/products/{made['id']}", json={"category_id": None, "tag_ids": []})
    assert (changed.json()["data"]["category_id"], changed.json()["data"]["tag_ids"]) == (None, [])
    assert products.delete(f"/categories/{books}").status_code == 200


def test_orders_are_kept_with_their_lines_and_change_by_actions(orders: httpx.Client) -> None:
    line = {"product_id": 1, "quantity": 2, "unit_price": "12.50"}
    body = {"code": "O1", "buyer_id": 7, "placed_at": "2026-11-23T09:24:02Z"}

    made = orders.post("/orders", json=body | {"lines": [line, line | {"product_id": 2}]}).json()
    path = f"/orders/{made['data']['id']}"
    first, second = made["data"]["lines"]
    changed = orders.patch(
        path,
        json={
            "lines": [
                {"id": second["id"], "product_id": 1},
                {"id": first["id"], "product_id": 2, "quantity": 3},
                {"product_id": 3, "quantity": 1, "unit_price": "1"},
            ]
        },
    ).json()["data"]

    assert [
        (each["product_id"], each["quantity"], each["unit_price"]) for each in changed["lines"]
    ] == [(1, 2, "12.50"), (2, 3, "12.50"), (3, 1, "1.00")]
    assert [each["id"] for each in changed["lines"][:2]] == [second["id"], first["id"]]
    assert orders.get(path).json()["data"] == changed
    assert orders.get("/orders", params={"buyer_id": 7}).json()["data"] == [changed]
    for lines, errors in (
        ([line | {"quantity": 0}], {"lines.0.quantity": "Must be greater than 0"}),
        ([line, line], {"lines.1.product_id": "Is a duplicate"}),
        ([{"id": 2**62}], {"lines.0.id": "No such item"}),
        ([line | {"quantity": "2"}], {"lines.0.quantity": "Must be an integer"}),
    ):
        refused = orders.patch(path, json={"lines": lines})
        assert (refused.status_code, refused.json()["errors"]) == (422, errors)
    assert orders.post(f"{path}/pay").json()["data"]["status"] == "paid"
    assert orders.post(f"{path}/pay").status_code == 409
    assert orders.put(path, json={"lines": []}).json()["data"]["lines"] == []
    assert orders.delete(path).status_code == 200


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
