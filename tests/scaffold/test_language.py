"""How a field is described, and how a mistake in a description is shown."""

import re
import shlex
import tomllib
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from quart_fleet.database import Database, SQLAlchemyUnitOfWork
from quart_fleet.dto import PatchDTO, ResponseDTO
from scaffold.errors import MisuseError
from scaffold.generation import fields, tables
from scaffold.generation.presets import preset_of
from scaffold.generation.samples import distinct_samples, just_outside, samples_of
from scaffold.language.description import (
    ActionDescription,
    FieldDescription,
    Generated,
    IndexColumn,
    ResourceDescription,
    Type,
)
from scaffold.language.fleet import parse_fleet
from scaffold.language.grammar import (
    MODIFIERS,
    parse_block,
    parse_field,
    parse_fields,
)
from scaffold.language.identifiers import table_of
from scaffold.language.options import OPTIONS
from scaffold.language.types import TYPES
from shared.models.base import BaseModel as DeclarativeModel
from tests.scaffold.commands import picture, refused, scaffold
from tests.workspace import FRAMEWORK

_TYPE = f"Allowed here: {', '.join(TYPES)}"


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("name:str", "name:str(255)"),
        ("name:str(80)?:lookup:fixed", "name:str(80)?:lookup:fixed"),
        ("name:str( 80 ):unique:lookup", "name:str(80):lookup"),
        ("price:decimal:positive", "price:decimal(12,2):positive"),
        ("price:decimal(10, 2):min(0):max(99.5)=1", "price:decimal(10,2):min(0):max(99.5)=1"),
        ("status:enum(draft,live-now)=draft", "status:enum(draft, live-now)=draft"),
        ("at:datetime=now", "at:datetime=now"),
        ("at:datetime:min(2026-11-23t01:00:00+01:00)", "at:datetime:min(2026-11-23T00:00:00Z)"),
        ("on:date:max(2026-11-23)", "on:date:max(2026-11-23)"),
        ("at:time=23:59:59.5", "at:time=23:59:59.500000"),
        ("span:duration:max(P1DT1H)=PT90M", "span:duration:max(P1DT1H)=PT1H30M"),
        ("token:uuid=random", "token:uuid=random"),
        (f"token:uuid={'A' * 8}-aaaa-aaaa-aaaa-{'a' * 12}", f"token:uuid={'a' * 8}-aaaa-aaaa-aaaa-{'a' * 12}"),
        ("ratio:float=1e-3", "ratio:float=0.001"),
        ("ready:bool=true", "ready:bool=true"),
        ("title:text:length(2)=a = b", 'title:text:length(2)="a = b"'),
        (r'title:str(9):length(1,9)="\"\u00e9\n\t\u007f"', r'title:str(9):length(1,9)="\"é\n\t\u007f"'),
        ('title:str="now"', 'title:str(255)="now"'),
        ('title:str=""', 'title:str(255)=""'),
        ("price:int:index:fixed", "price:int:index:fixed"),
        ("meta:json?:fixed", "meta:json?:fixed"),
        ("category:ref(category,restrict)?:index", "category:ref(category)?"),
        ("category:ref(category, cascade):unique:fixed", "category:ref(category, cascade):unique:fixed"),
        ("category:ref(category,set_null)?", "category:ref(category, set_null)?"),
        ("buyer:ref(user-service.user)", "buyer:ref(user-service.user)"),
        ("buyer:ref( UserService.user,fk ):was(user)", "buyer:ref(UserService.user, fk):was(user)"),
        ("tags:many(tag):length(1):fixed", "tags:many(tag):fixed:length(1)"),
        ("lines:items(line):length(0,1000)", "lines:items(line):length(0,1000)"),
        ("password:str(80):secret:length(8):fixed", "password:str(80):fixed:secret:length(8)"),
        ("body:text?:search:was(text)", "body:text?:search:was(text)"),
        (r"path:str:pattern(/(\/[^:=)]+)+|\\/)=/a/b", r'path:str(255):pattern(/(\/[^:=)]+)+|\\/)="/a/b"'),
        ("sku:str:index:unique", "sku:str(255):unique"),
        ("sku:str:lookup:index", "sku:str(255):lookup"),
        ("big:bigint=-9223372036854775808", "big:bigint=-9223372036854775808"),
    ],
)  # fmt: skip
def test_a_description_is_printed_in_one_form_and_read_again(text: str, printed: str) -> None:
    field = parse_field(text)

    assert str(field) == printed
    assert parse_field(printed) == field


def test_a_field_is_understood_whole() -> None:
    assert parse_field("x:decimal(10,2)?:unique:min(0)=1.50") == FieldDescription(
        name="x",
        type=Type("decimal", precision=10, scale=2),
        optional=True,
        unique=True,
        least=Decimal(0),
        default=Decimal("1.50"),
    )
    assert parse_field("x:duration=PT1.5S").default == timedelta(seconds=1.5)
    assert parse_field("x:datetime=now").default is Generated.NOW


def test_where_nothing_is_allowed_that_is_said() -> None:
    with pytest.raises(MisuseError) as error:
        parse_block({"name": "str(9)", "_actions": {"go": "name: a -> b"}}, "thing")

    assert "no enum that is required and neither unique nor fixed" in str(error.value)
    assert str(error.value).endswith(
        "There is no enum that is required and neither unique nor fixed here."
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "price:decimal(10,2):mni(0)",
            "'mni' is no modifier (did you mean 'min'?):\n"
            "  price:decimal(10,2):mni(0)\n"
            "                      ^\n"
            "Allowed here: unique, index, fixed, positive, min, max, was",
        ),
        ("x:strr", f"'strr' is no type (did you mean 'str'?):\n  x:strr\n    ^\n{_TYPE}"),
        ("x:", f"the end is no type:\n  x:\n    ^\n{_TYPE}"),
        (
            "x",
            "':' is missing before the end:\n  x\n   ^\n"
            "A field is NAME:TYPE, as in 'price:decimal(10,2):min(0)'",
        ),
        (
            "X:int",
            "'X' cannot name a field:\n  X:int\n  ^\nA name is in snake case: "
            "letters from a to z, digits, single underscores, as in unit_price.",
        ),
        (
            "class:int",
            "This cannot name a field, since 'class' is a keyword of Python:\n  class:int\n  ^\n"
            "Choose another word, of at most 63 characters.",
        ),
        (
            "x:int:length(3)",
            "length is not for int:\n  x:int:length(3)\n        ^\n"
            "Allowed here: unique, index, fixed, positive, min, max, was",
        ),
        (
            "x:bool:search",
            "search is not for bool:\n  x:bool:search\n         ^\n"
            "Allowed here: unique, index, fixed, was",
        ),
        (
            "x:ref(y, cascad)",
            "'cascad' is no rule of ref(y) (did you mean 'cascade'?):\n  x:ref(y, cascad)\n"
            "           ^\nAllowed here: restrict, cascade, set_null",
        ),
        (
            "x:many(y)?",
            "many is never null:\n  x:many(y)?\n           ^\nLeave out the ?: left out is [].",
        ),
        (
            "x:str:secret=a",
            "secret has no default:\n  x:str:secret=a\n              ^\nLeave it out.",
        ),
        (
            "x:str:pattern(/a)(b/)",
            "This is no pattern (unopened group):\n  x:str:pattern(/a)(b/)\n                 ^\n"
            r"pattern(/[A-Z]{3}/): what the whole text matches, in Rust's regex syntax; \/ is a slash",
        ),
        (
            "x:str:index:secret",
            "A secret is not found by its value: no unique, lookup, index, search:\n"
            "  x:str:index:secret\n              ^\nChange this, or what stands before it.",
        ),
        (
            "x:date=2026-02-30",
            "'2026-02-30' is no default of date:\n  x:date=2026-02-30\n         ^\n"
            "A date, like 2026-11-23",
        ),
        (
            "x:decimal(4,2)=1.234",
            "'1.234' is no default of decimal(4,2):\n  x:decimal(4,2)=1.234\n                 ^\n"
            "A number of at most 4 digits, 2 of them decimal places",
        ),
        (
            "x:str=now",
            "'now' is no default of str(255):\n  x:str=now\n        ^\n"
            'Such a text is written in quotes, as in ="now"',
        ),
        (
            "x:enum(a, b)=c",
            "'c' is no default of enum(a, b):\n  x:enum(a, b)=c\n               ^\n"
            "One of its words: a, b",
        ),
        (
            "x:int:min(5):max(4)",
            "No value is in this range:\n  x:int:min(5):max(4)\n               ^\n"
            "Change this, or what stands before it.",
        ),
        (
            "x:int:min(1)=0",
            "The default is refused by the field's own rules:\n  x:int:min(1)=0\n               ^\n"
            "A value that they allow.",
        ),
        (
            "active:str:lookup",
            "A lookup cannot be named active:\n  active:str:lookup\n  ^\n"
            "Every list has a route /active: choose another name.",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_shown_where_it_is(text: str, message: str) -> None:
    with pytest.raises(MisuseError) as refused:
        parse_field(text)

    assert str(refused.value) == message


@pytest.mark.parametrize(
    "text",
    [
        *("", ":int", "1x:int", "x_:int", "x__y:int", "_x:int", "é:int", "x y:int", f"{'x' * 64}:int"),
        *("id:int", "is_active:bool", "limit:int", "update:int", "str:str", "x:Int", "x:int "),
        *("x:int??", "x:int:", "x:int:unique:unique", "x:int=", "x:int=0x1", "x:int=2147483648"),
        *("x:str(", "x:str()", "x:str(0)", "x:str(1,2)", "x:str(-1)", "x:str(a)", "x:int(4)"),
        *("x:decimal(3)", "x:decimal(3,4)", "x:decimal(0,0)", "x:decimal(1001,0)"),
        *("x:enum", "x:enum()", "x:enum(a,,b)", "x:enum(a, A)", "x:enum(a-b, a_b)", "x:enum(1)"),
        *("x:enum(a):unique", "x:int:unique:min(1):max(1)", "x:int:positive:max(0)"),
        *("x:int:unique:positive:max(1)", "x:decimal(3,1):positive:max(0.1):unique", "x:float:positive:max(0)"),
        *("x:int:min", "x:int:min()", "x:int:min(1,2)", "x:int:min(a)", "x:str:min(1)", "x:str:length"),
        *("x:str:length(0)", "x:str:length(3,2)", "x:str(3):length(4)", "x:str:length(1,2,3)"),
        *("x:email:length(1,2)", "x:url:length(1,7)", "x:int:lookup", "x:str(3)=abcd"),
        *('x:str="a', 'x:str="a"b', r'x:str="\x"', r'x:str="\u0000"', "x:str=", "x:str= a", "x:str=null"),
        *("x:bool=yes", "x:float=inf", "x:float=1e999", "x:time=24:00:00", "x:datetime=2026-11-23T00:00:00"),
        *("x:json=1", "x:ref(y)=1", "x:many(y)=1", "x:items(y)=1", "x:json:unique", "x:json:index"),
        *("x:ref", "x:ref()", "x:ref(y,)", "x:ref(Y)", "x:ref(y, cascade, fk)", "x:ref(y, fk)", "x:ref(s.y, cascade)"),
        *("x:ref(y, set_null)", "x:ref(.y)", "x:ref(s.)", "x:ref(a.b.c)", "x:ref(y):lookup", "x:ref(y):min(1)"),
        *("x:many", "x:many(y, cascade)", "x:many(s.y)", "x:many(y):unique", "x:many(y):index", "x:items(y)?"),
        *("x:many(y):length(0)", "x:many(y):length(1,1001)", "x:items(y):length(2,1)", "x:items(y):unique"),
        *("x:int:secret", "x:str:secret:lookup", "x:str:unique:secret", "x:str:search:secret", "x:int:search"),
        *("x:str:pattern", "x:str:pattern(a)", "x:str:pattern(//)", "x:str:pattern(/a)", "x:str:pattern(/(?=a)/)"),
        *("x:int:pattern(/a/)", "x:str:pattern(/a/)=b", "x:str:was", "x:str:was()", "x:str:was(x)", "x:str:was(id)"),
        *("x:duration=P1M", "x:uuid=1", "x:email=ada", "x:url=ada", "x:date=now", "x:str=\udc80"),
    ],
)  # fmt: skip
def test_what_is_no_description_is_refused_in_lines_with_a_caret(text: str) -> None:
    with pytest.raises(MisuseError, match=r"(?s)^.+:\n  .*\n +\^\n.+$"):
        parse_field(text)


def test_options_of_a_resource_are_understood() -> None:
    block = {
        "name": "str",
        "price": "int",
        "_index": ["name, -price", "price"],
        "_unique": ["price,name"],
        "_active": False,
        "_plural": "wares",
    }

    assert parse_block(block) == ResourceDescription(
        parse_fields(["name:str", "price:int"]).fields,
        index=(
            (IndexColumn("name"), IndexColumn("price", descending=True)),
            (IndexColumn("price"),),
        ),
        unique=(("price", "name"),),
        has_active=False,
        plural="wares",
    )
    assert preset_of("user").is_contract
    assert not preset_of("product").is_contract


def test_an_action_changes_a_state_from_some_of_its_words_to_another() -> None:
    rules = {"pay": "status: open->paid", "cancel": "status:  open , paid -> cancelled"}
    block = {"status": "enum(open, paid, cancelled)", "_actions": rules}

    pay, cancel = parse_block(block).actions

    assert pay == ActionDescription("pay", "status", ("open",), "paid")
    assert cancel == ActionDescription("cancel", "status", ("open", "paid"), "cancelled")
    assert (str(pay), str(cancel)) == (
        "status: open -> paid",
        "status: open, paid -> cancelled",
    )


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        *(("go", rule) for rule in ("", "x", "x: a", "x: a ->", "x: a -> a", "x: a, a -> b")),
        *(("go", rule) for rule in ("x: c -> b", "x: a -> b c", "y: a -> b", "n: a -> b", 3)),
        *(("go", f"{field}: a -> b") for field in ("null", "set", "one")),
        *((name, "x: a -> b") for name in ("deactivate", "update", "Go", "class", "is_active")),
        *((name, "x: a -> b") for name in ("x", "owner_id", "get_by_x", "list_all", "go-on")),
        *((name, "x: a -> b") for name in ("list", "list_active_page", "parse_body")),
    ],
)
def test_what_no_action_can_be_is_refused(name: str, rule: object) -> None:
    block = {"x": "enum(a, b)", "y": "str", "n": "int", "owner": "ref(owner)"}
    block |= {"null": "enum(a, b)?", "set": "enum(a, b):fixed", "one": "enum(a, b):unique"}
    rules: dict[str, object] = {"_actions": {name: rule}}

    with pytest.raises(MisuseError, match=r"(?s)^.+:\n  .*\n +\^\n.+$"):
        parse_block(block | rules)


def test_base_columns_are_in_an_index_and_one_of_them_may_be_a_field() -> None:
    block = {"x": "int", "_index": ["is_active, x, -created_at"]}
    assert [str(column) for column in parse_block(block).index[0]] == [
        *("is_active", "x", "-created_at"),
    ]

    described = parse_block({"is_active": "int", "_active": False})
    assert described.fields[0].name == "is_active"


def test_names_are_as_long_as_postgresql_keeps_them() -> None:
    def table(field: str) -> str:
        name, _, spec = field.partition(":")
        fleet = parse_fleet(f"[a-service]\nport = 8081\n[a-service.thing]\n{name} = '{spec}'\n")
        return table_of(fleet.services[0].resources[0])

    assert table(f"{'x' * 63}:int") == table(f"{'x' * 53}:int:unique") == "things"
    for kind in ("int:unique", "enum(a)"):
        with pytest.raises(MisuseError, match="would have 64 characters in the database"):
            table(f"{'x' * 54}:{kind}")


@pytest.mark.parametrize(
    "option",
    [
        *({"_indx": ["x"]}, {"_index": "x"}, {"_index": ["y"]}, {"_index": ["x x"]}, {"_index": [""]}),
        *({"_index": ["x, -x"]}, {"_index": [1]}, {"_unique": ["-x"]}, {"_unique": ["x,"]}),
        *({"_active": "no"}, {"_plural": "Xs"}, {"_plural": "class"}, {"_routes": "users"}),
        *({"_active": False, "_index": ["is_active"]}, {"_routes": "contract", "_active": False}, {"_actions": "go"}, {"_unique": ["created_at"]}),
        *({"j": "json", "_index": ["j"]}, {"s": "str:secret", "_index": ["s"]}, {"m": "many(m)", "_unique": ["m"]}),
        *({"n": "str:unique", "_unique": ["n"]}, {"n": "str:lookup", "x": "int", "_unique": ["x, n"]}),
        *({"n": "str", "_unique": ["n", "n"]}, {"n": "str", "x": "int", "_unique": ["n, x", "x, n"]}, {"n": "str", "x": "int", "_unique": ["n, x", "n"]}),
        *({"e": "enum(a)", "_unique": ["e"]}, {"e": "enum(a, b)", "_unique": ["e"], "_actions": {"go": "e: a -> b"}}),
    ],
)  # fmt: skip
def test_what_is_no_option_is_refused_in_lines_with_a_caret(option: dict[str, object]) -> None:
    with pytest.raises(MisuseError, match=r"(?s)^.+:\n  .*\n +\^\n.+$"):
        parse_block({"x": "int"} | option)


@pytest.mark.parametrize("texts", [["a:int", "a:str"], ["price:int", "price_min:int"], ["at_max:date", "at:date"],
    ["category:ref(category)", "category_id:int"], ["tags:many(tag)", "tag:many(tag)"],
    ["tag_ids:json", "tags:many(tag)"], ["name:str?", "name_null:bool"],
    ["name:str", "title:str:was(name)"], ["a:str:was(c)", "b:str:was(c)"],
    ["owner_id:int", "buyer:ref(user):was(owner)"], ["a_1:enum(x)", "a1:enum(y)"],
])  # fmt: skip
def test_two_fields_share_no_name(texts: list[str]) -> None:
    with pytest.raises(MisuseError):
        parse_fields(texts)


def test_the_command_line_shows_a_mistake_as_the_page_does(workspace: Path) -> None:
    page = (FRAMEWORK / "docs/language.md").read_text()
    [command, message] = re.findall(r"\$ python -m scaffold (.+)\n((?:.+\n)+)```", page)[0]
    before = picture(workspace)

    assert refused(scaffold(workspace, *shlex.split(command)), exit_code=2) == message
    assert picture(workspace) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ping", "8081", "a:int", "--bare"], "A --bare service keeps nothing"),
    ],
)
def test_fields_that_no_table_could_have_are_refused(
    workspace: Path, arguments: list[str], message: str
) -> None:
    before = picture(workspace)
    completed = scaffold(workspace, *arguments)

    assert message in refused(completed, exit_code=completed.returncode)
    assert picture(workspace) == before


def test_presets_are_written_in_the_language() -> None:
    presets = tomllib.loads((FRAMEWORK / "scaffold/presets.toml").read_text())

    for name, block in presets.items():
        assert preset_of(name) == parse_block(block)
    assert preset_of("product") == preset_of("*")


@pytest.mark.parametrize(
    "text",
    [
        *("x:str(1):unique", "x:str(3):length(3)", "x:text:length(100)", "x:str:length(2,2)"),
        *("x:int:max(-5)", "x:int:min(2147483647)", "x:int:positive:max(1)", "x:bigint:min(100)"),
        *("x:decimal(1,1):unique", "x:decimal(3,0)", "x:decimal(2,2):positive:max(0.02)"),
        *("x:float:positive:max(0.5)", "x:float:min(-1):max(1)", "x:float:max(-1)"),
        *("x:date:max(2020-01-01)", "x:time:min(23:59:59.999999)", "x:datetime:min(9999-01-01T00:00:00Z)"),
        *("x:duration:max(PT1S)", "x:email:length(3,4)", "x:email:length(60)", "x:url:length(8,8)"),
        *("email:int", "age:int:max(3)", "age:str", "name:email", "x:url:length(90)"),
        r"x:str(8):unique:pattern(/[A-Z]{3}-\d{2,4}/)",
        r"x:text:pattern(/\p{Lu}[\p{L}'-]*( \p{Lu}[\p{L}'-]*)*/)",
        r"x:str:pattern(/(?i)x:[^=)]*/)",
        r"x:str:pattern(/(a|b\/)+\\?/)",
        *("x:str:length(20,30):pattern(/[a-z]*/)", r"x:str:pattern(/(?:[[:alpha:]]+[]a])?/)"),
        r"x:str:unique:pattern(/(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}/)",
        *(r"x:email:pattern(/.*@example\.com/)", "x:url:pattern(/https:.*/)", "x:text:pattern(/.*/)"),
        r"x:str:pattern(/\x41\u{1F600}[^\s]{2,}?$/)",
    ],
)  # fmt: skip
def test_samples_keep_the_rules_of_their_field(text: str) -> None:
    field = parse_field(text)
    first, second = samples_of(field)

    assert field.allows(first)
    assert field.allows(second)
    assert (
        first != second
        or field.greatest == field.least
        or "9999" in text
        or "2147" in text
        or "max(1)" in text
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x:str:pattern(/[a-z&&[^aeiou]]+/)", "No text for the generated tests was found"),
        ("x:str:unique:pattern(/abc/)", "Only one text for the generated tests was found"),
    ],
)
def test_a_pattern_that_is_too_hard_for_tests_is_refused(text: str, problem: str) -> None:
    with pytest.raises(MisuseError, match=problem):
        samples_of(parse_field(text))


def test_of_a_pattern_the_default_is_a_sample() -> None:
    field = parse_field("x:str:pattern(/[a-z&&[^aeiou]]+/)=xyz")

    assert samples_of(field) == ("xyz", "xyz")


def test_names_that_a_unit_of_work_has_are_known() -> None:
    for name in dir(SQLAlchemyUnitOfWork):
        if not name.startswith("_"):
            with pytest.raises(MisuseError, match="is a method of every unit of work"):
                parse_block({"name": "str", "_plural": name})


def test_names_that_libraries_have_are_known() -> None:
    attributes = [*dir(BaseModel), *dir(ResponseDTO), *dir(PatchDTO)]

    assert {name for name in attributes if not name.startswith("_")} == fields._OF_PYDANTIC
    of_sqlalchemy = {name for name in dir(DeclarativeModel) if not name.startswith("_")}
    assert of_sqlalchemy - {"id", "created_at", "updated_at"} == {*fields._OF_SQLALCHEMY}


async def test_words_that_postgresql_reserves_are_known(database: Database) -> None:
    async with database.connect() as connection:
        rows = await connection.fetch(
            "SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')"
        )

    assert {row["word"] for row in rows} <= tables._RESERVED


def test_the_page_names_every_type_and_modifier() -> None:
    page = (FRAMEWORK / "docs/language.md").read_text()
    named = re.findall(r"^\| `(\w+)", page, re.MULTILINE)

    assert named == [*TYPES, *MODIFIERS, *OPTIONS]


@pytest.mark.parametrize(
    ("spec", "most"),
    [
        *(("x:float:min(1e22)", 8), ("x:float:max(1e22)", 8), ("x:int:max(-1)", 8)),
        *(("x:str(1)", 8), ("x:email:length(3,3)", 8), ("x:url:length(8,8)", 8), ("x:uuid", 8)),
        *(("x:time:min(23:59:59.999998)", 2), ("x:decimal(3,3):positive:max(0.003)", 3)),
        *(("x:bool", 2), ("x:enum(a, b, c)", 3), ("x:json", 8), ("x:str:pattern(/a|b|c/)", 3)),
        *(("x:float:min(0):max(1e-7)", 8), ("x:ref(y)", 8)),
        ("x:text:pattern(/(a|bc)+\\d?/)", 8),
    ],
)
def test_values_of_parts_differ_as_far_as_they_can(spec: str, most: int) -> None:
    field = parse_field(spec)

    found = distinct_samples(field, 8)

    assert len(found) == most
    assert all(field.allows(each) for each in found)
    assert all(each not in found[:number] for number, each in enumerate(found))


@pytest.mark.parametrize("bound", [1.5, 1e22, -1e22, 1.7976931348623157e308])
def test_a_value_just_outside_of_a_bound_is_another_one(bound: float) -> None:
    field = parse_field(f"weight:float:max({bound!r})")

    below: Any = just_outside(field, bound, below=True)
    above: Any = just_outside(field, bound, below=False)

    assert below < bound
    assert above is None if bound > 1e300 else above > bound
