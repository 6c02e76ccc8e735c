"""Descriptions that few would write, and the language allows: each is generated whole, and works."""

from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.described import read_schema
from tests.workspace import GeneratedWorkspace, Serve

pytestmark = pytest.mark.slow

FLEET = """
[stock-service]
port = 8081

[stock-service.owner]
rank = "int:unique=0"
kind = "enum(a, b)"
flag = "bool"
debt = "duration:max(-PT1S)"
_unique = ["kind, flag"]

[stock-service.shelf]
owner = "ref(owner):unique"
kind = "enum(a, b, c):unique"
note = "str?:unique"

[stock-service.room]
shelves = "many(shelf):length(3)"
owners = "many(owner):length(4,4)"

[stock-service.product]
name = "str(20)"
last_order = "ref(order)?"

[stock-service.order]
lines = "items(line):length(1)"
list = "str?"
tuple = "int?"
object = "json?"
field = "str?"
marks = "many(mark):length(12)"
data = "json"

[stock-service.order.line]
product = "ref(product)"
tuple = "int?"
list = "int?"
marks = "many(mark)"
pin = "str:secret"
field = "int?"

[stock-service.mark]
label = "str(10)"
at = "datetime:unique"
price = "decimal(4,2):unique:min(0)"
_active = false

[stock-service.basket]
eggs = "items(egg):length(4)"
nests = "items(nest):length(3)"
_active = false

[stock-service.basket.egg]
flag = "bool"
kind = "enum(a, b)"
mark = "ref(mark):unique"
note = "bool?:unique"
_unique = ["flag, kind"]

[stock-service.basket.nest]
flag = "bool"
kind = "enum(a, b)"
other = "bool"
_unique = ["flag, kind", "kind, other", "flag, other"]

[stock-service.chest]
eggs = "items(egg):fixed"
_active = false

[stock-service.chest.egg]
key = "str(1):unique"

[stock-service.trunk]
eggs = "items(egg)"
marks = "many(mark):length(2)"
password = "str:secret"
_active = false

[stock-service.trunk.egg]
key = "str(1):unique"
marks = "many(mark):length(0,1)"

[stock-service.box]
eggs = "items(egg):length(5,14)"
_active = false

[stock-service.box.egg]
weight = "int"
code = 'text:secret:pattern(/(a|b\\/)+\\?/)'

[stock-service.nothing]
marks = "many(mark)"
_active = false

[stock-service.safe]
field = "str?"
codes = "items(code):length(1)"
password = "str:secret"
shown = "str?:secret"
message = "str?:secret"
initial = "str(1)?:secret"
year = 'str?:secret:pattern(/[0-9]{4}/)'

[stock-service.safe.code]
password = "str:secret:length(3)"
hint = "str?:secret:fixed"
shown = "int?"
marks = "many(mark)"

[other-service]
port = 8082

[other-service.thing]
owner = "ref(stock-service.owner, fk)"
pin = "str:secret"
shelves = "items(slot):length(3)"

[other-service.thing.slot]
shelf = "ref(stock-service.shelf, fk):unique"
owner = "ref(stock-service.owner):unique"

[user-service]
port = 8083

[user-service.user]
username = "str(80):lookup:fixed"
email = "str(120):unique:fixed"
first_name = "str(50)?"
last_name = "str(50)?"
age = "int?"
nickname = "str(40)?"
born_on = "date?:index"
_routes = "contract"

[user-service.device]
code = "str(20):lookup"
price = "decimal(10,2):min(0)"
kind = "enum(a, b):index"
owner = "ref(user)?"
tags = "many(badge)"
lines = "items(line)"
password = "str:secret"
bio = "text?:search"
_routes = "contract"
_unique = ["price, kind"]
_index = ["kind, -price"]

[user-service.device.line]
n = "int:unique"

[user-service.badge]
label = "str(10):fixed"
_routes = "contract"

[odd-service]
port = 8084

[odd-service.ticket]
code = "str(10)"
latest = "ref(bill)?"
line_pin = "str:secret"
lines = "items(line)"
steps = "items(step):fixed"
empties = "items(empty)"

[odd-service.ticket.line]
pin = "str:secret"
bill = "ref(bill)"
password = "text:secret"

[odd-service.ticket.step]
pin = "email?:secret:fixed"
password = "text:secret:length(8)"
key = "str(1):unique"
json = "json?"

[odd-service.ticket.empty]
pin = "url:secret"
copy = "str?:secret"

[odd-service.stub]
parts = "items(piece)"
echo = "ref(far-service.echo, fk)?"

[odd-service.stub.piece]
twin = "ref(far-service.echo)?:unique"

[odd-service.form]
fields = "items(field)"
entities = "items(entity)"
rows = "items(stored)"

[odd-service.form.field]
pin = "str:secret"

[odd-service.form.entity]
label = "str"

[odd-service.form.stored]
label = "str"

[odd-service.round]
steps = "items(question):length(5)"

[odd-service.round.question]
quiz = "ref(far-service.quiz, fk)?:unique"

[far-service]
port = 8085

[far-service.quiz]
number = 'str(40)?:lookup=""'

[far-service.echo]
stub = "ref(odd-service.stub, fk)?"

[odd-service.bill]
ticket = "ref(ticket)"
rows = "items(row):length(1)"

[odd-service.bill.row]
others = "many(bill)"
tickets = "many(ticket):length(1)"
"""
"""Many and items of more than two, which differ in combinations; parts with secrets and pairs; tables
without a column; what changes by its items alone; users of other fields, and the contract's routes for
what is no user; fields called as Python's types; secrets called as what is told of a part, and such as
any answer holds; a reference to another service's negative durations; a part
that refers to what refers to its owner from another service; parts called as what is in generated code."""

BOX = """
[box-service]
port = 8081

[box-service.mark]
label = "str?"

[box-service.box]
code = "str"
eggs = "items(egg)"

[box-service.box.egg]
weight = "int"
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> GeneratedWorkspace:
    """A workspace with all of them."""
    return GeneratedWorkspace.describe(tmp_path_factory.mktemp("awkward") / "fleet", FLEET)


@pytest.fixture(scope="module")
def stock(serve: Serve) -> httpx.Client:
    """A client of the running stock service."""
    return serve("stock_service")


def test_they_pass_every_check_and_their_own_tests(workspace: GeneratedWorkspace) -> None:
    workspace.check()
    workspace.python("-m", "pytest", "-q", "services")


def test_secrets_of_parts_are_taken_and_never_given_out(stock: httpx.Client) -> None:
    marks = [
        stock.post("/marks", json={"label": "x", "at": f"2027-01-0{day}T00:00:00Z", "price": day})
        for day in (1, 2)
    ]
    assert [each.status_code for each in marks] == [201, 201]
    codes = [{"password": "one two", "mark_ids": [2, 1]}, {"password": "three", "hint": "four"}]

    made = stock.post("/safes", json={"password": "five", "codes": codes})
    first, second = made.json()["data"]["codes"]
    path = f"/safes/{made.json()['data']['id']}"
    changed = stock.patch(
        path, json={"codes": [{"id": second["id"], "password": "seven", "mark_ids": [1]}, codes[0]]}
    )

    assert (first["mark_ids"], second["mark_ids"]) == ([1, 2], [])
    assert [each["mark_ids"] for each in changed.json()["data"]["codes"]] == [[1], [1, 2]]
    assert changed.json()["data"]["codes"][0]["id"] == second["id"]
    for answer in (made, changed, stock.get(path), stock.get("/safes")):
        for secret in ("one two", "three", "four", "five", "seven", "password", "hint"):
            assert secret not in answer.text
    for wrong, errors in (
        ({"password": "no"}, {"codes.0.password": "Must be at least 3 characters"}),
        ({"password": "yes", "mark_ids": [1, 9]}, {"codes.0.mark_ids": "No such mark"}),
        (
            {"password": "yes", "mark_ids": [1, 1]},
            {"codes.0.mark_ids": "Must not have the same item twice"},
        ),
        ({"id": second["id"], "hint": "other"}, {"codes.0.hint": "Cannot be changed"}),
    ):
        refused = stock.patch(path, json={"codes": [wrong]})
        assert (refused.status_code, refused.json()["errors"]) == (422, errors)
    assert stock.get(path).json()["data"]["codes"] == changed.json()["data"]["codes"]
    assert stock.delete("/marks/1").json()["message"] == "Mark is in use"
    assert stock.delete(path).status_code == 200
    assert stock.delete("/marks/1").status_code == 200


def test_a_row_of_nothing_but_pairs_is_kept(stock: httpx.Client) -> None:
    mark = {"label": "x", "at": "2028-01-01T00:00:00Z", "price": "9"}
    mark_id = stock.post("/marks", json=mark).json()["data"]["id"]

    made = stock.post("/nothings", json={"mark_ids": [mark_id]}).json()["data"]
    changed = stock.put(f"/nothings/{made['id']}", json={"mark_ids": []}).json()["data"]

    assert (made["mark_ids"], changed["mark_ids"]) == ([mark_id], [])
    assert stock.get("/nothings").json()["data"] == [changed]


async def test_parts_with_rows_get_pairs_and_secrets_and_lose_them(
    tmp_path: Path, fresh_database_url: str
) -> None:
    url = fresh_database_url
    workspace = GeneratedWorkspace.describe(tmp_path / "fleet", BOX)
    workspace.python("-m", "db_manager", "migrate", DATABASE_URL=url)
    connection = await asyncpg.connect(url)
    await connection.execute(
        "INSERT INTO boxes (code) VALUES ('a'); INSERT INTO box_eggs (box_id, position, weight) VALUES (1, 0, 3)"
    )
    before = await read_schema(url)
    revision = await connection.fetchval("SELECT version_num FROM alembic_version")
    field = ("-m", "scaffold", "field", "box-service", "box.egg")

    workspace.python(*field, "marks:many(mark)", "pin:str?:secret", "note:text?:secret")
    workspace.python("-m", "db_manager", "migrate", DATABASE_URL=url)
    await connection.execute("INSERT INTO marks DEFAULT VALUES")
    await connection.execute("INSERT INTO box_egg_marks VALUES (1, 1)")
    workspace.python("-m", "db_manager", "check", DATABASE_URL=url)
    workspace.python(*field, "--rename", "marks:labels")
    workspace.python("-m", "db_manager", "migrate", DATABASE_URL=url)
    rows = await connection.fetch("SELECT * FROM box_egg_labels")
    workspace.python("-m", "db_manager", "check", DATABASE_URL=url)
    workspace.python("-m", "pytest", "-q", "services")
    workspace.python("-m", "db_manager", "downgrade", revision, "--yes", DATABASE_URL=url)
    await connection.close()

    assert [tuple(row.values()) for row in rows] == [(1, 1)]
    assert await read_schema(url) == before
