"""Differences between models and database in words: from the operations that settle them."""

from typing import Any

from alembic.operations.ops import MigrateOperation, UpgradeOps
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from db_manager.ownership import full_name
from db_manager.steps import Step

_ONLY_IN_MODELS = "in the models, not in the database"
_ONLY_IN_DATABASE = "in the database, not in the models"


def describe(operation: MigrateOperation) -> list[str]:
    """Put an operation in words, a line for each difference."""
    if isinstance(operation, Step):
        return [operation.difference]
    changes: list[Any] = UpgradeOps([operation]).as_diffs()
    return [
        describe_change(change)
        for difference in changes
        for change in (difference if isinstance(difference, list) else [difference])
    ]


def describe_change(change: tuple[Any, ...]) -> str:
    """Put one of `compare_metadata`'s tuples, whose shapes Alembic's manual lists, in words."""
    match change:
        case (str(kind), schema, table, column, _existing, old, new) if kind[:6] == "modify":
            what = kind.removeprefix("modify_")
            return (
                f"column {full_name(schema, table)}.{column}: {what} {_value(old)} in the "
                f"database, {_value(new)} in the models"
            )
        case (str(kind), schema, table, column):
            return f"column {full_name(schema, table)}.{column.name}: {_side(kind)}"
        case (str(kind), thing, *_):
            sort = kind.partition("_")[2].replace("_", " ").replace("fk", "foreign key")
            table = getattr(thing, "table", None)
            name = str(thing.name) if table is None else f"{table.fullname}.{thing.name}"
            name = thing.fullname if isinstance(thing, Table) else name
            return f"{sort} {name}: {_side(kind)}"
        case _:
            return str(change)


def _side(kind: str) -> str:
    return _ONLY_IN_MODELS if kind.startswith("add") else _ONLY_IN_DATABASE


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, TypeEngine):
        return value.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]  # has no annotation
    return str(getattr(value, "arg", value))
