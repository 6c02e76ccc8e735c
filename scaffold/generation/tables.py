"""The table of a resource: its columns, constraints and indexes, as models and revisions write them."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from scaffold.generation.fields import Field, Part, Resource, default_of
from scaffold.generation.relations import ON_DELETE
from scaffold.language.description import IndexColumn, Type, Value, spell

_RESERVED = frozenset(
    {"all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric"}
    | {"authorization", "binary", "both", "case", "cast", "check", "collate", "collation"}
    | {"column", "concurrently", "constraint", "create", "cross", "current_catalog"}
    | {"current_date", "current_role", "current_schema", "current_time", "current_timestamp"}
    | {"current_user", "default", "deferrable", "desc", "distinct", "do", "else", "end"}
    | {"except", "false", "fetch", "for", "foreign", "freeze", "from", "full", "grant"}
    | {"group", "having", "ilike", "in", "initially", "inner", "intersect", "into", "is"}
    | {"isnull", "join", "lateral", "leading", "left", "like", "limit", "localtime"}
    | {"localtimestamp", "natural", "not", "notnull", "null", "offset", "on", "only", "or"}
    | {"order", "outer", "overlaps", "placing", "primary", "references", "returning", "right"}
    | {"select", "session_user", "similar", "some", "symmetric", "system_user", "table"}
    | {"tablesample", "then", "to", "trailing", "true", "union", "unique", "user", "using"}
    | {"variadic", "verbose", "when", "where", "window", "with"}
)
"""Words that a statement has in quotes where they name something (PostgreSQL's manual, appendix C)."""
_ID = IndexColumn("id")


@dataclass(frozen=True, slots=True)
class Column:
    """A column besides id, created_at and updated_at, which every table has."""

    name: str
    kind: Type
    sqlalchemy: str
    """SQLAlchemy's type: `sa.String(length=80)`."""
    nullable: bool
    default: Value | None

    @property
    def server_default(self) -> str:
        """The default as a revision writes it; `None` for none."""
        if isinstance(self.default, bool):
            return f"sa.text({spell(self.default)!r})"
        return default_of(self.default, self.kind, "sa.text({!r})")

    @property
    def line(self) -> str:
        """The column where a table or a column is created."""
        default = "" if self.default is None else f" server_default={self.server_default},"
        return f'sa.Column("{self.name}", {self.sqlalchemy},{default} nullable={self.nullable})'

    def check_as(self, name: str) -> str:
        """Return the condition of an enum's column, which has a name of its own until it is renamed."""
        words = ", ".join(f"'{word}'" for word in self.kind.words)
        return f"{quoted(name)} IN ({words})"


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A reference from a column to the ids of a table."""

    column: str
    target: str
    """The resource; it stays what it is where its table gets another name."""
    table: str
    on_delete: str
    """PostgreSQL's word; empty where the deletion is refused."""

    @property
    def options(self) -> str:
        """The rule as an argument of SQLAlchemy and Alembic."""
        return f", ondelete={json.dumps(self.on_delete)}" if self.on_delete else ""


@dataclass(frozen=True, slots=True)
class Table:
    """What a database has of a resource."""

    name: str
    columns: Mapping[str, Column]
    """By name, in the order of the fields."""
    uniques: tuple[tuple[str, ...], ...]
    """Columns whose values together are in one row only, sorted."""
    indexes: tuple[tuple[IndexColumn, ...], ...]
    references: tuple[ForeignKey, ...] = ()
    key: tuple[str, ...] = ("id",)
    """The primary key; a table of pairs has another one, and no other columns."""
    deferrable: bool = False
    """Whether rows may exchange unique values in one statement."""
    searched: tuple[str, ...] = ()
    """Columns of text in which lists seek a part, by one index."""

    @classmethod
    def of_each(cls, resource: Resource) -> dict[str, Self]:
        """Return every table that a description gives, by the fields that they are for."""
        return {"": cls.of(resource)} | {
            field.name: cls.of_pairs(resource, field) for field in resource.fields.pairs
        }

    @classmethod
    def of_pairs(cls, resource: Resource, field: Field) -> Self:
        """Return the table of a `many`."""
        own, other = field.pair_columns
        columns = [
            Column(name, Type("ref"), "sa.BigInteger()", False, None) for name in (own, other)
        ]
        return cls(
            field.pair_table,
            {column.name: column for column in columns},
            (),
            ((IndexColumn(other), IndexColumn(own)),),
            (
                ForeignKey(own, resource.singular, resource.table, "CASCADE"),
                ForeignKey(other, field.target.singular, field.target.table, ""),
            ),
            (own, other),
        )

    @classmethod
    def of(cls, resource: Resource) -> Self:
        """Return the own table of a resource, or of a part."""
        description = resource.description
        columns = [
            Column(
                field.name,
                Type("text") if field.of.secret else field.of.type,
                f"{'postgresql' if field.of.type.name == 'json' else 'sa'}.{field.column_type}",
                field.of.optional,
                field.of.default,
            )
            for field in resource.fields.columns
        ]
        if description.has_active:
            columns.append(Column("is_active", Type("bool"), "sa.Boolean()", False, True))
        keys = {field.name: field.key for field in description.fields}
        singles = [(field.key,) for field in description.fields if field.unique]
        uniques = [tuple(keys[name] for name in names) for names in description.unique]
        references = [
            ForeignKey(
                field.name,
                field.target.singular,
                field.target.table,
                ON_DELETE[field.of.type.on_delete],
            )
            for field in resource.fields.references
            if field.of.type.has_foreign_key
        ]
        # Lists are paged by key: the id tells rows apart that have the same values.
        indexes = list(resource.fields.indexes)
        if isinstance(resource, Part):
            own = resource.owner_column
            columns[:0] = [
                Column(own, Type("bigint"), "sa.BigInteger()", False, None),
                Column("position", Type("int"), "sa.Integer()", False, None),
            ]
            uniques = [(own, *one) for one in (("position",), *resource.unique_keys)]
            references.insert(0, ForeignKey(own, resource.owner, resource.owner_table, "CASCADE"))
        elif not description.is_contract:
            indexes = [*dict.fromkeys([(IndexColumn("created_at"),), *indexes])]
        return cls(
            resource.table,
            {column.name: column for column in columns},
            tuple(sorted({*singles, *uniques})),
            tuple((*columns, _ID) for columns in indexes),
            tuple(references),
            searched=tuple(field.name for field in resource.fields.searched),
            deferrable=isinstance(resource, Part),
        )

    @property
    def is_own(self) -> bool:
        """Whether its rows have ids of their own and times."""
        return self.key == ("id",)

    @property
    def enums(self) -> list[Column]:
        """Columns with words to choose from."""
        return [column for column in self.columns.values() if column.kind.words]

    def unique_name(self, columns: Sequence[str]) -> str:
        """Return the name that the models' convention gives a unique constraint."""
        return f"uq_{self.name}_{'_'.join(columns)}"

    def check_name(self, column: str) -> str:
        """Return the name of the check on an enum's words."""
        return f"ck_{self.name}_{column}"

    def reference_name(self, reference: ForeignKey) -> str:
        """Return the name that the models' convention gives a foreign key."""
        return f"fk_{self.name}_{reference.column}_{reference.table}"

    def index_name(self, columns: Sequence[IndexColumn]) -> str:
        """Return the convention's name; a descending column tells it from its ascending sister."""
        words = (f"{each.name}{'_desc' * each.descending}" for each in columns)
        return f"ix_{self.name}_{'_'.join(words)}"

    @property
    def search_name(self) -> str:
        """The name of the index of `searched`."""
        return f"ix_{self.name}_search"

    def pairs(self, service: str) -> str:
        """Return a table of pairs as a model has it."""
        rules = {"": "", "CASCADE": ", ondelete='CASCADE'"}
        columns = [
            f"Column({each.column!r}, BigInteger, "
            f"ForeignKey('{each.table}.id'{rules[each.on_delete]}), primary_key=True)"
            for each in self.references
        ]
        info = f"info={ {'service': service}!r}"
        arguments = [repr(self.name), "BaseModel.metadata", *columns, *self._indexes, info]
        # The comma at the end has the formatter put each argument on a line of its own.
        return f"{self.name} = Table({', '.join(arguments)},)"

    @property
    def _indexes(self) -> list[str]:
        return [
            f"Index({self.index_name(columns)!r}, {', '.join(parts_of(columns, 'literal_column'))})"
            for columns in self.indexes
        ]

    def arguments(self, service: str) -> str:
        """Return what a model says of its table besides the columns."""
        checks = [
            f"CheckConstraint({column.check_as(column.name)!a}, name={column.name!r})"
            for column in self.enums
        ]
        uniques = [
            f"UniqueConstraint({', '.join(map(repr, columns))}{', deferrable=True' * self.deferrable})"
            for columns in self.uniques
            if len(columns) > 1
        ]
        about = repr({"info": {"service": service}})
        found = [*checks, *uniques, *self._indexes]
        if self.searched:
            columns = ", ".join(map(repr, self.searched))
            found.append(f"Index({self.search_name!r}, {columns}{trigrams_of(self.searched)})")
        return f"({', '.join([*found, about])})" if found else about


def parts_of(columns: Sequence[IndexColumn], literal: str) -> list[str]:
    """Return the columns of an index in Python; nulls come last both ways, as in lists.

    `literal` is the function for a text of SQL.
    """
    return [
        f"{literal}({f'{quoted(each.name)} DESC NULLS LAST'!r})"
        if each.descending
        else repr(each.name)
        for each in columns
    ]


def trigrams_of(columns: Sequence[str]) -> str:
    """Return the arguments that make an index one of the columns' trigrams."""
    classes = dict.fromkeys(columns, "gin_trgm_ops")
    return f', postgresql_using="gin", postgresql_ops={classes}'


def quoted(name: str) -> str:
    """Return a name as a statement has it."""
    return (
        name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) and name not in _RESERVED else f'"{name}"'
    )
