"""Services of fields that were described on the command line: every type, rule and awkward name."""

import json
import re
import shlex
from secrets import token_hex

import httpx
import pytest

from quart_fleet.conventions import PREFIX
from scaffold.language.fleet import write_resource
from scaffold.language.grammar import parse_block
from scaffold.language.types import SCALARS
from tests.workspace import FRAMEWORK, GeneratedWorkspace, Serve, booted

GADGET = (
    "code:str(20):lookup:fixed",
    "title:str:length(2,40)",
    "notes:text?:length(3)",
    "stock:int:min(0)=0",
    "serial:bigint:unique:max(-1)",
    "weight:float:positive",
    "price:decimal(10,2):min(0)",
    "share:decimal(3,3):unique:positive:max(0.002)",
    "tax:decimal(20,8):max(1)=0",
    "ready:bool:unique=false",
    "date:date?:index:min(2020-01-01)",
    "time:time:max(23:59:59.999999)=09:00:00",
    "datetime:datetime=now",
    "at:datetime:unique:min(2030-01-01T00:00:00Z)",
    "span:duration:unique:min(PT1S)=PT30M",
    "timedelta:duration?:fixed",
    "token:uuid:unique=random",
    "email:email?:lookup:length(30)",
    "site:url:length(8,10)",
    "status:enum(draft, live-now)=draft",
    "order:enum(asc, desc)?:unique",
    "model:enum(a, b):index",
    "type:str(10):lookup",
    'user:str:index="a\\"b é €"',
    "key:str(1):unique",
    "json:str(5):index",
    f"{'e' * 52}:enum(a, b)?:unique",
    f"{'y' * 63}:decimal(10,2)?:min(0)",
    f"{'z' * 51}:str(9)?:lookup:length(2)",
    "schema:datetime?",
    *(f"{name}:int?" for name in ("copy", "value", "format", "list", "group", "metadata", "self")),
    *(f"{name}:text?" for name in ("text", "kind", "comment", "id_number", "entity", "match")),
)
"""Every type and modifier, by names that Python, pydantic, SQLAlchemy or PostgreSQL use."""

PATH = "/specimens"
SPECIMEN = (
    "label:str(40):lookup",
    "a_str:str(5)?:index",
    "a_text:text?:index",
    "a_int:int?:index",
    "a_bigint:bigint?:index",
    "a_float:float?:index",
    "a_decimal:decimal(10,2)?:index",
    "a_fine_decimal:decimal(20,8)?:index",
    "a_bool:bool?:index",
    "a_date:date?:index",
    "a_time:time?:index",
    "a_datetime:datetime?:index",
    "a_duration:duration?:index",
    "a_uuid:uuid?:index",
    "a_email:email?:index",
    "a_url:url?:index",
    "a_enum:enum(open, closed)?:index",
)
"""Each type where it may be null."""

AS_SENT: dict[str, list[object]] = {
    "a_str": ["", "é☃😀\u2028 ", '"\\\n'],
    "a_text": ["", "x" * 10_000, " a\u0001b ", "\x7f"],
    "a_int": [0, -(2**31), 2**31 - 1],
    "a_bigint": [0, -(2**63), 2**63 - 1],
    "a_float": [0.0, 0.1, -1.7976931348623157e308, 5e-324, 1e22],
    "a_decimal": ["0.00", "-99999999.99", "99999999.99"],
    "a_fine_decimal": ["0.00000000", "0.00000001", "-123456789012.12345678"],
    "a_bool": [True, False],
    "a_date": ["0001-01-01", "2024-02-29", "9999-12-31"],
    "a_time": ["00:00:00", "23:59:59.999999"],
    "a_datetime": ["0001-01-01T00:00:00Z", "2026-11-23T09:24:02Z", "9999-12-31T23:59:59.999999Z"],
    "a_duration": ["PT0S", "-PT1.5S", "P1DT2H3M4.000001S", "P999999999D"],
    "a_uuid": ["00000000-0000-0000-0000-000000000000", "c3d4e5f6-7a8b-4c9d-8e0f-1a2b3c4d5e6f"],
    "a_email": ["Ada+news@Example.com", "a@b"],
    "a_url": ["HTTPS://Example.com", "http://ü.example/é?q=a b".replace(" ", "%20")],
    "a_enum": ["open", "closed"],
}
"""What is read exactly as it was sent."""

NORMALISED: list[tuple[str, object, object]] = [
    ("a_float", 1, 1.0),
    ("a_decimal", 12.5, "12.50"),
    ("a_decimal", 7, "7.00"),
    ("a_decimal", 1e2, "100.00"),
    ("a_decimal", "-0", "0.00"),
    ("a_time", "09:24:02.5", "09:24:02.500000"),
    ("a_datetime", "2026-11-23t10:24:02.000001+01:00", "2026-11-23T09:24:02.000001Z"),
    ("a_duration", "PT36H", "P1DT12H"),
    ("a_uuid", "C3D4E5F67A8B4C9D8E0F1A2B3C4D5E6F", "c3d4e5f6-7a8b-4c9d-8e0f-1a2b3c4d5e6f"),
    (
        "a_uuid",
        f"urn:uuid:{'0' * 8}-0000-0000-0000-{'0' * 11}A",
        f"{'0' * 8}-0000-0000-0000-{'0' * 11}a",
    ),
]

TEXTS = ("a_str", "a_text", "a_email", "a_url")

REFUSED: list[tuple[str, object, str]] = [
    ("a_str", "123456", "Must be at most 5 characters"),
    ("a_text", "a\x00", "Must not contain NUL characters"),
    ("a_int", 2**31, f"Must be at most {2**31 - 1}"),
    ("a_bigint", 2**63, f"Must be at most {2**63 - 1}"),
    ("a_int", True, "Must be an integer"),
    ("a_float", "1", "Must be a number"),
    ("a_decimal", "1.005", "Must have at most 2 decimal places"),
    ("a_decimal", "100000000", "Must have at most 8 digits before the decimal point"),
    ("a_decimal", 0.1234567890123456, "Send it as a string"),
    ("a_decimal", " 1", "Must be a decimal number"),
    ("a_decimal", True, "Must be a decimal number"),
    ("a_bool", 1, "Must be true or false"),
    ("a_date", "2026-02-29", "Must be a date, like 2026-11-23"),
    ("a_date", 0, "Must be a date, like 2026-11-23"),
    ("a_time", "24:00:00", "Must be a time, like 09:24:02"),
    ("a_time", "23:59:60", "Must be a time, like 09:24:02"),
    ("a_time", "09:24:02Z", "Must be a time, like 09:24:02"),
    ("a_datetime", "2026-11-23T09:24:02", "Must be a date and time, like 2026-11-23T09:24:02Z"),
    ("a_datetime", "0001-01-01T00:00:00+01:00", "Must be a date and time, like 2026-11-23T09:24:02Z"),
    ("a_datetime", 1700000000, "Must be a date and time, like 2026-11-23T09:24:02Z"),
    ("a_duration", "P1M", "Must be a duration, like PT1H30M"),
    ("a_duration", "01:30:00", "Must be a duration, like PT1H30M"),
    ("a_uuid", "0", "Must be a UUID"),
    ("a_email", "ada", "Must be an email address, like ada@example.com"),
    ("a_url", "ftp://example.com", "Must be a URL, like https://example.com"),
    ("a_url", "https://example.com/ ", "Must be a URL, like https://example.com"),
    ("a_enum", "ajar", "Must be 'open' or 'closed'"),
]  # fmt: skip


def command_of_the_page() -> list[str]:
    """Return the arguments of the example of docs/language.md."""
    page = (FRAMEWORK / "docs/language.md").read_text()
    [command] = re.findall(r"^    python (-m scaffold .+\n.+)$", page, re.MULTILINE)
    return shlex.split(command.replace("\\\n", " "))


PARCEL: dict[str, object] = {
    "order": "str(20)?",
    "weight": "int",
    "sent_on": "date?",
    "_index": ["order, -weight", "-order, sent_on", "weight, sent_on"],
}
"""Indexes of several fields, which no word of the command line has."""
STAMP: dict[str, object] = {
    "parcel": "ref(parcel, cascade)",
    "date": "date",
    "on": "ref(stamp, set_null)?",
    "_index": ["parcel, -date"],
}
"""References to another resource, and to its own."""


def describe_parcels(workspace: GeneratedWorkspace) -> None:
    """Generate the service of parcels."""
    with (workspace.root / "fleet.toml").open("a") as file:
        file.write("\n[parcel-service]\nport = 9205\n\n")
        file.write(write_resource(("parcel-service", "parcel"), parse_block(PARCEL)))
        file.write(write_resource(("parcel-service", "stamp"), parse_block(STAMP)))
    workspace.python("-m", "scaffold", "apply")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> GeneratedWorkspace:
    """A workspace with the services that are described above, and two of few fields."""
    made = GeneratedWorkspace.make(tmp_path_factory.mktemp("described") / "fleet")
    made.python("-m", "scaffold", "gadget-service", "9200", *GADGET)
    made.python("-m", "scaffold", "specimen-service", "9201", *SPECIMEN)
    made.python(*command_of_the_page())
    made.python("-m", "scaffold", "note-service", "9202", "body:text?")
    made.python("-m", "scaffold", "list-service", "9204", "rank:int:positive:min(-3)")
    describe_parcels(made)
    counts = [f"count_{number}:int:min(1)" for number in range(24)]
    made.python("-m", "scaffold", "tally-service", "9203", *counts)
    return made


@pytest.fixture(scope="module")
def specimens(serve: Serve) -> httpx.Client:
    """A client of the running specimen service."""
    return serve("specimen_service")


def test_the_table_of_values_has_every_type() -> None:
    assert [spec.split(":")[0].removeprefix("a_") for spec in SPECIMEN if spec[:2] == "a_"] == [
        *SCALARS[: SCALARS.index("decimal") + 1],
        "fine_decimal",
        *SCALARS[SCALARS.index("decimal") + 1 :],
    ]
    assert {spec.split(":")[0] for spec in SPECIMEN} == {"label", *AS_SENT}


class TestDescribedServices:
    def test_the_linter_finds_nothing(self, workspace: GeneratedWorkspace) -> None:
        workspace.python("-m", "ruff", "check", ".")
        workspace.python("-m", "ruff", "format", "--check", ".")

    @pytest.mark.slow
    def test_the_strict_type_checker_finds_nothing(self, workspace: GeneratedWorkspace) -> None:
        workspace.python("-m", "mypy", "services", "shared/models", "db_manager/migrations")

    def test_every_import_contract_holds(self, workspace: GeneratedWorkspace) -> None:
        workspace.python("-m", "scaffold", "contracts")

    def test_the_tests_of_one_pass(self, workspace: GeneratedWorkspace) -> None:
        assert " passed" in workspace.python("-m", "pytest", "-q", "services/product_service")

    @pytest.mark.slow
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

    @pytest.mark.parametrize(
        ("field", "sent", "read"),
        [(name, value, value) for name, values in AS_SENT.items() for value in values] + NORMALISED,
    )
    def test_what_was_posted_is_what_is_read(
        self, specimens: httpx.Client, field: str, sent: object, read: object
    ) -> None:
        label = token_hex(8)

        posted = specimens.post(PATH, json={"label": label, field: sent}).json()["data"]
        changed = specimens.put(f"{PATH}/{posted['id']}", json={field: sent}).json()["data"]
        gotten = specimens.get(f"{PATH}/label/{label}").json()["data"]

        assert [each[field] for each in (posted, changed, gotten)] == [read] * 3
        assert repr(gotten[field]) == repr(read)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            (name, value)
            for name, values in AS_SENT.items()
            for value in values
            if len(str(value)) < 99
        ],
    )
    def test_a_list_is_filtered_by_what_was_posted(
        self, specimens: httpx.Client, field: str, value: object
    ) -> None:
        label = token_hex(8)
        posted = specimens.post(PATH, json={"label": label, field: value}).json()["data"]
        text = value if isinstance(value, str) else json.dumps(value)
        null = {f"{field}_null": "true"} if field in TEXTS else {field: "null"}

        equal = specimens.get(PATH, params={"label": label, field: text})
        other = specimens.get(PATH, params={"label": label, **null})
        up, down = (
            specimens.get(PATH, params={"sort": sort, "limit": 3}) for sort in (field, f"-{field}")
        )

        assert (equal.json().get("data"), other.json().get("data")) == ([posted], [])
        assert (up.status_code, down.status_code) == (200, 200)
        for page in (up, down):
            following = page.links.get("next", {"url": PATH})["url"].removeprefix(PREFIX)
            assert specimens.get(following).status_code == 200

    @pytest.mark.parametrize(("field", "sent", "reason"), REFUSED)
    def test_what_is_no_value_of_its_type_is_refused(
        self, specimens: httpx.Client, field: str, sent: object, reason: str
    ) -> None:
        response = specimens.post(PATH, json={"label": "refused", field: sent})

        assert (response.status_code, response.json()["errors"]) == (422, {field: reason})

    def test_what_is_left_out_is_null(self, specimens: httpx.Client) -> None:
        posted = specimens.post(PATH, json={"label": "empty"}).json()["data"]

        assert {posted[field] for field in AS_SENT} == {None}


def test_defaults_are_the_values_where_none_is_given(
    workspace: GeneratedWorkspace, migrated_url: str
) -> None:
    body = {
        "code": "a",
        "title": "ab",
        "serial": -1,
        "weight": 1,
        "price": 0,
        "share": "0.001",
        "at": "2030-01-01T00:00:00Z",
        "site": "http://a",
        "model": "a",
        "type": "t",
        "key": "k",
        "json": "j",
    }
    with booted(workspace, "gadget_service", migrated_url) as address:
        answer = httpx.post(f"{address}/gadgets", json=body).json()["data"]
        broken = httpx.post(f"{address}/gadgets", json=body | {"price": "-0.01", "title": "a"})

    assert (
        answer.items()
        >= {
            "stock": 0,
            "tax": "0.00000000",
            "ready": False,
            "time": "09:00:00",
            "span": "PT30M",
            "status": "draft",
            "user": 'a"b é €',
            "order": None,
        }.items()
    )
    assert answer["datetime"].endswith("Z")
    assert len(answer["token"]) == 36
    assert (broken.status_code, broken.json()["errors"]) == (
        422,
        {"title": "Must be at least 2 characters", "price": "Must be at least 0"},
    )


PLANS = """
import asyncio, json, os
from dataclasses import replace

from parcel_service.application.dto.parcel_dto import PARCEL_LIST
from parcel_service.infrastructure.database.unit_of_work import SQLAlchemyParcelUnitOfWork
from quart_fleet.database import Database, Transaction
from quart_fleet.paging import ListQuery
from quart_fleet.settings import DatabaseSettings

FILL = '''INSERT INTO parcels ("order", weight, sent_on)
    SELECT nullif('o' || n % 500, 'o0'), n % 300, date '2026-01-01' + nullif(n % 90, 0)::int
    FROM generate_series(1, 100000) AS n; ANALYZE parcels'''


def kinds_of(node):
    return [node["Node Type"]] + [kind for each in node.get("Plans", ()) for kind in kinds_of(each)]


async def main():
    sent, send = [], Transaction._send

    async def record(self, method, *arguments, **options):
        sent.append(arguments)
        return await send(self, method, *arguments, **options)

    Transaction._send = record
    settings = DatabaseSettings.model_validate({"DATABASE_URL": os.environ["DATABASE_URL"]})
    found = {}
    async with Database(settings) as database, database.connect() as connection:
        await connection.execute(FILL)
        for sort in PARCEL_LIST.sorts(frozenset()):
            order = PARCEL_LIST.find_order(sort, frozenset())
            query = ListQuery(order=order.keys, is_backward=order.is_backward)
            async with SQLAlchemyParcelUnitOfWork(database) as work:
                far = await work.parcels.list_by(replace(query, limit=900))
                sent.clear()
                await work.parcels.list_by(query)
                await work.parcels.list_by(replace(query, after=far.after))
            found[sort] = []
            for sql, *arguments in sent:
                [row] = await connection.fetch("EXPLAIN (FORMAT JSON) " + sql, *arguments)
                found[sort] += kinds_of(row["QUERY PLAN"][0]["Plan"])
    print(json.dumps(found))


asyncio.run(main())
"""


@pytest.mark.slow
def test_every_order_of_a_list_is_read_from_the_index_that_was_made_for_it(
    workspace: GeneratedWorkspace, migrated_url: str
) -> None:
    plans = json.loads(workspace.python("-c", PLANS, DATABASE_URL=migrated_url))

    assert list(plans) == [
        *("id", "-id", "created_at", "-created_at", "order,-weight", "-order,weight"),
        *("-order,sent_on", "weight,sent_on"),
    ]
    for sort, kinds in plans.items():
        assert {"Limit", "Index Scan"} >= set(kinds), sort
