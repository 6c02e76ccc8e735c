"""Revisions that `revision` writes run as they are, there and back."""

import pytest

from tests.db_manager.outcome import execute, fetch
from tests.db_manager.workspace_copy import WorkspaceCopy

TYPES = """
from enum import Enum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeDecorator, UserDefinedType

from shared.models.base import BaseModel


class Money(TypeDecorator[Any]):
    impl = sa.Numeric(12, 2)
    cache_ok = True


class Mood(Enum):
    SAD = "sad"
    HAPPY = "happy"


class Name(sa.String):
    pass


class Octets(TypeDecorator[Any]):
    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        return dialect.type_descriptor(postgresql.BYTEA())


class Tagged(TypeDecorator[Any]):
    impl = postgresql.ARRAY(Name(10))
    cache_ok = True


class Point(UserDefinedType[Any]):
    cache_ok = True

    def __init__(self, kind: str = "POINT") -> None:
        self.kind = kind

    def __repr__(self) -> str:
        return f"Point({self.kind!r})"

    def get_col_spec(self, **_: Any) -> str:
        return self.kind


numbers = sa.Sequence("numbers", metadata=BaseModel.metadata)


class ThingModel(BaseModel):
    __tablename__ = "things"
    price: Mapped[Any] = mapped_column(Money)
    prices: Mapped[Any] = mapped_column(postgresql.ARRAY(Money))
    name: Mapped[Any] = mapped_column(Name(30))
    data: Mapped[Any] = mapped_column(Octets)
    tags: Mapped[Any] = mapped_column(Tagged)
    at: Mapped[Any] = mapped_column(Point("POINT"))
    mood: Mapped[Any] = mapped_column(sa.Enum(Mood, name="mood", native_enum=True))
    moods: Mapped[Any] = mapped_column(postgresql.ARRAY(sa.Enum(Mood, name="mood", native_enum=True)))
    year: Mapped[Any] = mapped_column(
        postgresql.DOMAIN("year", sa.Integer(), check=sa.text("VALUE > 1900"))
    )
    net: Mapped[Any] = mapped_column(postgresql.INET)
    spans: Mapped[Any] = mapped_column(postgresql.TSTZRANGE)
    either: Mapped[Any] = mapped_column(sa.JSON().with_variant(postgresql.JSONB(), "postgresql"))
    number: Mapped[Any] = mapped_column(sa.BigInteger, server_default=numbers.next_value())
    tsv: Mapped[Any] = mapped_column(postgresql.TSVECTOR)
    size: Mapped[Any] = mapped_column(sa.Float(24), sa.CheckConstraint("size > 0", name="size"))
"""

CYCLE = """
from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import BaseModel


class TeamModel(BaseModel):
    __tablename__ = "teams"
    leader_id: Mapped[int | None] = mapped_column(ForeignKey("members.id"))


class MemberModel(BaseModel):
    __tablename__ = "members"
    team_id: Mapped[int | None] = mapped_column(ForeignKey("teams.id"))
    mentor_id: Mapped[int | None] = mapped_column(ForeignKey("members.id"))


class AwardModel(BaseModel):
    __tablename__ = "awards"
    member_id: Mapped[int | None] = mapped_column(ForeignKey("members.id"))
"""


def assert_runs_there_and_back(copy: WorkspaceCopy) -> str:
    """Write the revision of the models, apply, revert and apply it; return its text."""
    written = copy.run("revision", "-m", "make it so")
    assert written.code == 0, written.err
    files = written.out.split()
    back = ["downgrade", f"-{len(files)}", "--yes"]
    for command in (["migrate"], ["check"], back, ["migrate"], ["check"]):
        outcome = copy.run(*command)
        assert outcome.code == 0, outcome.err
        assert "Warning" not in outcome.err
    return "".join((copy.folder / each).read_text() for each in files)


@pytest.mark.slow
def test_types_of_all_sorts_run(copy: WorkspaceCopy) -> None:
    copy.run("migrate")
    copy.add_model("thing", TYPES)

    text = assert_runs_there_and_back(copy)

    assert "Money" not in text
    assert "import shared.models.thing" in text


@pytest.mark.slow
def test_types_of_all_sorts_run_in_a_table_that_is_there(copy: WorkspaceCopy) -> None:
    copy.run("migrate")
    head, _, _columns = TYPES.partition("    price: Mapped")
    copy.add_model("thing", head)
    assert_runs_there_and_back(copy)
    copy.add_model("thing", TYPES)

    assert_runs_there_and_back(copy)


@pytest.mark.slow
def test_an_enumeration_of_postgresql_may_grow_and_is_told_when_it_shrinks(
    copy: WorkspaceCopy,
) -> None:
    copy.run("migrate")
    copy.add_model("thing", TYPES)
    copy.run("revision", "-m", "make it so")
    copy.run("migrate")
    grown = TYPES.replace('SAD = "sad"', 'SAD = "sad"\n    CALM = "calm"')
    copy.add_model("thing", grown)

    written = copy.run("revision", "-m", "calm")
    applied = copy.run("migrate")
    equal = copy.run("check")
    copy.add_model("thing", TYPES.replace('    SAD = "sad"\n', ""))
    shrunk, refused = copy.run("check"), copy.run("revision", "-m", "never sad")

    assert (written.code, applied.code, equal.code) == (0, 0, 0), equal.err
    labels = fetch(copy.url, "SELECT enum_range(NULL::mood)::text")
    assert labels == [("{SAD,CALM,HAPPY}",)]
    assert "type mood: SAD, CALM in the database, not in the models" in shrunk.err
    assert refused.code == 1
    assert "No revision can be written for these" in refused.err


@pytest.mark.slow
def test_tables_that_refer_to_each_other_are_made_and_dropped(copy: WorkspaceCopy) -> None:
    copy.run("migrate")
    copy.add_model("team", CYCLE)

    assert_runs_there_and_back(copy)
    (copy.user_model.parent / "team.py").unlink()
    dropped = copy.run("revision", "-m", "drop teams")
    assert dropped.code == 0, dropped.err
    for command in (["migrate"], ["check"], ["downgrade", "-1", "--yes"]):
        outcome = copy.run(*command)
        assert outcome.code == 0, outcome.err


@pytest.mark.slow
def test_a_check_is_added_to_a_table_and_taken_off(copy: WorkspaceCopy) -> None:
    copy.run("migrate")
    model = copy.user_model.read_text()
    copy.add_column_to_users(
        "__table_args__ = (sqlalchemy.CheckConstraint('age > 0', name='age'),)", "import sqlalchemy"
    )

    missing = copy.run("check")
    assert_runs_there_and_back(copy)
    copy.user_model.write_text(model)
    surplus = copy.run("check")

    assert missing.err == "Error: check users.ck_users_age: in the models, not in the database\n"
    assert surplus.err.endswith(
        "Error: check users.ck_users_age: in the database, not in the models\n"
    )
    assert_runs_there_and_back(copy)


@pytest.mark.slow
def test_every_default_and_check_runs(copy: WorkspaceCopy) -> None:
    execute(copy.url, "CREATE SEQUENCE numbers", "CREATE TYPE mood AS ENUM ('sad', 'happy')")
    copy.run("migrate")
    copy.add_model(
        "thing",
        "from shared.models.base import BaseModel\n"
        "from tests.db_manager.test_definitions import with_all\n\n"
        "with_all(BaseModel.metadata)\n",
    )

    assert_runs_there_and_back(copy)
