"""How the models differ from the database, a line for each difference."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.runtime.migration import MigrationContext
from sqlalchemy import JSON, Column, Connection, MetaData
from sqlalchemy.dialects.postgresql import JSONB

_ONLY_IN_MODELS = "in the models, not in the database"
_ONLY_IN_DATABASE = "in the database, not in the models"


class ImplThatReadsJSON(PostgresqlImpl):
    """Alembic's for PostgreSQL, in whose place it is by being defined.

    Alembic asks the server whether two defaults are equal, which it does not know of `json`. The
    hook that Alembic has for this, `compare_server_default`, fails on identity columns (1.20).
    """

    __dialect__ = "postgresql"

    def compare_server_default(
        self,
        inspector_column: Column[Any],
        metadata_column: Column[Any],
        rendered_metadata_default: str | None,
        rendered_inspector_default: str | None,
    ) -> bool:
        """Say whether the model's default is another than the database's."""
        defaults = (rendered_metadata_default, rendered_inspector_default)
        if not isinstance(inspector_column.type, JSON) or isinstance(inspector_column.type, JSONB):
            columns = (inspector_column, metadata_column)
            return bool(super().compare_server_default(*columns, *defaults))  # type: ignore[no-untyped-call]  # has no annotation
        in_model, in_database = (each and _text_of(each) for each in defaults)
        return in_model != in_database


def _text_of(default: str) -> str:
    """Leave out what only some of the spellings have: `{}`, `'{}'`, `'{}'::json`."""
    return default.removesuffix("::json").strip("'")


def compare(connection: Connection, metadata: MetaData) -> list[str]:
    """Say every difference that Alembic's autogenerate would write a revision for."""
    options = {"compare_type": True, "compare_server_default": True}
    context = MigrationContext.configure(connection, opts=options)
    differences: list[Any] = compare_metadata(context, metadata)
    lines = [
        _describe(change)
        for difference in differences
        for change in (difference if isinstance(difference, list) else [difference])
    ]
    return sorted(lines)


def _describe(change: tuple[Any, ...]) -> str:
    """Put one of `compare_metadata`'s tuples, whose shapes Alembic's manual lists, in words."""
    match change:
        case (str(kind), _schema, table, column, _existing, old, new) if kind[:6] == "modify":
            what = kind.removeprefix("modify_")
            return (
                f"column {table}.{column}: {what} {_value(old)} in the database, "
                f"{_value(new)} in the models"
            )
        case (str(kind), _schema, table, column):
            return f"column {table}.{column.name}: {_side(kind)}"
        case (str(kind), thing, *_):
            return f"{_sort(kind)} {_full_name(thing)}: {_side(kind)}"
        case _:
            return str(change)


def _side(kind: str) -> str:
    return _ONLY_IN_MODELS if kind.startswith("add") else _ONLY_IN_DATABASE


def _sort(kind: str) -> str:
    sort = kind.partition("_")[2].replace("_", " ")
    return "foreign key" if sort == "fk" else sort


def _full_name(thing: Any) -> str:
    table = getattr(thing, "table", None)
    return f"{table.name}.{thing.name}" if table is not None else str(thing.name)


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return str(getattr(value, "arg", value))
