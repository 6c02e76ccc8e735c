"""Services with actions, unique sets and no is_active: their own tests, and over real HTTP."""

import asyncio
import json

import asyncpg
import httpx
import pytest

from quart_fleet.conventions import PREFIX
from quart_fleet.passwords import PasswordHasher
from quart_fleet.testing import NewDatabase
from tests.workspace import GeneratedWorkspace, Serve

FLEET = r"""
[order-service]
port = 9210

[order-service.order]
code = "str(20):lookup:fixed"
status = "enum(open, paid, in_transit, cancelled):index"
_actions = { pay = "status: open -> paid", send_off = "status: paid -> in_transit", cancel = "status: open, paid -> cancelled", find = "status: cancelled -> open" }

[order-service.door]
state = "enum(shut, open)=open"
mood = "enum(fine, sad)"
_actions = { open = "state: shut -> open", shut = "state: open -> shut", cheer = "mood: sad -> fine" }
_active = false

[order-service.tag]
label = "str(40):unique:length(2)"
_active = false

[order-service.enrolment]
course = "str(20)"
term = "str(10)?"
mark = "enum(a, b)"
json = "int"
at = "datetime"
_unique = ["course, term", "course, mark, json", "at"]
_active = false

[order-service.event]
data = "json"
extra = "json?"
_active = false

[order-service.article]
title = "str(80):search"
body = "text?:search"
kind = "enum(news, essay):index"
_active = false

[order-service.account]
name = "str(40):unique"
password = "str(80):secret:length(8)"
api_key = 'text?:secret:pattern(/k-\d+/)'
_active = false

[order-service.stamp]
at = "datetime:fixed"
_active = false

[order-service.flag]
is_active = "bool"
_active = false
_index = ["is_active", "created_at"]

[order-service.pause]
json = "duration"
code = 'str(8)?:unique:pattern(/[A-Z]{3}-\d{2,4}/)'
slug = "text:length(3):pattern(/[a-z]*/)=abc"
_active = false
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> GeneratedWorkspace:
    """A workspace with the service that is described above."""
    return GeneratedWorkspace.describe(tmp_path_factory.mktemp("options") / "fleet", FLEET)


@pytest.fixture(scope="module")
def client(serve: Serve) -> httpx.Client:
    """A client of the running service."""
    return serve("order_service")


def test_the_linter_finds_nothing(workspace: GeneratedWorkspace) -> None:
    workspace.python("-m", "ruff", "check", ".")
    workspace.python("-m", "ruff", "format", "--check", ".")


@pytest.mark.slow
def test_every_contract_and_type_holds(workspace: GeneratedWorkspace) -> None:
    workspace.python("-m", "scaffold", "contracts")
    workspace.python("-m", "mypy", "services", "shared/models", "db_manager/migrations")


@pytest.mark.slow
def test_their_own_tests_pass(workspace: GeneratedWorkspace) -> None:
    assert " passed" in workspace.python("-m", "pytest", "-q", "services")


def test_a_resource_without_is_active_has_nothing_of_it(workspace: GeneratedWorkspace) -> None:
    service = workspace.root / "services/order_service"
    files = [*service.rglob("*tag*.py"), workspace.root / "shared/models/tag.py"]

    assert len(files) == 14
    for path in files:
        text = path.read_text()
        assert "active" not in text, path


@pytest.mark.slow
class TestActions:
    def test_a_state_is_changed_by_actions_alone(self, client: httpx.Client) -> None:
        refused = client.post("/orders", json={"code": "a", "status": "paid"})
        order = client.post("/orders", json={"code": "a", "status": "open"}).json()["data"]
        path = f"/orders/{order['id']}"

        put = client.put(path, json={"status": "paid", "is_active": True})
        patched = client.patch(path, json={"status": "paid"})
        early = client.post(f"{path}/send-off")
        paid = client.post(f"{path}/pay", content=b"not read")
        sent = client.post(f"{path}/send-off")
        late = client.post(f"{path}/cancel")

        assert (refused.status_code, refused.json()) == (
            422,
            {
                "message": "Validation failed",
                "success": False,
                "errors": {"status": "Must be 'open'"},
            },
        )
        assert put.json()["data"]["status"] == "open"
        assert (patched.status_code, patched.json()["errors"]) == (
            422,
            {"status": "Cannot be changed"},
        )
        assert (early.status_code, early.json()) == (
            409,
            {"message": "Order is open", "success": False},
        )
        assert (paid.status_code, paid.json()["message"]) == (200, "Order paid successfully")
        assert sent.json()["message"] == "Order is now in transit"
        assert (late.status_code, late.json()["message"]) == (409, "Order is in transit")
        assert client.get(path).json()["data"]["status"] == "in_transit"

    def test_an_absent_one_is_not_found_and_an_unknown_action_no_endpoint(
        self, client: httpx.Client
    ) -> None:
        order = client.post("/orders", json={"code": "b"}).json()["data"]

        assert client.post("/orders/0/pay").json()["message"] == "Order not found"
        assert client.post("/orders/x/pay").json()["message"] == "Endpoint not found"
        assert client.post(f"/orders/{order['id']}/refund").status_code == 404
        assert client.get(f"/orders/{order['id']}/pay").status_code == 405

    async def test_of_actions_at_once_one_is_done(self, client: httpx.Client) -> None:
        async with httpx.AsyncClient(base_url=str(client.base_url), timeout=30) as clients:
            order = (await clients.post("/orders", json={"code": "c"})).json()["data"]
            path = f"/orders/{order['id']}"
            answers = await asyncio.gather(
                *(clients.post(f"{path}/{action}") for action in ("pay", "pay", "pay", "pay"))
            )

        assert sorted(each.status_code for each in answers) == [200, 409, 409, 409]

    def test_an_action_may_be_a_word_of_python(self, client: httpx.Client) -> None:
        door = client.post("/doors", json={"mood": "fine"}).json()["data"]
        path = f"/doors/{door['id']}"

        shut, opened = client.post(f"{path}/shut"), client.post(f"{path}/open")

        assert (door["state"], door["mood"]) == ("open", "fine")
        assert shut.json()["data"]["state"] == "shut"
        assert opened.json()["data"]["state"] == "open"
        assert client.post(f"{path}/cheer").json()["message"] == "Door is fine"
        assert client.put(path, json={"state": "shut"}).status_code == 405


ENROLMENT = {
    "course": "Law",
    "term": "I",
    "mark": "a",
    "json": 1,
    "at": "2026-11-23T09:24:02Z",
}


@pytest.mark.slow
class TestUniqueSets:
    def test_values_are_unique_together(self, client: httpx.Client) -> None:
        first = client.post("/enrolments", json=ENROLMENT)
        same_term = ENROLMENT | {"mark": "b", "at": "2026-11-23T09:24:03Z"}
        same_mark = ENROLMENT | {"term": "II", "at": "2026-11-23T09:24:03Z"}
        other = client.post(
            "/enrolments",
            json=ENROLMENT | {"term": "III", "mark": "b", "at": "2026-11-23T09:24:04Z"},
        )

        refused = [client.post("/enrolments", json=body) for body in (same_term, same_mark)]
        again = client.post("/enrolments", json=ENROLMENT)
        change = client.put(f"/enrolments/{other.json()['data']['id']}", json={"mark": "a"})

        assert (first.status_code, other.status_code) == (201, 201)
        assert [(each.status_code, each.json()) for each in (*refused, again, change)] == [
            (400, {"message": message, "success": False})
            for message in (
                "Course and term already exist",
                "Course, mark and json already exist",
                "At already exists",
                "Course, mark and json already exist",
            )
        ]

    def test_null_is_no_value(self, client: httpx.Client) -> None:
        bodies = [
            ENROLMENT | {"course": "Art", "term": None, "json": n, "at": f"2027-01-0{n}T00:00:00Z"}
            for n in (1, 2)
        ]

        answers = [client.post("/enrolments", json=body) for body in bodies]

        assert [each.status_code for each in answers] == [201, 201]


@pytest.mark.slow
def test_what_never_changes_has_no_route_that_changes_it(client: httpx.Client) -> None:
    stamp = client.post("/stamps", json={"at": "2026-11-23T09:24:02Z"}).json()["data"]
    path = f"/stamps/{stamp['id']}"

    assert set(stamp) == {"id", "at", "created_at", "updated_at"}
    assert client.put(path, json={"at": "2026-11-23T09:24:02Z"}).status_code == 405
    assert client.get("/stamps/active").status_code == 404
    assert client.post(f"{path}/deactivate").status_code == 404
    assert client.delete(path).status_code == 200


@pytest.mark.slow
def test_a_text_matches_its_pattern_as_a_whole(client: httpx.Client) -> None:
    good = client.post("/pauses", json={"json": "PT1H", "code": "ABC-123"}).json()["data"]
    path = f"/pauses/{good['id']}"

    answers = [
        client.post("/pauses", json={"json": "PT1H", "code": "ABC-12345"}),
        client.post("/pauses", json={"json": "PT1H", "code": "ABC-12\n", "slug": "a"}),
        client.put(path, json={"code": "abc-12"}),
        client.patch(path, json={"code": "", "slug": "a" * 50_000 + "!"}),
    ]

    pattern = "Must have the expected form, like BIQ-4759"
    assert [(each.status_code, each.json()["errors"]) for each in answers] == [
        (422, {"code": "Must be at most 8 characters"}),
        (422, {"code": pattern, "slug": "Must be at least 3 characters"}),
        (422, {"code": pattern}),
        (422, {"code": pattern, "slug": "Must have the expected form, like abc"}),
    ]
    assert client.get(path).json()["data"] == good


JSON = [
    *("", "é☃😀 ", 0, -(2**63), 2**63 - 1, 2**64 - 1, 0.1, 1.0, -1.5, 5e-324, 1e15, 1e22),
    *(1.7976931348623157e308, 100.0, True, False, [], {}, [None], {"": None}),
    {"a": 1.0, "b": [1, {"a": "\x01\u2028"}, []], "ü": {"deep": [[[[1.25]]]]}},
]


@pytest.mark.slow
@pytest.mark.parametrize("value", JSON, ids=repr)
def test_any_json_is_read_as_it_was_sent(client: httpx.Client, value: object) -> None:
    posted = client.post("/events", json={"data": value, "extra": [value]}).json()["data"]
    path = f"/events/{posted['id']}"
    put = client.put(path, json={"data": value}).json()["data"]
    [gotten] = [each for each in client.get("/events").json()["data"] if each["id"] == posted["id"]]

    for found in (posted, put, gotten):
        assert (repr(found["data"]), repr(found["extra"])) == (repr(value), repr([value]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ('"a\\u0000"', "Must not contain NUL characters"),
        ('[{"a\\u0000": 1}]', "Must not contain NUL characters"),
        ('["\\ud800"]', "Must be valid Unicode text"),
        ("[1e400]", "Must be a finite number"),
        (f"[{2**64}]", "Must have whole numbers of at most 64 bits"),
        (f"[{'9' * 5000}]", "Must have whole numbers of at most 64 bits"),
        ("null", "Must not be null"),
    ],
)
def test_json_that_would_not_come_back_is_refused(
    client: httpx.Client, value: str, reason: str
) -> None:
    headers = {"Content-Type": "application/json"}

    answer = client.post("/events", content=f'{{"data": {value}}}', headers=headers)

    assert (answer.status_code, answer.json()["errors"]) == (422, {"data": reason})


@pytest.mark.slow
def test_json_that_is_too_deep_is_refused(client: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}
    deepest = f'{{"data": {"[" * 150}{"]" * 150}}}'
    too_deep = f'{{"data": {"[" * 100_000}{"]" * 100_000}}}'

    assert client.post("/events", content=deepest, headers=headers).status_code == 201
    assert client.post("/events", content=too_deep, headers=headers).status_code == 400


@pytest.mark.slow
def test_a_patch_merges_into_an_object_and_null_is_null_of_the_field(client: httpx.Client) -> None:
    body = {"data": {"a": 1, "b": {"c": [1], "d": 2}}, "extra": [1]}
    path = f"/events/{client.post('/events', json=body).json()['data']['id']}"

    merged = client.patch(path, json={"data": {"b": {"d": None, "e": {"f": None}}, "g": 3}})
    cleared = client.patch(path, json={"extra": None})
    refused = client.patch(path, json={"data": None})
    replaced = client.patch(path, json={"data": [None]})

    assert merged.json()["data"]["data"] == {"a": 1, "b": {"c": [1], "e": {}}, "g": 3}
    assert cleared.json()["data"]["extra"] is None
    assert (refused.status_code, refused.json()["errors"]) == (422, {"data": "Must not be null"})
    assert replaced.json()["data"]["data"] == [None]


@pytest.fixture(scope="module")
def articles(client: httpx.Client) -> list[int]:
    bodies = [
        {"title": "100% cotton", "kind": "news"},
        {"title": "100 percent", "body": "Cotton_wool is warm", "kind": "essay"},
        {"title": "back\\slash", "body": "COTTON again", "kind": "news"},
        {"title": "Éclair", "body": "cotton'; DROP TABLE articles; --", "kind": "essay"},
    ]
    return [client.post("/articles", json=each).json()["data"]["id"] for each in bodies]


@pytest.mark.slow
class TestSearch:
    @pytest.mark.parametrize(
        ("sought", "found"),
        [
            ("cotton", [0, 1, 2, 3]),
            ("COTTON", [0, 1, 2, 3]),
            ("100%", [0]),
            ("n_w", [1]),
            ("k\\s", [2]),
            ("'; DROP", [3]),
            ("Éclair", [3]),
            ("% cotton", [0]),
            ("no such", []),
            ("x" * 100, []),
        ],
    )
    def test_a_part_of_a_text_is_found_as_it_is(
        self, client: httpx.Client, articles: list[int], sought: str, found: list[int]
    ) -> None:
        answer = client.get("/articles", params={"q": sought}).json()

        assert [each["id"] for each in answer["data"]] == [articles[each] for each in found]

    def test_it_is_read_in_pages_with_filters_and_both_ways(
        self, client: httpx.Client, articles: list[int]
    ) -> None:
        query = {"q": "cotton", "limit": "1", "kind": "essay", "count": "true"}

        first = client.get("/articles", params=query)
        following = first.links["next"]["url"].removeprefix(PREFIX)
        second, other = client.get(following), client.get(following.replace("cotton", "wool"))
        newest = client.get("/articles", params=query | {"sort": "-id"})

        ids = [[each["id"] for each in page.json()["data"]] for page in (first, second, newest)]
        assert ids == [[articles[1]], [articles[3]], [articles[3]]]
        assert first.headers["X-Total-Count"] == "2"
        assert "next" not in second.links
        assert (other.status_code, other.json()["errors"]) == (
            422,
            {"after": "Belongs to another query"},
        )

    @pytest.mark.parametrize(
        ("query", "errors"),
        [
            ({"q": "ab"}, {"q": "Must be at least 3 characters"}),
            ({"q": ""}, {"q": "Must be at least 3 characters"}),
            ({"q": "x" * 101}, {"q": "Must be at most 100 characters"}),
            ({"q": "a\x00bc"}, {"q": "Must not contain NUL characters"}),
            ({"q": ["abc", "def"]}, {"q": "Must be given once"}),
            ({"q": "abc", "sort": "kind"}, {"sort": "Must be one of id; -id beside q"}),
        ],
    )
    def test_what_is_no_search_is_refused(
        self, client: httpx.Client, query: dict[str, str], errors: dict[str, str]
    ) -> None:
        answer = client.get("/articles", params=query)

        assert (answer.status_code, answer.json()["errors"]) == (422, errors)

    def test_a_list_without_search_has_no_such_parameter(self, client: httpx.Client) -> None:
        assert list(client.get("/tags", params={"q": "abc"}).json()["errors"]) == ["q"]


PLANS = """
import asyncio, json, os

from order_service.infrastructure.database.article_unit_of_work import SQLAlchemyArticleUnitOfWork
from quart_fleet.database import Database, Transaction
from quart_fleet.paging import ListQuery, Search
from quart_fleet.settings import DatabaseSettings

FILL = '''INSERT INTO articles (title, body, kind)
    SELECT md5(n::text), repeat(md5((-n)::text), 3), 'news' FROM generate_series(1, 100000) AS n;
    ANALYZE articles'''


def indexes_of(node):
    found = [node["Index Name"]] if "Index Name" in node else []
    return found + [name for each in node.get("Plans", ()) for name in indexes_of(each)]


async def main():
    sent, send = [], Transaction._send

    async def record(self, method, *arguments, **options):
        sent.append(arguments)
        return await send(self, method, *arguments, **options)

    Transaction._send = record
    settings = DatabaseSettings.model_validate({"DATABASE_URL": os.environ["DATABASE_URL"]})
    found = []
    async with Database(settings) as database, database.connect() as connection:
        await connection.execute(FILL)
        for number in range(20):
            query = ListQuery(search=Search(f"{number:02}a4f9", ("title", "body")), is_counted=True)
            async with SQLAlchemyArticleUnitOfWork(database) as work:
                await work.articles.list_by(query)
        for sql, *arguments in sent[-2:]:
            [row] = await connection.fetch("EXPLAIN (FORMAT JSON) " + sql, *arguments)
            found.append(sorted({*indexes_of(row["QUERY PLAN"][0]["Plan"])}))
    print(json.dumps(found))


asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_search_is_read_from_its_index(
    workspace: GeneratedWorkspace, new_database: NewDatabase
) -> None:
    async with new_database() as url:
        workspace.python("-m", "db_manager", "migrate", DATABASE_URL=url)
        plans = json.loads(workspace.python("-c", PLANS, DATABASE_URL=url))

    assert plans == [["ix_articles_search"]] * 2


@pytest.mark.slow
async def test_they_migrate_up_down_and_up_to_what_the_models_say(
    workspace: GeneratedWorkspace, new_database: NewDatabase
) -> None:
    async with new_database() as url:
        for command in ("migrate", "downgrade 3ef43f3fe70a --yes", "migrate", "reset --yes"):
            workspace.python("-m", "db_manager", *command.split(), DATABASE_URL=url)
        report = workspace.python("-m", "db_manager", "check", "--json", DATABASE_URL=url)

    assert json.loads(report)["ok"] is True


@pytest.mark.slow
async def test_a_secret_is_kept_and_never_given_out(
    client: httpx.Client, migrated_url: str
) -> None:
    body = {"name": "ada", "password": "correct horse", "api_key": "k-1234567"}
    connection = await asyncpg.connect(migrated_url)

    async def kept(column: str) -> str | None:
        found: str | None = await connection.fetchval(f"SELECT {column} FROM accounts")
        return found

    async with httpx.AsyncClient(base_url=str(client.base_url), timeout=30) as clients:
        posted = await clients.post("/accounts", json=body)
        path = f"/accounts/{posted.json()['data']['id']}"
        first = await kept("password")
        answers = [
            posted,
            await clients.get(path),
            await clients.get("/accounts?limit=1"),
            await clients.post("/accounts", json=body),
            await clients.post(
                "/accounts", json=body | {"name": "b", "password": "horse", "api_key": "k"}
            ),
            await clients.put(path, json={"password": "another horse"}),
            await clients.get("/accounts", params={"password": "correct horse"}),
        ]
        second, key = await kept("password"), await kept("api_key")
        cleared = await clients.patch(path, json={"api_key": None})
        refused = await clients.patch(path, json={"password": None})
        same, none = await kept("password"), await kept("api_key")
    await connection.close()

    assert [each.status_code for each in answers] == [201, 200, 200, 400, 422, 200, 422]
    assert answers[4].json()["errors"] == {
        "password": "Must be at least 8 characters",
        "api_key": "Must have the expected form",
    }
    for answer in answers:
        assert "horse" not in answer.text
        assert "k-1234567" not in answer.text
    assert set(posted.json()["data"]) == {"id", "name", "created_at", "updated_at"}
    assert first is not None
    assert second is not None
    assert await PasswordHasher().verify("correct horse", first)
    assert await PasswordHasher().verify("another horse", second)
    assert (key, cleared.status_code, none) == ("k-1234567", 200, None)
    assert (refused.status_code, same) == (422, second)


@pytest.mark.slow
def test_a_field_may_be_called_is_active(client: httpx.Client) -> None:
    client.post("/flags", json={"is_active": True})
    client.post("/flags", json={"is_active": False})

    found = client.get("/flags", params={"is_active": "false"}).json()["data"]

    assert [each["is_active"] for each in found] == [False]
    missing = client.post("/flags", json={"active": True}).json()["message"]
    assert missing == "Field 'is_active' is required"
