"""Services that call each other, by clients that are generated: checked, tested and really called."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.workspace import GeneratedWorkspace, all_booted

pytestmark = pytest.mark.slow

FLEET = """
[front-service]
port = 9311

[order-service]
port = 9312

[order-service.order]
code = "str(20):lookup:fixed"
product = "ref(product-service.product)"

[product-service]
port = 9313

[product-service.product]
name = "str(80)"
sku = "str(32):lookup:fixed"
price = "decimal(8,2):min(0)"
kind = "enum(book, record):index=book"
released_on = "date?:index"
sold_at = "datetime?"
warranty = "duration?"
opens = "time?"
serial = "uuid?"
weight = "float?"
type = "json?"
date = "date?"
pieces = "items(piece)"

[product-service.product.piece]
label = "str(9)"
amount = "decimal(6,3)?"
"""
CLIENTS = (
    "front-service product-service get_product get_product_by_sku list_products create_product",
    "front-service product-service update_product patch_product deactivate_product delete_product",
    "front-service order-service",
    "order-service product-service",
    "product-service order-service get_order",
)
OFFERS = '''"""The routes of offers: what the product service has, as this one sees it."""

from datetime import UTC

from front_service.application.ports.product_service import NewProduct, Product
from front_service.infrastructure.web import clients
from quart import Blueprint, Response, request

from quart_fleet.paging import every
from shared.utils.response import APIResponse

bp = Blueprint("offers", __name__)


def offer(product: Product) -> dict[str, str]:
    made = product.created_at.astimezone(UTC)
    return {
        "name": product.name,
        "price": f"{product.price:f}",
        "made": str(made.year),
        "warranty": str(product.warranty),
        "pieces": " ".join(f"{one.label} {one.amount}" for one in product.pieces),
    }


@bp.get("/offers/<int:number>")
async def get(number: int) -> Response:
    return APIResponse.success(offer(await clients.product_service().get_product(number)))


@bp.get("/offers")
async def list_all() -> Response:
    products = clients.product_service()
    pages = every(lambda after: products.list_products(limit=2, sort="-id", after=after, kind=["book"]))
    return APIResponse.success([one.name async for one in pages])


@bp.post("/offers")
async def create() -> Response:
    body: NewProduct = await request.get_json()
    made = await clients.product_service().create_product(**body)
    return APIResponse.success(offer(made), "Offer created successfully", 201)
'''


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> GeneratedWorkspace:
    """A workspace with three services, each of which calls another."""
    made = GeneratedWorkspace.describe(tmp_path_factory.mktemp("clients") / "fleet", FLEET)
    made.python("-m", "scaffold", "openapi", "--write")
    for client in CLIENTS:
        made.python("-m", "scaffold", "client", *client.split())
    return made


def test_the_linter_and_the_strict_type_checker_find_nothing(
    workspace: GeneratedWorkspace,
) -> None:
    workspace.check()


def test_their_own_tests_pass(workspace: GeneratedWorkspace) -> None:
    services = workspace.root / "services"
    clients = sorted(map(str, services.glob("*/tests/test_*_client.py")))
    orders = str(services / "order_service/tests/test_order_api.py")
    said = workspace.python("-m", "pytest", "-q", str(services / "front_service"), *clients, orders)
    assert " passed" in said


@pytest.fixture
def front(
    workspace: GeneratedWorkspace, migrated_url: str, tmp_path: Path
) -> Iterator[httpx.Client]:
    """A client of the front, to which its owner has given routes."""
    own = GeneratedWorkspace(shutil.copytree(workspace.root, tmp_path / "fleet"))
    package = own.root / "services/front_service"
    (package / "infrastructure/web/offers.py").write_text(OFFERS)
    bootstrap = package / "bootstrap.py"
    text = bootstrap.read_text()
    text = text.replace("import clients\n", "import clients, offers\n")
    text = text.replace("folder=folder,", "folder=folder, blueprints=[offers.bp],")
    bootstrap.write_text(text)
    with (
        all_booted(own, migrated_url) as addresses,
        httpx.Client(base_url=addresses["front_service"], timeout=30) as client,
    ):
        client.headers["X-Products"] = addresses["product_service"]
        yield client


def test_a_consumer_creates_reads_and_pages_what_another_service_keeps(front: httpx.Client) -> None:
    pieces = [{"label": "lid", "amount": "1.5"}, {"label": "cup"}]
    for number in range(5):
        body = {"name": f"Cup {number}", "sku": f"c{number}", "price": "9.90", "pieces": pieces}
        made = front.post("/offers", json=body | {"warranty": "P400DT1H"})
        assert made.status_code == 201, made.text
    expected = {
        "name": "Cup 4",
        "price": "9.90",
        "made": made.json()["data"]["made"],
        "warranty": "400 days, 1:00:00",
        "pieces": "lid 1.500 cup None",
    }
    assert made.json()["data"] == expected
    product = f"{front.headers['X-Products']}/products/sku/c4"
    number = httpx.get(product).json()["data"]["id"]
    assert front.get(f"/offers/{number}").json()["data"] == expected
    names = [f"Cup {number}" for number in (4, 3, 2, 1, 0)]
    assert front.get("/offers").json()["data"] == names

    missing = front.get("/offers/999999")
    assert (missing.status_code, missing.json()["message"]) == (404, "Product not found")
    wrong = front.post("/offers", json={"name": "Cup", "sku": "d", "price": "-1"})
    assert (wrong.status_code, [*wrong.json()["errors"]]) == (422, ["price"])
    taken = front.post("/offers", json={"name": "Cup", "sku": "c1", "price": "1"})
    assert (taken.status_code, taken.json()["message"]) == (400, "Sku already exists")


def test_a_provider_that_has_changed_fails_its_consumers_own_tests(
    workspace: GeneratedWorkspace, tmp_path: Path
) -> None:
    own = GeneratedWorkspace(shutil.copytree(workspace.root, tmp_path / "fleet"))
    tests = "services/front_service/tests/test_product_service_client.py"
    own.python("-m", "scaffold", "field", "product-service", "product", "--drop", "warranty")
    own.python("-m", "scaffold", "openapi", "--write")

    with pytest.raises(AssertionError, match=r"get_product of the product-service: .*warranty"):
        own.python("-m", "pytest", "-q", "-p", "no:cacheprovider", tests)

    own.python("-m", "scaffold", "apply")
    port = own.root / "services/front_service/application/ports/product_service.py"
    assert "warranty" not in port.read_text()
    own.python("-m", "pytest", "-q", "-p", "no:cacheprovider", tests)
