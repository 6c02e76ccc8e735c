"""Revisions that the generator writes, applied by `migrate`, held against the model by `check`."""

from pathlib import PurePosixPath

import pytest

from quart_fleet.workspace import PROJECT_FILE
from scaffold.generation.fields import Resource
from scaffold.generation.render import format_python
from scaffold.language.description import IndexColumn
from scaffold.revisions.writing import write_revision
from tests.db_manager.outcome import USERS, fetch
from tests.db_manager.workspace_copy import ROOT, WorkspaceCopy
from tests.described import model_of, products

OLD = products("name:str(20)", "price:decimal(10,2)?", "kind:enum(a, b)")
NEW = products(
    *(
        "title:text:unique",
        "price:decimal(12,2)=0",
        "kind:enum(a, b, c)=c",
        "order:int",
        "at:uuid=random",
    ),
    indexed=["price"],
    index=((IndexColumn("order", descending=True), IndexColumn("price")),),
    unique=(("order", "title"),),
)


def describe(copy: WorkspaceCopy, old: Resource | None, new: Resource) -> str:
    """Write the model of a description, and the revision that leads to it; return its id."""
    parent = copy.heads()[0]
    revision = write_revision(
        old, new, parent=parent, fill={"order": 1}, renames={"name": "title"} if old else {}
    )
    assert revision is not None
    files = {
        PurePosixPath("shared/models/product.py"): model_of(new),
        PurePosixPath("db_manager/migrations/versions", revision.file_name): revision.text,
    }
    for path, text in format_python(files, ROOT / PROJECT_FILE).items():
        (copy.folder / path).write_text(text)
    return revision.id


@pytest.fixture
def described(copy: WorkspaceCopy) -> str:
    """A workspace with a table and rows in it, that was changed; the first revision's id."""
    first = describe(copy, None, OLD)
    assert copy.run("migrate").code == 0
    describe(copy, OLD, NEW)
    return first


@pytest.mark.slow
def test_models_and_database_are_equal_whichever_way_it_went(
    copy: WorkspaceCopy, described: str
) -> None:
    up, checked = copy.run("migrate"), copy.run("check")
    down, again = copy.run("downgrade", described, "--yes"), copy.run("migrate")
    copy.run("downgrade", described, "--yes")
    [change] = copy.versions.glob("*_change_products.py")
    change.unlink()
    (copy.folder / "shared/models/product.py").write_text(model_of(OLD))
    checked_as_before = copy.run("check")

    outcomes = (up, checked, down, again, checked_as_before)
    assert [each.code for each in outcomes] == [0] * 5, [each.err for each in outcomes]


@pytest.mark.slow
def test_a_change_that_rows_break_leaves_nothing_behind_and_goes_once_they_are_mended(
    copy: WorkspaceCopy, fresh_database_url: str
) -> None:
    """The words of an enum are checked after the column has its new type, which is committed."""
    old, new = (
        products(f"{name}:str(9)", f"size:{kind}")
        for name, kind in (("name", "int"), ("title", "enum(s, l)"))
    )
    first = describe(copy, None, old)
    copy.run("migrate")
    fetch(fresh_database_url, "INSERT INTO products (name, size) VALUES ('x', 7)")
    columns = (
        "SELECT data_type, (SELECT count(*) FROM pg_constraint WHERE conname = 'ck_products_size')"
        " FROM information_schema.columns WHERE table_name = 'products' AND column_name = 'size'"
    )
    before = fetch(fresh_database_url, columns)
    second = describe(copy, old, new)

    failed = copy.run("migrate")

    assert failed.code == 1
    *_, error, after = failed.err.splitlines()
    assert f"{second}" in error
    assert 'check constraint "ck_products_size"' in error
    assert after == (
        "What it had committed already, its downgrade() took back. "
        "The database stays at the revision before it."
    )
    assert fetch(fresh_database_url, columns) == before
    assert fetch(fresh_database_url, "SELECT version_num FROM alembic_version") == [(first,)]
    fetch(fresh_database_url, "DELETE FROM products")
    assert copy.run("migrate").code == 0
    assert copy.run("check").code == 0


@pytest.mark.slow
def test_what_is_made_of_an_index_is_the_models(copy: WorkspaceCopy, described: str) -> None:
    copy.run("migrate")
    model = copy.folder / "shared/models/product.py"
    model.write_text(model.read_text().replace(", unique=True", ""))

    outcome = copy.run("check")

    assert outcome.code == 1
    assert "uq_products_title" in outcome.out + outcome.err


@pytest.mark.slow
def test_the_sql_of_a_change_can_be_printed(copy: WorkspaceCopy, described: str) -> None:
    outcome = copy.run("sql")

    assert outcome.code == 0
    assert "COMMIT;\n\nDO $$ DECLARE" in outcome.out
    assert fetch(copy.url, "SELECT version_num FROM alembic_version") == [(described,)]
    assert USERS not in outcome.out
