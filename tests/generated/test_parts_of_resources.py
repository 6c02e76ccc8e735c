"""Resources with parts: tables of their own, read and written with their owners, over real HTTP."""

import asyncio
import json
from typing import Any

import asyncpg
import httpx
import pytest

from quart_fleet.testing import NewDatabase
from scaffold.language.types import SCALARS
from tests.described import read_schema
from tests.generated.test_described_services import AS_SENT
from tests.workspace import GeneratedWorkspace, Serve

pytestmark = pytest.mark.slow

EXAMPLES = {"str": "str(5)", "decimal": "decimal(10,2)", "enum": "enum(open, closed)"}
KINDS = {f"a_{name}": f"{EXAMPLES.get(name, name)}?" for name in SCALARS}
"""Every type that a value can have."""
FLEET = f"""
[order-service]
port = 8083

[order-service.order]
code = "str(20):lookup:fixed"
placed_on = "date?"
status = "enum(open, paid)=open"
gifts = "many(product)"
_actions = {{ pay = "status: open -> paid" }}
lines = "items(line):length(1)"
steps = "items(step):length(0,3)"
stamps = "items(stamp):fixed"
uses = "items(use)"
kinds = "items(kind)"

[order-service.order.line]
code = "str(3)?:pattern(/[A-Z]+/)"
extra = "json?"
product = "ref(product):unique"
sku = "str(20):unique"
gift = "ref(product, set_null)?"
quantity = "int:positive"
unit_price = "decimal(10,2):min(0)=1"
note = "text?"
batch = "int?"
size = "enum(s, m, l)?"
_unique = ["batch, size"]
_index = ["quantity"]

[order-service.order.step]
date = "date"
json = "str(9)"
status = "enum(todo, done):fixed=todo"

[order-service.order.stamp]
text = "str(5)"
author = "ref(pick, cascade)?:fixed"

[order-service.order.use]
parent = "ref(order)"
amount = "int:positive"

[order-service.order.kind]
{"".join(f'{name} = "{spec}"' + chr(10) for name, spec in KINDS.items())}
[order-service.product]
name = "str(20)"

[order-service.pick]
name = "str(9)"
jobs = "items(job):length(4,5)"
_routes = "contract"

[order-service.box]
label = "str(9)"
slots = "items(slot)"
_active = false

[order-service.box.slot]
number = "int:unique"

[order-service.pick.job]
ready = "bool"
at = "duration:unique"
type = "uuid:unique:fixed"
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> GeneratedWorkspace:
    """A workspace with the service that is described above."""
    return GeneratedWorkspace.describe(tmp_path_factory.mktemp("parts") / "fleet", FLEET)


@pytest.fixture(scope="module")
def client(serve: Serve) -> httpx.Client:
    """A client of the running service."""
    return serve("order_service")


@pytest.fixture(scope="module")
def product_ids(client: httpx.Client) -> list[int]:
    """Products that lines refer to."""
    posted = [client.post("/products", json={"name": name}) for name in ("tea", "ink", "pen")]
    return [response.json()["data"]["id"] for response in posted]


class TestResourcesWithParts:
    def test_the_linter_and_the_strict_type_checker_find_nothing(
        self, workspace: GeneratedWorkspace
    ) -> None:
        workspace.check()

    def test_their_own_tests_pass(self, workspace: GeneratedWorkspace) -> None:
        assert " passed" in workspace.python("-m", "pytest", "-q", "services")

    async def test_they_migrate_up_down_and_up_to_what_the_models_say(
        self, workspace: GeneratedWorkspace, fresh_database_url: str
    ) -> None:
        for command in ("migrate", "downgrade 3ef43f3fe70a --yes", "migrate"):
            words = ("-m", "db_manager", *command.split())
            workspace.python(*words, DATABASE_URL=fresh_database_url)

        report = workspace.python(
            "-m", "db_manager", "check", "--json", DATABASE_URL=fresh_database_url
        )

        assert json.loads(report)["ok"] is True

    def test_what_was_posted_is_what_is_read(
        self, client: httpx.Client, product_ids: list[int]
    ) -> None:
        values = {name: value for name, value in AS_SENT.items() if name in KINDS}
        kinds = [
            {name: values[name][number % len(values[name])] for name in KINDS}
            for number in range(5)
        ]
        line = {"product_id": product_ids[0], "sku": "é", "quantity": 1}
        stamps = [{"text": "b", "author_id": None}, {"text": "a", "author_id": None}]
        body = {"code": "law", "lines": [line], "kinds": [*kinds, {}], "stamps": stamps}

        posted = client.post("/orders", json=body).json()["data"]
        path = f"/orders/{posted['id']}"
        backwards = [{"id": each["id"]} for each in posted["kinds"][::-1]]
        turned = client.put(path, json={"kinds": backwards}).json()["data"]
        changed = client.patch(path, json={"kinds": kinds}).json()["data"]

        assert [without_id(each) for each in posted["kinds"]] == [*kinds, dict.fromkeys(KINDS)]
        assert repr(sorted(without_id(posted["kinds"][1]).items())) == repr(
            sorted(kinds[1].items())
        )
        assert turned["kinds"] == posted["kinds"][::-1]
        assert [without_id(each) for each in changed["kinds"]] == kinds
        assert [without_id(each) for each in changed["stamps"]] == stamps
        assert changed["lines"] == [
            line
            | {"id": posted["lines"][0]["id"], "unit_price": "1.00"}
            | dict.fromkeys(("note", "batch", "size", "gift_id", "code", "extra"))
        ]
        assert changed["steps"] == []
        assert client.get(path).json()["data"] == changed
        assert client.get("/orders/code/law").json()["data"] == changed
        assert changed in client.get("/orders").json()["data"]
        assert client.get("/orders", params={"code": "law"}).json()["data"] == [changed]

    def test_an_update_replaces_the_whole_and_keeps_what_has_an_id(
        self, client: httpx.Client, product_ids: list[int]
    ) -> None:
        tea, ink, pen = product_ids
        lines = [
            {
                "product_id": tea,
                "sku": "a",
                "quantity": 1,
                "note": "first",
                "extra": {"a": [1, None], "b": {"c": True}},
            },
            {"product_id": ink, "sku": "b", "quantity": 2},
        ]
        posted = client.post("/orders", json={"code": "whole", "lines": lines}).json()["data"]
        path = f"/orders/{posted['id']}"
        first, second = posted["lines"]
        exchanged = [
            {"id": second["id"], "sku": "a", "product_id": tea},
            {
                "id": first["id"],
                "sku": "b",
                "product_id": ink,
                "note": None,
                "extra": {"a": None, "d": []},
            },
        ]
        new = {"product_id": pen, "sku": "c", "quantity": 3}

        left = client.put(path, json={"lines": None, "placed_on": "2026-11-23"}).json()["data"]
        swapped = client.patch(path, json={"lines": exchanged}).json()["data"]
        third = client.put(path, json={"lines": [new, {"id": first["id"]}]}).json()["data"]

        assert left["lines"] == posted["lines"]
        assert left["placed_on"] == "2026-11-23"
        assert swapped["lines"] == [
            second | exchanged[0],
            first | exchanged[1] | {"extra": {"b": {"c": True}, "d": []}},
        ]
        assert [line["sku"] for line in third["lines"]] == ["c", "b"]
        assert third["lines"][1] == swapped["lines"][1]
        assert client.get(path).json()["data"] == third

    @pytest.mark.parametrize(
        ("lines", "status", "told"),
        [
            ([], 422, {"lines": "Must have at least 1 item"}),
            (None, 422, {"lines": "Must be an array"}),
            ([{}], 400, "Field 'lines.0.product_id' is required"),
            ([{"quantity": 0}], 422, {"lines.0.quantity": "Must be greater than 0"}),
            ([{"quantity": "1"}, {"sku": "b"}], 422, {"lines.0.quantity": "Must be an integer"}),
            ([{}, {"product": 1}], 422, {"lines.1.sku": "Is a duplicate"}),
            ([{}, {"sku": "b"}], 422, {"lines.1.product_id": "Is a duplicate"}),
            ([{"product": 3}], 422, {"lines.0.product_id": "No such product"}),
            ([{}, {"sku": "b", "product": 1, "gift_id": 0}], 422, {"lines.1.gift_id": "No such gift"}),
            ([{"code": "a"}], 422, {"lines.0.code": "Must have the expected form, like C"}),
            ([{"sku": "x" * 21}], 422, {"lines.0.sku": "Must be at most 20 characters"}),
            ([{"quantity": 1}] * 1001, 422, {"lines": "Must have at most 1000 items"}),
            ([{"batch": 1, "size": "s"}, {"sku": "b", "product": 1, "batch": 1, "size": "s"}], 422, {"lines.1.size": "Is a duplicate"}),
            ([{"batch": 1}, {"sku": "b", "product": 1, "batch": 1}], 201, "Order created successfully"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_named_by_its_place(
        self,
        client: httpx.Client,
        product_ids: list[int],
        lines: list[dict[str, Any]] | None,
        status: int,
        told: object,
    ) -> None:
        products = [*product_ids, 2**62]

        def completed(line: dict[str, Any]) -> dict[str, Any]:
            """Return a line with what it does not say, unless that is what is wrong."""
            product = {"product_id": products[line.get("product", 0)]}
            return line if status == 400 else product | {"sku": "a", "quantity": 1} | line

        body = {"code": "wrong", "lines": lines and [completed(line) for line in lines]}

        response = client.post("/orders", json=body)

        answer = response.json()
        assert (response.status_code, answer.get("errors", answer["message"])) == (status, told)

    def test_what_an_update_refuses_is_named_and_nothing_is_written(
        self, client: httpx.Client, product_ids: list[int]
    ) -> None:
        line = {"product_id": product_ids[0], "sku": "a", "quantity": 1}
        step = {"date": "2026-11-23", "json": "x"}
        other = client.post("/orders", json={"code": "other", "lines": [line]}).json()["data"]
        body = {"code": "kept", "lines": [line], "steps": [step]}
        posted = client.post("/orders", json=body).json()["data"]
        path, own = f"/orders/{posted['id']}", {"id": posted["lines"][0]["id"]}
        refusals: list[tuple[dict[str, object], dict[str, str]]] = [
            ({"lines": []}, {"lines": "Must have at least 1 item"}),
            ({"lines": [{"id": other["lines"][0]["id"]}]}, {"lines.0.id": "No such item"}),
            ({"lines": [own, own]}, {"lines.1.id": "Is a duplicate"}),
            ({"lines": [own | {"quantity": None}]}, {"lines.0.quantity": "Must be an integer"}),
            ({"lines": [own | {"product_id": 0}]}, {"lines.0.product_id": "No such product"}),
            (
                {"steps": [{"id": posted["steps"][0]["id"], "status": "done"}]},
                {"steps.0.status": "Cannot be changed"},
            ),
            ({"steps": [step] * 4}, {"steps": "Must have at most 3 items"}),
        ]

        for change, errors in refusals:
            for send in (client.put, client.patch):
                refused = send(path, json=change)

                assert (refused.status_code, refused.json().get("errors")) == (422, errors)
        fixed = client.patch(path, json={"stamps": []})
        assert fixed.json()["errors"] == {"stamps": "Cannot be changed"}
        assert client.get(path).json()["data"] == posted
        kept = client.put(path, json={"stamps": [{"text": "a"}], "placed_on": "2026-11-23"})
        assert kept.json()["data"]["stamps"] == []

    async def test_of_updates_at_once_each_sees_the_one_before(
        self, client: httpx.Client, product_ids: list[int]
    ) -> None:
        line = {"product_id": product_ids[0], "sku": "a", "quantity": 1}
        async with httpx.AsyncClient(base_url=client.base_url, timeout=60) as racing:
            posted = await racing.post("/orders", json={"code": "race", "lines": [line]})
            order = posted.json()["data"]
            own, new = {"id": order["lines"][0]["id"]}, line | {"product_id": product_ids[1]}
            path = f"/orders/{order['id']}"
            bodies = [{"lines": [own, new | {"sku": str(number)}]} for number in range(20)]
            answers = await asyncio.gather(*(racing.put(path, json=body) for body in bodies))
            read = await racing.get(path)

        assert {answer.status_code for answer in answers} == {200}
        lines = read.json()["data"]["lines"]
        assert len(lines) == 2
        assert lines in [answer.json()["data"]["lines"] for answer in answers]

    def test_parts_go_with_their_owner_and_keep_what_they_refer_to(
        self, client: httpx.Client
    ) -> None:
        product, gift = (
            client.post("/products", json={"name": name}).json()["data"]["id"] for name in "ab"
        )
        line = {"product_id": product, "sku": "a", "quantity": 1, "gift_id": gift}
        posted = client.post("/orders", json={"code": "gone", "lines": [line]}).json()["data"]
        path = f"/orders/{posted['id']}"

        in_use = client.delete(f"/products/{product}")
        assert (in_use.status_code, in_use.json()["message"]) == (409, "Product is in use")
        assert client.delete(f"/products/{gift}").status_code == 200
        assert client.get(path).json()["data"]["lines"] == [posted["lines"][0] | {"gift_id": None}]
        assert client.delete(path).status_code == 200
        assert client.delete(f"/products/{product}").status_code == 200


def without_id(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part as it was sent."""
    return {name: value for name, value in part.items() if name != "id"}


STATEMENTS = """
import asyncio, json, os

from order_service.infrastructure.database.unit_of_work import SQLAlchemyOrderUnitOfWork
from quart_fleet.database import Database, Transaction
from quart_fleet.paging import ListQuery
from quart_fleet.settings import DatabaseSettings

FILL = '''
INSERT INTO orders (code) SELECT 'n' || n FROM generate_series(1, 20000) AS n;
INSERT INTO order_steps (order_id, position, date, json)
    SELECT (SELECT min(id) FROM orders) + n % 20000, n / 20000, '2026-11-23', n
    FROM generate_series(0, 99999) AS n;
ANALYZE orders, order_steps'''


def kinds_of(node):
    return [node["Node Type"]] + [kind for each in node.get("Plans", ()) for kind in kinds_of(each)]


async def main():
    sent, send = [], Transaction._send

    async def record(self, method, *arguments, **options):
        sent.extend([arguments] * (method != "execute"))  # not BEGIN
        return await send(self, method, *arguments, **options)

    Transaction._send = record
    settings = DatabaseSettings.model_validate({"DATABASE_URL": os.environ["DATABASE_URL"]})
    async with Database(settings) as database, database.connect() as connection:
        await connection.execute(FILL)
        async with SQLAlchemyOrderUnitOfWork(database) as work:
            page = await work.orders.list_by(ListQuery(limit=100))
            chunk = await work.orders.list_page(page.items[-1].id, 500)
        plans = []
        for sql, *arguments in sent:
            [row] = await connection.fetch("EXPLAIN (FORMAT JSON) " + sql, *arguments)
            plans.append(kinds_of(row["QUERY PLAN"][0]["Plan"]))
    steps = {len(each.steps) for each in chunk}
    print(json.dumps({"sent": [sql for sql, *_ in sent], "plans": plans, "steps": [*steps]}))


asyncio.run(main())
"""


async def test_a_list_takes_one_statement_for_its_rows_and_one_for_each_table_of_parts(
    workspace: GeneratedWorkspace, fresh_database_url: str
) -> None:
    settings = {"DATABASE_URL": fresh_database_url}
    workspace.python("-m", "db_manager", "migrate", **settings)

    found = json.loads(workspace.python("-c", STATEMENTS, **settings))

    tails = [sql.split("FROM ")[1] for sql in found["sent"]]
    tables = [tail.split()[0] for tail in tails]
    kept_apart = ("lines", "steps", "stamps", "uses", "kinds", "gifts")
    assert tables == ["orders", *(f"order_{name}" for name in kept_apart)] * 2
    assert found["steps"] == [5]
    assert tails[2] == tails[9]
    assert tails[2] == (
        "order_steps \nWHERE order_steps.order_id = ANY ($1::BIGINT[]) "
        "ORDER BY order_steps.order_id, order_steps.position"
    )
    for place in (0, 2):
        assert "Seq Scan" not in found["plans"][place]
        assert {"Index Scan", "Bitmap Index Scan"} & set(found["plans"][place])


LIFE = [
    'code = "str(20):unique"',
    """
code = "str(20):unique"
lines = "items(line)"

[order-service.order.line]
amount = "int"
step = "str(9)?"
""",
    """
code = "str(20):unique"
lines = "items(line):length(1)"
steps = "items(step)"

[order-service.order.line]
quantity = "bigint:was(amount)"
step = "str(9):unique"
status = "enum(a, b):index=a"
cover = "ref(order)?"
_unique = ["quantity, status"]

[order-service.order.step]
name = "text"
""",
    """
code = "str(20):unique"
lines = "items(line)"

[order-service.order.line]
quantity = "bigint"
step = "str(9)?"
status = "enum(a, b, c)=c"
""",
    """
code = "str(20):unique"
lines = "items(line)"
_plural = "purchases"

[order-service.order.line]
quantity = "bigint:unique"
step = "str(9)?"
status = "enum(a, b, c)=c"
_plural = "entries"
""",
]
"""An order as it is described at first, and after each change."""


async def test_parts_are_added_changed_and_dropped_on_tables_with_rows(
    tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase
) -> None:
    def describe(workspace: GeneratedWorkspace, block: str) -> None:
        fill = ["--fill", "order.line.step=x"] if "step =" in block else []
        (workspace.root / "fleet.toml").write_text(
            f"[order-service]\nport = 8083\n\n[order-service.order]\n{block.strip()}\n"
        )
        workspace.python("-m", "scaffold", "apply", "--yes", *fill)

    folder = tmp_path_factory.mktemp("life")
    workspace = GeneratedWorkspace.make(folder / "changed")
    async with new_database() as url:
        connection = await asyncpg.connect(url)
        for number, block in enumerate(LIFE):
            describe(workspace, block)
            workspace.python("-m", "db_manager", "migrate", DATABASE_URL=url)
            direct = GeneratedWorkspace.make(folder / f"direct_{number}")
            describe(direct, block.replace(":was(amount)", ""))
            async with new_database() as direct_url:
                direct.python("-m", "db_manager", "migrate", DATABASE_URL=direct_url)
                expected = await read_schema(direct_url)
            assert await read_schema(url) == expected
            if number == 1:
                await connection.execute(
                    "INSERT INTO orders (code) VALUES ('a');"
                    "INSERT INTO order_lines (order_id, position, amount) VALUES (1, 0, 7)"
                )
        rows = await connection.fetch("SELECT quantity, step, status FROM order_entries")
        assert [tuple(row) for row in rows] == [(7, "x", "a")]
        await connection.close()
        report = workspace.python("-m", "db_manager", "check", "--json", DATABASE_URL=url)
        assert json.loads(report)["ok"] is True
        for command in ("downgrade 3ef43f3fe70a --yes", "migrate"):
            workspace.python("-m", "db_manager", *command.split(), DATABASE_URL=url)
        assert await read_schema(url) == expected
        removal = ("remove", "order-service", "order", "--assume-applied", "--yes")
        workspace.python("-m", "scaffold", *removal)
        workspace.python("-m", "db_manager", "migrate", DATABASE_URL=url)
        assert "order" not in str(await read_schema(url))
