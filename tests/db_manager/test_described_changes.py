"""Revisions that the generator writes, applied by `migrate`, held against the model by `check`."""

from pathlib import PurePosixPath

import pytest

from quart_fleet.workspace import PROJECT_FILE
from scaffold.fields import Resource
from scaffold.language.description import IndexColumn
from scaffold.render import format_python
from scaffold.revisions import write_revision
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
