"""Changes of a table of 200,000 rows while a service answers requests about it: none fails.

What is added is migrated while the code runs that does not know it; what is dropped, while the code
runs that no longer knows it. `make proofs` tries all kinds of change, CI as many as CHANGES says;
SEED chooses others. Each prints its slowest request.
"""

import asyncio
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random

import asyncpg
import httpx
import pytest
import pytest_asyncio

from quart_fleet.testing import NewDatabase
from tests.workspace import GeneratedWorkspace, booted, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

CHANGES = int(os.environ.get("CHANGES", "3"))
SEED = int(os.environ.get("SEED", "1"))
NUMBER = 200_000
FLEET = """
[other-service]
port = 8082

[shop-service]
port = 8081

[shop-service.basket]
products = "many(product)"

[shop-service.category]
name = "str(80):unique"

[shop-service.product]
code = "str(40)"
stock = "int"
note = "str(20)?"
price = "decimal(10,2)"
status = "enum(open, paid)=open"
spare = "str(20)=x"
size = "int?:index"
sku = "str(20)?:unique"
slug = "str(40)?"
category = "ref(category)?"
labels = "many(tag)"
pieces = "items(piece)"
_index = ["status, -price"]
_unique = ["code, price"]

[shop-service.product.piece]
weight = "int"
kind = "str(9)=a"

[shop-service.review]
text = "str(100)"
product = "ref(product)"

[shop-service.tag]
label = "str(40):unique"
"""
ROWS = (
    "INSERT INTO tags (label) VALUES ('new')",
    f"""
    INSERT INTO products (code, slug, stock, note, price)
    SELECT 'old ' || number, 'old ' || number, number % 100,
        nullif('note', repeat('note', number % 2)), number / 3.0
    FROM generate_series(1, {NUMBER}) AS number
    """,
    "INSERT INTO product_labels (product_id, label_id) SELECT id, 1 FROM products",
    "INSERT INTO product_pieces (product_id, position, weight) SELECT id, 0, 1 FROM products",
    "INSERT INTO reviews (text, product_id) SELECT 'fine', id FROM products",
    "ANALYZE",
)

Edit = tuple[str, ...]
"""A command of the generator; or of the file: what is there, and what comes in its place."""

PRODUCT = ("shop-service", "product")
FIELD, OPTION = ("field", *PRODUCT), ("resource", *PRODUCT)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of change."""

    edit: Edit
    running: Edit | None = None
    """What makes the code that runs meanwhile of the old code; None: it is the old code."""
    creates: bool = True
    """Whether that code can create rows behind the change."""
    way_back: bool = True
    """Whether the way back lets that code work as well."""


def dropped(*edit: str) -> Kind:
    """What is dropped: the new code runs already, and would not fill what came back."""
    return Kind(edit, running=edit, way_back=False)


KINDS = {
    "a resource that refers to it": Kind(
        ("resource", "shop-service", "offer", "percent:int", "product:ref(product)")
    ),
    "another service's resource that refers to it": Kind(
        (
            "resource",
            "other-service",
            "visit",
            "at:datetime",
            "product:ref(shop-service.product, fk)",
        )
    ),
    "a resource with many of it": Kind(
        ("resource", "shop-service", "shelf", "products:many(product)")
    ),
    "no resource that referred to it": dropped("remove", "shop-service", "review"),
    "no resource with many of it": dropped("remove", "shop-service", "basket"),
    "many": Kind((*FIELD, "tags:many(tag)")),
    "no many": dropped(*FIELD, "--drop", "labels"),
    "many of another name": Kind(
        (*FIELD, "--rename", "labels:marks"), running=(*FIELD, "--drop", "labels")
    ),
    "items": Kind(
        (
            "size = ",
            'screws = "items(screw)"\nsize = ',
            "[shop-service.product.piece]",
            '[shop-service.product.screw]\nlength = "int"\n\n[shop-service.product.piece]',
        )
    ),
    "no items": dropped(*FIELD, "--drop", "pieces"),
    "a field of items": Kind(("field", "shop-service", "product.piece", "colour:str(20)=red")),
    "no field of items": dropped("field", "shop-service", "product.piece", "--drop", "kind"),
    "an index": Kind((*OPTION, "--index", "stock, -code")),
    "no index": Kind(('_index = ["status, -price"]\n', "")),
    "a unique set": Kind((*OPTION, "--unique", "code, stock")),
    "no unique set": Kind(('_unique = ["code, price"]\n', "")),
    "an indexed field": Kind((*FIELD, "stock:int:index")),
    "no indexed field": Kind((*FIELD, "size:int?")),
    "a unique field": Kind((*FIELD, "slug:str(40)?:unique")),
    "a field to look up": Kind((*FIELD, "slug:str(40)?:lookup")),
    "no unique field": Kind((*FIELD, "sku:str(20)?")),
    "a search": Kind((*FIELD, "note:str(20)?:search")),
    "an action": Kind((*OPTION, "--action", "pay=status: open -> paid")),
    "no is_active": dropped(*OPTION, "--no-active"),
    "an optional field": Kind((*FIELD, "extra:text?")),
    "a field with a default": Kind((*FIELD, "extra:int=0")),
    "a field that is filled": Kind((*FIELD, "extra:int", "--fill", "extra=1"), creates=False),
    "a required field": Kind((*FIELD, "note:str(20)", "--fill", "note=none")),
    "no required field": Kind((*FIELD, "stock:int?")),
    "a reference": Kind((*FIELD, "brand:ref(category)?")),
    "a wider text": Kind((*FIELD, "code:str(80)"), way_back=False),
    "a wider decimal": Kind((*FIELD, "price:decimal(12,2)"), way_back=False),
    "a word": Kind((*FIELD, "status:enum(open, paid, sent)=open")),
    "another default": Kind((*FIELD, "spare:str(20)=y")),
    "no field": dropped(*FIELD, "--drop", "spare"),
    "another name": Kind((*FIELD, "--rename", "spare:other"), running=(*FIELD, "--drop", "spare")),
}
CHOSEN = Random(SEED).sample(sorted(KINDS), min(CHANGES, len(KINDS)))


@dataclass(frozen=True, slots=True)
class Shop:
    """A workspace with a large table."""

    workspace: GeneratedWorkspace
    url: str

    @property
    def impatient_url(self) -> str:
        """Of a database in which a statement fails that waits for a lock for a second."""
        assert "&options=" in self.url
        return self.url.replace("&options=", "&options=-c%20lock_timeout%3D1s")

    def edited(self, edit: Edit, folder: Path) -> GeneratedWorkspace:
        """Return a copy that has been changed."""
        shutil.copytree(self.workspace.root, folder, ignore=shutil.ignore_patterns(".postgres"))
        copy = GeneratedWorkspace(folder)
        command = edit
        if edit[0] not in ("field", "resource", "remove"):
            file, command = folder / "fleet.toml", ("apply",)
            text = file.read_text()
            for old, new in zip(edit[::2], edit[1::2], strict=True):
                assert old in text
                text = text.replace(old, new, 1)
            file.write_text(text)
        assumed = ("--assume-applied",) if command[0] == "remove" else ()
        whole = [sys.executable, "-m", "scaffold", *command, *assumed, "--yes"]
        run(whole, folder, copy.environment | {"DATABASE_URL": self.url})
        return copy

    def migrate(self, workspace: GeneratedWorkspace, *command: str) -> None:
        """Run the database manager of a workspace."""
        workspace.python("-m", "db_manager", *command, DATABASE_URL=self.url)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(
    tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase
) -> AsyncIterator[Shop]:
    """A workspace whose database has many rows."""
    workspace = GeneratedWorkspace.make(tmp_path_factory.mktemp("changes") / "fleet")
    (workspace.root / "fleet.toml").write_text(FLEET)
    workspace.python("-m", "scaffold", "apply")
    async with new_database() as url:
        made = Shop(workspace, url)
        made.migrate(workspace, "migrate")
        connection = await asyncpg.connect(url)
        for statement in ROWS:
            await connection.execute(statement)
        await connection.close()
        yield made


@pytest.fixture(scope="module")
def old_service(shop: Shop) -> Iterator[str]:
    """The address of a service that runs the old code."""
    with booted(shop.workspace, "shop_service", shop.impatient_url) as address:
        yield address


@pytest.mark.parametrize("name", CHOSEN)
async def test_no_request_fails_and_none_waits_over_a_second_for_a_lock(
    shop: Shop, old_service: str, tmp_path: Path, name: str
) -> None:
    kind = KINDS[name]
    changed = shop.edited(kind.edit, tmp_path / "changed")
    with running(shop, kind, old_service, tmp_path / "running") as address:
        async with clients(address, shop.url, creates=kind.creates) as slowest:
            await asyncio.to_thread(shop.migrate, changed, "migrate")
        shop.migrate(changed, "check")
        revisions = "db_manager/migrations/versions/*.py"
        if len([*changed.root.glob(revisions)]) == len([*shop.workspace.root.glob(revisions)]):
            assert name == "an action"  # which the database knows nothing of
        elif kind.way_back:
            async with clients(address, shop.url, creates=kind.creates):
                await asyncio.to_thread(shop.migrate, changed, "downgrade", "-1", "--yes")
        else:
            shop.migrate(changed, "downgrade", "-1", "--yes")
    print(f"{name}: {', '.join(f'{each} {slowest[each] * 1000:.0f} ms' for each in slowest)}")


@contextmanager
def running(shop: Shop, kind: Kind, old_service: str, folder: Path) -> Iterator[str]:
    """Run the code that is there while the database is changed; gives its address."""
    if kind.running is None:
        yield old_service
    else:
        code = shop.edited(kind.running, folder)
        with booted(code, "shop_service", shop.impatient_url) as address:
            yield address


@asynccontextmanager
async def clients(address: str, url: str, *, creates: bool) -> AsyncIterator[dict[str, float]]:
    """Ask for rows, change and create them meanwhile; gives the slowest answer of each kind, in s."""
    slowest, done = dict[str, float](), Counter[str]()
    is_over = asyncio.Event()

    async def ask(client: httpx.AsyncClient, method: str, path: str, **body: object) -> None:
        began = time.perf_counter()
        answer = await client.request(method, path, json=body or None)
        assert answer.status_code in (200, 201), f"{method} {path}: {answer.text}"
        slowest[method] = max(slowest.get(method, 0), time.perf_counter() - began)
        done[method] += 1

    async def work(client: httpx.AsyncClient, chance: Random) -> None:
        while not is_over.is_set():
            path = f"/products/{chance.randint(1, NUMBER)}"
            await ask(client, "GET", path)
            await ask(client, "PUT", path, stock=chance.randint(1, 99))
            await ask(client, "PATCH", path, note="seen")
            await ask(client, "GET", "/products?limit=20&sort=-id")
            if creates:
                code = f"new {next(_codes)}"
                new = {"code": code, "slug": code, "stock": 1, "price": "1.00", "note": "new"}
                await ask(client, "POST", "/products", **new)

    async def read_slowly(connection: asyncpg.Connection) -> None:
        """Hold a lock for longer than a revision waits for its own."""
        while not is_over.is_set():
            async with connection.transaction():
                await connection.fetch("SELECT id FROM products WHERE id = 1")
                await asyncio.sleep(0.7)
            await asyncio.sleep(0.7)

    connection = await asyncpg.connect(url)
    try:
        async with (
            httpx.AsyncClient(base_url=address, timeout=60) as client,
            asyncio.TaskGroup() as group,
        ):
            for seed in range(4):
                group.create_task(work(client, Random(seed)))
            group.create_task(read_slowly(connection))
            yield slowest
            is_over.set()
    finally:
        await connection.close()
    assert min(done[method] for method in ("GET", "PUT", "PATCH")) > 0


_codes = count()
