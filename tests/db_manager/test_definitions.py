"""Defaults, checks, indexes and generated columns: compared by what the server makes of them."""

import asyncio
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Connection,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Sequence,
    SmallInteger,
    String,
    Table,
    Text,
    Time,
    UniqueConstraint,
    Uuid,
    cast,
    func,
    literal,
    text,
)
from sqlalchemy.dialects.postgresql import (
    CIDR,
    DOMAIN,
    ENUM,
    INET,
    INT4RANGE,
    INTERVAL,
    JSONB,
    MACADDR,
    TIMESTAMP,
    TSVECTOR,
    ExcludeConstraint,
)
from sqlalchemy.sql.elements import conv

from db_manager.comparison import Comparison, Findings
from db_manager.made import Made
from quart_fleet.database._connector import Connector
from quart_fleet.database._sessions import create_engine
from quart_fleet.models import NAMING_CONVENTION
from quart_fleet.settings import DatabaseSettings
from quart_fleet.workspace import Workspace

DEFAULTS: list[tuple[Any, Any]] = [
    (Integer, "5"),
    (Integer, text("5")),
    (Integer, text("(5)")),
    (Integer, text("5 + 1")),
    (Integer, text("-1")),
    (Integer, text("length('abc')")),
    (Integer, text("nextval('numbers'::regclass)")),
    (Integer, text("nextval('numbers')")),
    (BigInteger, text("nextval('public.numbers'::regclass)")),
    (SmallInteger, text("'7'")),
    (BigInteger, text("9223372036854775807")),
    (BigInteger, text("(random() * 1000)::bigint")),
    (Numeric(10, 2), "0"),
    (Numeric(10, 2), text("0.00")),
    (Numeric, text("1e3")),
    (Float, text("'NaN'")),
    (Float, text("random()")),
    (Boolean, text("true")),
    (Boolean, text("'f'")),
    (Boolean, text("(NOT true)")),
    (String(20), "plain"),
    (String(20), "it's"),
    (String(20), 'a "quoted" word'),
    (String(20), "50%"),
    (String(20), "12:00"),
    (String(20), "back\\slash"),
    (String(20), ""),
    (String(20), text("''")),
    (Text, text("'now'")),
    (Text, text("E'line\\nline'")),
    (Text, text("gen_random_uuid()::text")),
    (Text, text("md5(random()::text)")),
    (Text, text("upper('a') || lower('B')")),
    (Text, text("current_user")),
    (Text, text("CASE WHEN 1 > 0 THEN 'a' ELSE 'b' END")),
    (Text, text("coalesce(NULL, 'x')")),
    (Text, text("NULL")),
    (Text, cast(literal("x"), Text)),
    (Uuid, text("gen_random_uuid()")),
    (Uuid, text("'00000000-0000-0000-0000-000000000000'")),
    (DateTime(timezone=True), func.now()),
    (DateTime(timezone=True), text("CURRENT_TIMESTAMP")),
    (DateTime(timezone=True), text("now() + interval '1 day'")),
    (DateTime, text("timezone('utc', now())")),
    (DateTime, text("(now() AT TIME ZONE 'utc')")),
    (DateTime, text("'infinity'")),
    (DateTime, text("clock_timestamp()")),
    (Date, text("CURRENT_DATE")),
    (Date, text("'2024-02-29'")),
    (Time, text(r"'12\:00'::time")),
    (Time, text("LOCALTIME")),
    (INTERVAL, text("'90 minutes'")),
    (INTERVAL, text("make_interval(days => 1)")),
    (JSON, "{}"),
    (JSON, text("'{}'::json")),
    (JSONB, "{}"),
    (JSONB, text(r"""'{"a"\: [1, 2]}'""")),
    (JSONB, text("jsonb_build_object('a', 1)")),
    (JSONB, text("'[]'::jsonb")),
    (ARRAY(Text), "{}"),
    (ARRAY(Text), text("ARRAY[]::text[]")),
    (ARRAY(Integer), text("ARRAY[1, 2, 3]")),
    (ARRAY(Integer), text("'{1,2}'::int[]")),
    (LargeBinary, text(r"'\xdeadbeef'")),
    (LargeBinary, text("decode('00', 'hex')")),
    (INET, text("'127.0.0.1'")),
    (CIDR, text("'10.0.0.0/8'")),
    (MACADDR, text(r"'08\:00\:2b\:01\:02\:03'")),
    (INT4RANGE, text("'[1,5]'")),
    (INT4RANGE, text("int4range(1, 5)")),
    (TSVECTOR, text("to_tsvector('simple', 'a b')")),
    (ENUM("sad", "happy", name="mood", create_type=False), "sad"),
    (ENUM("sad", "happy", name="mood", create_type=False), text("'happy'::mood")),
]

CHECKS = [
    "age > 0",
    "(age > 0)",
    "age>=0 AND age <= 150",
    "age BETWEEN 0 AND 150",
    "age IN (1, 2, 3)",
    "age = ANY (ARRAY[1, 2, 3])",
    "age IS NULL OR age > 0",
    "NOT (age < 0)",
    "age % 2 = 0",
    "name <> ''",
    "name IN ('a', 'b')",
    "name LIKE 'a%'",
    "name NOT LIKE '%''%'",
    "name ~ '^[a-z]+$'",
    "name ~* 'x' OR age > 1",
    "length(name) > 3",
    "char_length(trim(name)) > 0",
    "lower(name) = name",
    "price >= 0",
    "price::int > 0",
    "CAST(price AS int) > age",
    "price > 0.5 * age",
    "at < now() + interval '1 year'",
    "date_part('year', at) > 2000",
    "coalesce(age, 0) + coalesce(price, 0) > 0",
    "num_nonnulls(age, name) = 1",
    "(age IS NULL) <> (name IS NULL)",
    "CASE WHEN age > 1 THEN name IS NOT NULL ELSE true END",
    "data ? 'key'",
    "data->>'kind' = 'a'",
    "jsonb_typeof(data) = 'object'",
    "tags <@ ARRAY['a', 'b']",
    "array_length(tags, 1) <= 3",
]

COLUMNS: list[tuple[str, Any]] = [
    ("age", Integer),
    ("name", String(20)),
    ("price", Numeric(10, 2)),
    ("at", DateTime(timezone=True)),
    ("data", JSONB),
    ("tags", ARRAY(Text)),
    ("span", INT4RANGE),
]

INDEXES: list[dict[str, Any]] = [
    {"on": ["name"]},
    {"on": ["name"], "unique": True},
    {"on": [text("lower(name)")]},
    {"on": [text("lower(name)"), "age"], "unique": True},
    {"on": [text("name DESC")]},
    {"on": [text("age DESC NULLS LAST")]},
    {"on": ["name"], "postgresql_where": text("age > 3")},
    {"on": ["name"], "postgresql_where": text("name IN ('a', 'b')")},
    {"on": ["data"], "postgresql_using": "gin"},
    {"on": ["data"], "postgresql_using": "gin", "postgresql_ops": {"data": "jsonb_path_ops"}},
    {"on": ["name"], "postgresql_ops": {"name": "varchar_pattern_ops"}},
    {"on": [text("(data->>'a')")]},
    {"on": [text("to_tsvector('english', name)")], "postgresql_using": "gin"},
    {"on": ["age"], "postgresql_include": ["name"]},
    {"on": ["age"], "postgresql_with": {"fillfactor": 50}},
    {"on": ["age"], "unique": True, "postgresql_nulls_not_distinct": True},
    {"on": [text("coalesce(age, 0)")]},
    {"on": [text('name COLLATE "C"')]},
]


Items = Callable[[], list[Any]]


def table(*items: Any, **options: Any) -> MetaData:
    """Return models of one table, with these things in it."""
    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    columns = [Column(name, type_) for name, type_ in COLUMNS]
    Table("things", metadata, Column("id", BigInteger, Identity(), primary_key=True), *columns,
          *items, **options)  # fmt: skip
    return metadata


def compare(
    url: str, in_database: MetaData, in_models: MetaData, folder: Path, *statements: str
) -> Findings:
    """Make one in the database, in a transaction that is rolled back, and compare the other."""

    def work(connection: Connection) -> Findings:
        connection.exec_driver_sql("CREATE SEQUENCE numbers")
        connection.exec_driver_sql("CREATE TYPE mood AS ENUM ('sad', 'happy')")
        in_database.create_all(connection)
        for statement in statements:
            connection.exec_driver_sql(statement)
        return Comparison(connection, in_models, Workspace(folder), Made(folder)).compare()

    async def run() -> Findings:
        settings = DatabaseSettings.model_validate({"DATABASE_URL": url})
        engine = create_engine(Connector(url, settings), settings)
        async with engine.connect() as connection:
            found = await connection.run_sync(work)
            await connection.rollback()
        await engine.dispose()
        return found

    return asyncio.run(run())


def test_there_are_defaults_and_checks_of_every_kind() -> None:
    assert len(DEFAULTS) >= 50
    assert len(CHECKS) >= 20


def with_defaults() -> MetaData:
    """Return a model with a column for each default."""
    return table(*(Column(f"c{n}", type_, server_default=default)
                   for n, (type_, default) in enumerate(DEFAULTS)))  # fmt: skip


def test_every_default_equals_itself(fresh_database_url: str, tmp_path: Path) -> None:
    found = compare(fresh_database_url, with_defaults(), with_defaults(), tmp_path)

    assert found == Findings((), (), ())


def test_every_default_differs_from_none_and_from_another(
    fresh_database_url: str, tmp_path: Path
) -> None:
    none = table(*(Column(f"c{n}", type_) for n, (type_, _) in enumerate(DEFAULTS)))
    nulls = table(*(Column(f"c{n}", type_, server_default=text("NULL"))
                    for n, (type_, _) in enumerate(DEFAULTS)))  # fmt: skip
    equal = sum(str(default) == "NULL" for _, default in DEFAULTS)

    removed = compare(fresh_database_url, with_defaults(), none, tmp_path)
    changed = compare(fresh_database_url, with_defaults(), nulls, tmp_path)

    # DEFAULT NULL is no default to PostgreSQL.
    assert len(removed.differences) == len(DEFAULTS) - equal
    assert len(changed.differences) == len(DEFAULTS) - equal


def with_checks(checks: list[str]) -> MetaData:
    """Return a model with a named constraint for each text."""
    return table(*(CheckConstraint(check, name=f"n{n}") for n, check in enumerate(checks)))


def test_every_check_equals_itself(fresh_database_url: str, tmp_path: Path) -> None:
    found = compare(fresh_database_url, with_checks(CHECKS), with_checks(CHECKS), tmp_path)

    assert found == Findings((), (), ())


def test_every_check_that_is_added_removed_or_changed_is_found(
    fresh_database_url: str, tmp_path: Path
) -> None:
    turned = [f"NOT ({check})" for check in CHECKS]

    added = compare(fresh_database_url, table(), with_checks(CHECKS), tmp_path)
    removed = compare(fresh_database_url, with_checks(CHECKS), table(), tmp_path)
    changed = compare(fresh_database_url, with_checks(CHECKS), with_checks(turned), tmp_path)

    assert len(added.differences) == len(removed.differences) == len(CHECKS)
    assert len(changed.differences) == len(CHECKS)
    assert "check things.ck_things_n0: in the models, not in the database" in added.differences


def add_indexes(things: Table) -> None:
    """Give a table an index for each description."""
    for number, described in enumerate(INDEXES):
        options = dict(described)
        on = [things.c[each] if isinstance(each, str) else each for each in options.pop("on")]
        Index(f"ix_{number}", *on, _table=things, **options)


def with_indexes() -> MetaData:
    """Return a model with all indexes."""
    metadata = table()
    add_indexes(metadata.tables["things"])
    return metadata


def with_all(metadata: MetaData) -> None:
    """Give models a table with all columns, defaults, checks and indexes."""
    columns = [Column(name, type_) for name, type_ in COLUMNS]
    defaults = [Column(f"c{n}", type_, server_default=default)
                for n, (type_, default) in enumerate(DEFAULTS)]  # fmt: skip
    checks = [CheckConstraint(check, name=f"n{n}") for n, check in enumerate(CHECKS)]
    things = Table("things", metadata, *columns, *defaults, *checks)
    add_indexes(things)


def test_every_index_equals_itself(fresh_database_url: str, tmp_path: Path) -> None:
    found = compare(fresh_database_url, with_indexes(), with_indexes(), tmp_path)

    assert found == Findings((), (), ())


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        (
            lambda: [Index("ix", "name")],
            lambda: [Index("ix", text("lower(name)"))],
            "index things.ix",
        ),
        (
            lambda: [Index("ix", "name", postgresql_where=text("age > 1"))],
            lambda: [Index("ix", "name", postgresql_where=text("age > 2"))],
            "index things.ix",
        ),
        (
            lambda: [Index("ix", "name")],
            lambda: [Index("ix", "name", postgresql_using="hash")],
            "index things.ix",
        ),
        (
            lambda: [Column("twice", Integer, Computed("age * 2", persisted=True))],
            lambda: [Column("twice", Integer, Computed("age * 3", persisted=True))],
            "column things.twice: generated",
        ),
        (
            lambda: [Column("twice", Integer)],
            lambda: [Column("twice", Integer, Computed("age * 3", persisted=True))],
            "column things.twice: generated",
        ),
        (
            lambda: [Column("twice", Integer, Computed("age * 2", persisted=True))],
            lambda: [Column("twice", Integer)],
            "column things.twice: generated",
        ),
        (
            lambda: [Column("n", Integer, comment="one")],
            lambda: [Column("n", Integer, comment="two")],
            "comment",
        ),
        (
            lambda: [Column("n", Integer, Identity(always=True), nullable=False)],
            lambda: [Column("n", Integer, Identity(start=5), nullable=False)],
            "column things.n",
        ),
        (
            lambda: [Column("n", Integer, Identity(cycle=True, maxvalue=9))],
            lambda: [Column("n", Integer, Identity(maxvalue=9))],
            "column things.n: identity: BY DEFAULT START 1 INCREMENT 1 MINVALUE 1 MAXVALUE 9 CACHE 1",
        ),
        (
            lambda: [Column("up", BigInteger, ForeignKey("things.id", name="fk_one"))],
            lambda: [Column("up", BigInteger, ForeignKey("things.id", name="fk_two"))],
            "foreign key things.fk_two: fk_one in the database, fk_two in the models",
        ),
        (
            lambda: [Column("up", BigInteger, ForeignKey("things.id", name="fk", match="FULL"))],
            lambda: [Column("up", BigInteger, ForeignKey("things.id", name=conv("fk")))],
            "foreign key things.fk: MATCH: FULL in the database, SIMPLE in the models",
        ),
        (
            lambda: [Column("n", Integer, nullable=False)],
            lambda: [Column("n", Integer, Identity(), nullable=False)],
            "column things.n",
        ),
        (
            lambda: [UniqueConstraint("age", name="uq")],
            lambda: [UniqueConstraint("age", name="uq", deferrable=True)],
            "unique things.uq",
        ),
        (
            list,
            lambda: [ExcludeConstraint(("span", "&&"), name="ex", using="gist")],
            "exclusion things.ex",
        ),
        (
            lambda: [Column("n", Integer)],
            lambda: [Column("n", Integer, CheckConstraint("n > 0", name="positive"))],
            "check things.ck_things_positive: in the models, not in the database",
        ),
        (
            lambda: [Column("n", String(5))],
            lambda: [Column("n", String(5, collation="C"))],
            'column things.n: type VARCHAR(5) in the database, VARCHAR(5) COLLATE "C" in',
        ),
        (
            lambda: [Column("n", TIMESTAMP(precision=3))],
            lambda: [Column("n", TIMESTAMP())],
            "column things.n: type TIMESTAMP(3) WITHOUT TIME ZONE in the database",
        ),
        (
            lambda: [Column("n", Float(24)), Column("m", Float(53))],
            lambda: [Column("n", Float(53)), Column("m", Float(53))],
            "column things.n: type REAL in the database",
        ),
        (
            lambda: [Column("n", DOMAIN("mail", Text, check="VALUE ~ '@'"))],
            lambda: [Column("n", DOMAIN("mail", Text, check="VALUE ~ '@.'"))],
            "domain mail: text CHECK ((VALUE ~ '@'::text)) in the database, text CHECK",
        ),
        (
            lambda: [Column("n", Integer, Sequence("steps", increment=5))],
            lambda: [Column("n", Integer, Sequence("steps", increment=7))],
            "sequence steps: increment: 5 in the database, 7 in the models",
        ),
    ],
)
def test_what_differs_is_found_and_what_equals_is_not(
    fresh_database_url: str, tmp_path: Path, before: Items, after: Items, what: str
) -> None:
    equal = compare(fresh_database_url, table(*before()), table(*before()), tmp_path)
    other = compare(fresh_database_url, table(*before()), table(*after()), tmp_path)

    assert equal.differences == ()
    assert [each for each in other.differences if what in each], other


def test_a_check_that_the_server_does_not_take_is_told_with_its_reason(
    fresh_database_url: str, tmp_path: Path
) -> None:
    broken = table(CheckConstraint("nothing > 1", name="broken"))

    found = compare(fresh_database_url, table(), broken, tmp_path)

    assert found.differences == (
        "check things.ck_things_broken: in the models, not in the database, "
        'which PostgreSQL does not take (column "nothing" does not exist)',
    )


def test_a_default_of_another_type_differs_with_the_type(
    fresh_database_url: str, tmp_path: Path
) -> None:
    before = table(Column("n", Integer, server_default="5"))
    after = table(Column("n", Text, server_default="abc"))

    found = compare(fresh_database_url, before, after, tmp_path)

    assert "column things.n: default 5 in the database, abc in the models" in found.differences


def test_what_types_do_not_constrain_here_is_no_difference(
    fresh_database_url: str, tmp_path: Path
) -> None:
    def model() -> MetaData:
        return table(Column("yes", Boolean(create_constraint=True, name="yes")))

    assert compare(fresh_database_url, model(), model(), tmp_path) == Findings((), (), ())


def test_an_index_that_only_seems_to_be_there_is_a_difference(
    fresh_database_url: str, tmp_path: Path
) -> None:
    invalid = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix'::regclass"
    model = table(Index("ix", "age"))

    found = compare(fresh_database_url, model, model, tmp_path, invalid)

    [difference] = found.differences
    assert difference.startswith("index things.ix: not valid in the database")
    assert "REINDEX" in difference


def test_a_constraint_that_was_never_validated_is_a_difference(
    fresh_database_url: str, tmp_path: Path
) -> None:
    owner: Column[int] = Column("owner", ForeignKey("things.id", name=conv("fk")))
    model = table(owner, CheckConstraint("age > 0", name=conv("ck")))
    as_it_was = [
        "ALTER TABLE things DROP CONSTRAINT fk, DROP CONSTRAINT ck",
        "ALTER TABLE things ADD CONSTRAINT ck CHECK (age > 0) NOT VALID",
        "ALTER TABLE things ADD CONSTRAINT fk FOREIGN KEY (owner) REFERENCES things NOT VALID",
    ]
    validated = [f"ALTER TABLE things VALIDATE CONSTRAINT {name}" for name in ("ck", "fk")]

    found = compare(fresh_database_url, model, model, tmp_path, *as_it_was)
    at_last = compare(fresh_database_url, model, model, tmp_path, *as_it_was, *validated)

    assert found.differences == tuple(
        f"constraint things.{name}: NOT VALID in the database: rows may break it: {statement}"
        for name, statement in zip(("ck", "fk"), validated, strict=True)
    )
    assert at_last == Findings((), (), ())


def test_what_is_not_compared_of_a_table_is_named(fresh_database_url: str, tmp_path: Path) -> None:
    # SQLAlchemy 2.0 has no word for the parameters that a table is stored with.
    is_known = version("sqlalchemy") >= "2.1"
    stored = {"postgresql_with": {"fillfactor": 70}} if is_known else {}
    model = table(prefixes=["UNLOGGED"], **stored)
    secured = "ALTER TABLE things ENABLE ROW LEVEL SECURITY"

    found = compare(fresh_database_url, model, model, tmp_path, secured)

    assert found.differences == ()
    assert found.not_compared == (
        "row level security things: not in models",
        "table things: UNLOGGED",
        *["table things: with"][: len(stored)],
    )
