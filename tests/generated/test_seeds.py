"""Seeds of generated services: stored in the order of their references, once, each as its service may."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from quart_fleet.testing import NewDatabase
from tests.generated import test_awkward_descriptions, test_relations
from tests.workspace import GeneratedWorkspace, run

pytestmark = pytest.mark.slow

FLEETS = {
    "circle": """
[user-service]
port = 8081

[user-service.user]
name = "str:unique"
last_order = "ref(order-service.order)?"
favourite = "ref(order-service.order)"

[order-service]
port = 8082

[order-service.order]
code = "str:unique"
buyer = "ref(user-service.user)"
""",
    "awkward": test_awkward_descriptions.FLEET,
    "relations": test_relations.FLEET,
}
SHOP = """
[user-service]
port = 8081

[user-service.user]
username = "str(80):unique"
email = "email"
password = "str:secret"

[product-service]
port = 8082

[product-service.category]
name = "str(80):unique"
parent = "ref(category)?"

[product-service.product]
name = "str(80):unique"
category = "ref(category)"
tags = "many(category)"
note = "text?"

[order-service]
port = 8083

[order-service.order]
code = "str(20):lookup:fixed"
buyer = "ref(user-service.user, fk)"
lines = "items(line):length(1)"

[order-service.order.line]
product = "ref(product-service.product)"
quantity = "int:positive"

[order-service.remark]
text = "text"
order = "ref(order, cascade)"
"""


@pytest.mark.parametrize("name", FLEETS)
def test_each_fleet_begins_with_its_samples(
    name: str, tmp_path: Path, fresh_database_url: str
) -> None:
    workspace = GeneratedWorkspace.describe(tmp_path / "fleet", FLEETS[name])
    for command in ("ruff check .", "ruff format --check .", "scaffold contracts"):
        workspace.python("-m", *command.split())
    seeds = sorted(map(str, workspace.root.glob("services/*/seeds.py")))
    workspace.python("-m", "mypy", *seeds)
    workspace.python("-m", "db_manager", "migrate", DATABASE_URL=fresh_database_url)

    first = workspace.python("-m", "db_manager", "seed", DATABASE_URL=fresh_database_url)
    second = workspace.python("-m", "db_manager", "seed", DATABASE_URL=fresh_database_url)

    assert first
    assert [line.partition(": ")[0] for line in first.splitlines()] == [
        line.partition(": ")[0] for line in second.splitlines()
    ]
    assert all(": 0 stored, " in line for line in second.splitlines())


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> GeneratedWorkspace:
    return GeneratedWorkspace.describe(tmp_path_factory.mktemp("seeds") / "fleet", SHOP)


@pytest_asyncio.fixture(loop_scope="session")
async def url(workspace: GeneratedWorkspace, new_database: NewDatabase) -> AsyncIterator[str]:
    """A database at the newest revision, whose services have roles of their own."""
    async with new_database() as url:
        passwords = workspace.root / "roles"
        passwords.mkdir(exist_ok=True)
        for name in ("user", "product", "order"):
            (passwords / f"{name}_service").write_text("s3cret")
        migrate = ("-m", "db_manager", "migrate", "--roles", str(passwords))
        workspace.python(*migrate, DATABASE_URL=url)
        yield url


async def fetch(url: str, query: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def count(url: str) -> dict[str, int]:
    """Return how many rows each table has."""
    names = ("users", "categories", "products", "product_tags", "orders", "order_lines", "remarks")
    query = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {name}" for name in names)
    return {str(name): int(str(number)) for name, number in await fetch(url, query)}


def seed(workspace: GeneratedWorkspace, url: str, *arguments: str) -> list[str]:
    return workspace.python("-m", "db_manager", "seed", *arguments, DATABASE_URL=url).splitlines()


def refuse(workspace: GeneratedWorkspace, url: str, *arguments: str, **settings: str) -> str:
    """Run it where it fails, and return what it says."""
    with pytest.raises(AssertionError) as failed:
        workspace.python("-m", "db_manager", "seed", *arguments, DATABASE_URL=url, **settings)
    said = str(failed.value)
    assert "Traceback" not in said
    assert " ended with 1\n" in said
    return said


async def test_rows_are_stored_with_what_they_refer_to_and_only_once(
    workspace: GeneratedWorkspace, url: str
) -> None:
    first = seed(workspace, url)
    counted = await count(url)
    second = seed(workspace, url)

    assert first == [
        "user-service.user: 2 stored",
        "product-service.category: 2 stored",
        "product-service.product: 2 stored",
        "order-service.order: 2 stored",
        "order-service.remark: 2 stored",
    ]
    assert second == [line.replace("2 stored", "0 stored, 2 there before") for line in first]
    assert await count(url) == counted
    assert counted == {"users": 2, "categories": 2, "products": 2, "product_tags": 3} | {
        "orders": 2,
        "order_lines": 4,
        "remarks": 2,
    }
    joined = """
        SELECT username, name, quantity FROM orders JOIN users ON users.id = buyer_id
        JOIN order_lines ON order_id = orders.id JOIN products ON products.id = product_id
        ORDER BY orders.id, position
    """
    assert [row[:2] for row in await fetch(url, joined)] == [
        ("ada", "First"),
        ("ada", "Second"),
        ("grace", "First"),
        ("grace", "Second"),
    ]
    [[password]] = await fetch(url, "SELECT password FROM users WHERE username = 'ada'")
    assert str(password).startswith("scrypt")


async def test_what_was_edited_or_made_before_stays_as_it_is(
    workspace: GeneratedWorkspace, url: str
) -> None:
    await fetch(url, "INSERT INTO categories (name) VALUES ('Other'), ('Second')")
    seed(workspace, url)
    await fetch(url, "UPDATE products SET note = 'mine' WHERE name = 'First'")
    await fetch(url, "UPDATE remarks SET text = 'mine'")
    before = await fetch(url, "TABLE products"), await fetch(url, "TABLE remarks")
    counted = await count(url)

    seed(workspace, url)

    assert (await fetch(url, "TABLE products"), await fetch(url, "TABLE remarks")) == before
    assert await count(url) == counted
    referred = "SELECT products.name, categories.name FROM products JOIN categories ON categories.id = category_id ORDER BY 1"
    assert await fetch(url, referred) == [("First", "First"), ("Second", "Second")]


async def test_a_service_is_seeded_with_what_its_rows_refer_to_and_nothing_else(
    workspace: GeneratedWorkspace, url: str
) -> None:
    lines = seed(workspace, url, "product-service")

    assert [line.partition(":")[0] for line in lines] == [
        "product-service.category",
        "product-service.product",
    ]
    assert "There is no service 'mail'" in refuse(workspace, url, "mail")


async def test_each_service_has_no_rights_but_its_own_and_all_is_undone_where_one_fails(
    workspace: GeneratedWorkspace, url: str
) -> None:
    file = workspace.root / "services/product_service/seeds.py"
    text = file.read_text()
    await fetch(url, "REVOKE INSERT ON products FROM product_service")
    try:
        said = refuse(workspace, url)
        assert "services/product_service/seeds.py: product: " in said
        assert "permission denied for table products" in said
        assert set((await count(url)).values()) == {0}
        file.write_text(text.replace('name="First"', 'name="F" * 81'))

        assert "seeds.py: category: " in refuse(workspace, url)

        file.write_text(text.replace('("category",)', '("shelf",)'))
        assert "product refers to 'shelf', of which no service has seeds" in refuse(workspace, url)

        file.write_text(f"{text}\n1 / 0\n")
        assert "seeds.py: line " in refuse(workspace, url)
    finally:
        file.write_text(text)


LENT = """
[lent-service]
port = 8081

[lent-service.thing]
name = "str:unique"
"""


async def test_an_owner_who_made_the_roles_acts_as_them_and_keeps_no_membership(
    tmp_path: Path, fresh_database_url: str
) -> None:
    workspace = GeneratedWorkspace.describe(tmp_path / "fleet", LENT)
    (tmp_path / "roles").mkdir()
    (tmp_path / "roles/lent_service").write_text("s3cret")
    url = fresh_database_url
    name = url.partition("?")[0].rpartition("/")[2]
    owner = f"owner_of_{name}"
    own_url = url.replace("//postgres@", f"//{owner}@")
    await fetch(url, f'CREATE ROLE "{owner}" LOGIN CREATEROLE')
    await fetch(url, f'ALTER DATABASE "{name}" OWNER TO "{owner}"')
    try:
        migrate = ("-m", "db_manager", "migrate", "--roles", str(tmp_path / "roles"))
        workspace.python(*migrate, DATABASE_URL=own_url)
        members = "SELECT * FROM pg_auth_members ORDER BY roleid, member"
        before = await fetch(url, members)
        await fetch(own_url, "REVOKE INSERT ON things FROM lent_service")

        assert "permission denied for table things" in refuse(workspace, own_url)

        await fetch(own_url, "GRANT INSERT ON things TO lent_service")
        assert seed(workspace, own_url) == ["lent-service.thing: 2 stored"]
        assert await fetch(url, members) == before
    finally:
        for role in ("lent_service", owner):
            await fetch(url, f'REASSIGN OWNED BY "{role}" TO postgres')
            await fetch(url, f'DROP OWNED BY "{role}"')
        await fetch(url, f'ALTER DATABASE "{name}" OWNER TO postgres')
        await fetch(url, "DROP ROLE lent_service")
        await fetch(url, f'DROP ROLE "{owner}"')


async def test_what_is_protected_or_not_migrated_gets_no_rows(
    workspace: GeneratedWorkspace, url: str, fresh_database_url: str
) -> None:
    assert "PROTECTED is set" in refuse(workspace, url, PROTECTED="True")
    assert "Run: python -m db_manager migrate" in refuse(workspace, fresh_database_url)
    own = workspace.root / "services/user_service/.env"
    before = own.read_text()
    own.write_text(f"{before}\nDATABASE_URL={url}\n")
    try:
        environment = workspace.environment
        command = ["python", "-m", "db_manager", "seed", "user-service"]
        run(["python", "-m", "db_manager", "migrate"], workspace.root, environment)
        with pytest.raises(AssertionError, match=r"user_service/\.env names another database"):
            run(command, workspace.root, environment)
    finally:
        own.write_text(before)
