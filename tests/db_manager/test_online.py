"""Ordinary changes of models: the revision of each is safe as it is written, and passes lint untouched."""

import asyncio
import re

import pytest

from tests.db_manager.outcome import execute, revisions, schema
from tests.db_manager.test_changes_under_load import NUMBER, program
from tests.db_manager.workspace_copy import WorkspaceCopy

HEAD = """
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Numeric, String, Text, UniqueConstraint, text
from sqlalchemy import Enum
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import BaseModel


class CategoryModel(BaseModel):
    __tablename__ = "categories"


class ProductModel(BaseModel):
    __tablename__ = "products"
    code: Mapped[str] = mapped_column({code})
    stock: Mapped[int]
    note: Mapped[{note}]
    price: Mapped[Decimal] = mapped_column({price})
    kind: Mapped[str] = mapped_column(String(20), server_default="{default}", index={index})
    category_id: Mapped[int | None] = mapped_column(BigInteger{reference})
    {more}
    __table_args__ = ({arguments})
"""
OLD: dict[str, str | bool] = {
    "code": "String(40)",
    "note": "str | None",
    "price": "Numeric(10, 2)",
    "default": "a",
    "index": False,
    "reference": "",
    "more": "",
    "arguments": "",
}
CHANGES: dict[str, dict[str, str | bool]] = {
    "a column": {"more": "extra: Mapped[str | None]"},
    "a column with a default": {"more": 'extra: Mapped[int] = mapped_column(server_default="0")'},
    "a random column": {"more": "mark: Mapped[UUID] = mapped_column(server_default=text('gen_random_uuid()'))"},
    "an index": {"index": True},
    "an index of two": {"arguments": 'Index("ix_two", "kind", "price", postgresql_where="stock > 0"),'},
    "a unique column": {"code": "String(40), unique=True"},
    "unique columns": {"arguments": 'UniqueConstraint("code", "kind", deferrable=True),'},
    "unique nulls": {"arguments": 'UniqueConstraint("note", "code", postgresql_nulls_not_distinct=True),'},
    "a reference": {"reference": ', ForeignKey("categories.id", ondelete="SET NULL")'},
    "a new reference": {"more": 'pair_id: Mapped[int | None] = mapped_column(ForeignKey("products.id"), index=True)'},
    "a check": {"arguments": 'CheckConstraint("stock >= 0", name="ck_products_stock"),'},
    "words": {"more": 'size: Mapped[str | None] = mapped_column(Enum("s", "m", native_enum=False, create_constraint=True, length=5, name="size"))'},
    "a required column": {"note": "str"},
    "a wider text": {"code": "String(80)"},
    "any text": {"code": "Text"},
    "a wider decimal": {"price": "Numeric(12, 2)"},
    "another default": {"default": "b"},
}  # fmt: skip
ALL: dict[str, str | bool] = {
    "code": "Text, unique=True",
    "note": "str",
    "price": "Numeric(12, 2)",
    "default": "b",
    "index": True,
    "reference": CHANGES["a reference"]["reference"],
    "more": "\n    ".join(
        str(each["more"]) for name, each in CHANGES.items() if "more" in each and name != "a column"
    ),
    "arguments": "".join(str(each.get("arguments", "")) for each in CHANGES.values()),
}


def write(copy: WorkspaceCopy, **change: str | bool) -> None:
    """Have the models say this."""
    copy.add_model("product", HEAD.format_map(OLD | change))


@pytest.fixture
def made(copy: WorkspaceCopy) -> str:
    """A workspace whose database has the old table, with many rows; the id of its revision."""
    write(copy)
    for arguments in (["migrate"], ["revision", "-m", "products"], ["migrate"]):
        outcome = copy.run(*arguments)
        assert outcome.code == 0, outcome.err
    execute(
        copy.url,
        "INSERT INTO products (code, stock, note, price)"
        f" SELECT 'old ' || n, n, 'note', n FROM generate_series(1, {NUMBER}) AS n",
        "ANALYZE products",
    )
    return copy.heads()[0]


@pytest.mark.slow
async def test_ordinary_changes_pass_lint_as_they_are_written_and_let_services_go_on(
    copy: WorkspaceCopy, made: str
) -> None:
    before = await asyncio.to_thread(schema, copy.url)
    write(copy, **ALL)
    written = await asyncio.to_thread(copy.run, "revision", "-m", "change products")
    assert written.code == 0, written.err
    texts = [(copy.folder / each).read_text() for each in written.out.split()]

    linted = await asyncio.to_thread(copy.run, "lint")
    async with program(copy.url, inserts=True) as done:
        up = await asyncio.to_thread(copy.run, "migrate")
    check = await asyncio.to_thread(copy.run, "check")
    down = await asyncio.to_thread(copy.run, "downgrade", made, "--yes")

    assert [re.findall('^phase = .*', each, re.M) for each in texts] == [
        ['phase = "expand"'], ['phase = "contract"']
    ]  # fmt: skip
    assert (linted.code, "Unsafe" in written.err) == (0, False), linted.err + "\n".join(texts)
    assert up.code == 0, up.err + "\n".join(texts)
    assert min(done.values()) > 0
    assert check.code == 0, check.err + "\n".join(texts)
    assert down.code == 0, down.err + "\n".join(texts)
    assert await asyncio.to_thread(schema, copy.url) == before


ODD = """
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, String, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import BaseModel


class OddModel(BaseModel):
    __tablename__ = "Odd table"
    name: Mapped[{optional}] = mapped_column("Full name", String(20){unique})
    parent: Mapped[int | None] = mapped_column("the order", BigInteger{reference})
    {more}
    __table_args__ = ({arguments}{{"schema": "billing"}},)
"""


@pytest.mark.slow
def test_names_that_want_quotes_and_other_schemas_are_changed_alike(copy: WorkspaceCopy) -> None:
    first = dict.fromkeys(("unique", "reference", "more", "arguments"), "")
    copy.add_model("odd", ODD.format(optional="str | None", **first))
    for arguments in (["migrate"], ["revision", "-m", "odd"], ["migrate"]):
        outcome = copy.run(*arguments)
        assert outcome.code == 0, outcome.err
    made = copy.heads()[0]
    execute(copy.url, """INSERT INTO billing."Odd table" ("Full name") VALUES ('a'), ('b')""")
    second = {
        "optional": "str",
        "unique": ", unique=True",
        "reference": ", ForeignKey('billing.Odd table.id'), index=True",
        "more": "mark: Mapped[str] = mapped_column('Mark', server_default=text('random()::text'))",
        "arguments": """CheckConstraint('"Full name" <> \\'x:y\\'', name="odd"), """,
    }
    copy.add_model("odd", ODD.format(**second))

    written = copy.run("revision", "-m", "change it")
    texts = "\n".join((copy.folder / each).read_text() for each in written.out.split())

    for arguments in (
        ["lint"], ["migrate"], ["check"], ["downgrade", made, "--yes"], ["migrate"], ["check"]
    ):  # fmt: skip
        outcome = copy.run(*arguments)
        assert outcome.code == 0, f"{arguments} {outcome.err}\n{texts}"
    assert "Unsafe" not in written.err


@pytest.mark.slow
def test_rows_that_a_change_cannot_keep_leave_it_undone_until_they_are_mended(
    copy: WorkspaceCopy,
) -> None:
    write(copy)
    for arguments in (["migrate"], ["revision", "-m", "products"], ["migrate"]):
        assert copy.run(*arguments).code == 0
    insert = "INSERT INTO products (code, stock, note, price) VALUES ('a', 1, {}, 1)"
    execute(copy.url, insert.format("'first'"), insert.format("NULL"))
    write(copy, code="String(40), unique=True", note="str", index=True)
    assert copy.run("revision", "-m", "change products").code == 0
    expansion, contraction = reversed(copy.heads()[:2])
    before = schema(copy.url)

    not_unique, left = copy.run("migrate"), schema(copy.url)
    execute(copy.url, "UPDATE products SET code = 'b' WHERE note IS NULL")
    null = copy.run("migrate")
    at = revisions(copy.url)
    execute(copy.url, "UPDATE products SET note = 'second' WHERE note IS NULL")
    mended, check = copy.run("migrate"), copy.run("check")

    assert (not_unique.code, "(code)=(a) is duplicated" in not_unique.err) == (1, True)
    assert left == before
    assert (null.code, "nn_products_note" in null.err) == (1, True)
    assert at == [(expansion,)]
    assert contraction in mended.out
    assert check.code == 0, check.err
