"""A resource and its fields: one definition, and every word that templates need of it."""

from dataclasses import dataclass
from typing import Literal

from scaffold import english
from scaffold.names import ResourceName


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of values, as each layer calls it."""

    python: str
    dto: str
    column: str
    json: Literal["string", "integer"]


TEXT = Kind(python="str", dto="Text", column="String", json="string")
INTEGER = Kind(python="int", dto="Integer", column="Integer", json="integer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One value of a resource; the properties are ready lines and words of generated code."""

    name: str
    kind: Kind
    sample: str
    """A Python literal that tests use, like `"ada"`."""
    other_sample: str
    max_length: int | None = None
    required: bool = False
    unique: bool = False
    updatable: bool = True

    @property
    def optional(self) -> bool:
        """May be left out and be null."""
        return not self.required

    @property
    def label(self) -> str:
        """`First name`."""
        return self.name.replace("_", " ").capitalize()

    @property
    def article(self) -> str:
        """`a` or `an`, before the label: "an email"."""
        return english.article(self.label.lower())

    @property
    def annotation(self) -> str:
        """The type inside the service: `str`, `int | None`."""
        return self.kind.python if self.required else f"{self.kind.python} | None"

    @property
    def update_annotation(self) -> str:
        """The type where None leaves the value as it is."""
        return f"{self.kind.python} | None"

    @property
    def json_type(self) -> str:
        """JSON's name of the type."""
        return self.kind.json

    @property
    def limit_name(self) -> str:
        """The DTO's constant that holds `max_length`, in characters."""
        return f"{self.name.upper()}_MAX_LENGTH"

    @property
    def entity_line(self) -> str:
        """The field of the dataclass."""
        default = "" if self.required else " = None"
        return f"{self.name}: {self.annotation}{default}"

    @property
    def create_line(self) -> str:
        """The field of the DTO that creates."""
        return f"{self.name}: {self._dto_type}" if self.required else self.update_line

    @property
    def update_line(self) -> str:
        """The field of the DTO that updates."""
        return f"{self.name}: {self._dto_type} | None = None"

    @property
    def column_type(self) -> str:
        """SQLAlchemy's type: `String(80)`."""
        return self.kind.column if self.max_length is None else f"String({self.max_length})"

    @property
    def column_line(self) -> str:
        """The column of the model."""
        unique = ", unique=True" if self.unique else ""
        return f"{self.name}: Mapped[{self.annotation}] = mapped_column({self.column_type}{unique})"

    @property
    def migration_line(self) -> str:
        """The column in the revision that creates the table."""
        length = "()" if self.max_length is None else f"(length={self.max_length})"
        return f'sa.Column("{self.name}", sa.{self.kind.column}{length}, nullable={self.optional}),'

    @property
    def _dto_type(self) -> str:
        if self.max_length is None:
            return self.kind.dto
        return f"Annotated[{self.kind.dto}, Field(max_length={self.limit_name})]"


@dataclass(frozen=True, slots=True)
class FieldSet:
    """A resource's fields, in the order of its messages and documents."""

    fields: tuple[Field, ...]
    lookups: tuple[str, ...] = ()
    """Names of fields that have a route of their own."""

    def __post_init__(self) -> None:
        if [*self.required, *self.optional] != list(self.fields):
            raise ValueError("A dataclass has its required fields first")

    @property
    def required(self) -> list[Field]:
        """Those that a new resource must have."""
        return [field for field in self.fields if field.required]

    @property
    def optional(self) -> list[Field]:
        """Those that may be left out."""
        return [field for field in self.fields if field.optional]

    @property
    def unique(self) -> list[Field]:
        """Those that no two rows share."""
        return [field for field in self.fields if field.unique]

    @property
    def updatable(self) -> list[Field]:
        """Those that an update may change."""
        return [field for field in self.fields if field.updatable]

    @property
    def limited(self) -> list[Field]:
        """Those with a greatest length."""
        return [field for field in self.fields if field.max_length is not None]

    @property
    def lookup(self) -> list[Field]:
        """Those that find a resource by a route of their own."""
        return [field for field in self.fields if field.name in self.lookups]

    @property
    def column_types(self) -> list[str]:
        """Types that a model imports of SQLAlchemy; Boolean is for `is_active`."""
        return sorted({field.kind.column for field in self.fields} | {"Boolean"})

    @property
    def dto_types(self) -> list[str]:
        """Names that the DTOs import of quart_fleet.dto for these fields."""
        return sorted({field.kind.dto for field in self.fields})


USER = FieldSet(
    (
        Field(
            name="username",
            kind=TEXT,
            max_length=80,
            required=True,
            unique=True,
            updatable=False,
            sample='"ada"',
            other_sample='"grace"',
        ),
        Field(
            name="email",
            kind=TEXT,
            max_length=120,
            required=True,
            unique=True,
            updatable=False,
            sample='"ada@example.com"',
            other_sample='"grace@example.com"',
        ),
        Field(name="first_name", kind=TEXT, max_length=50, sample='"Ada"', other_sample='"Grace"'),
        Field(
            name="last_name", kind=TEXT, max_length=50, sample='"Lovelace"', other_sample='"Hopper"'
        ),
        Field(name="age", kind=INTEGER, sample="36", other_sample="85"),
    ),
    lookups=("username",),
)
"""What shared/models/user.py keeps."""

PLAIN = FieldSet(
    (
        Field(
            name="name",
            kind=TEXT,
            max_length=120,
            required=True,
            unique=True,
            sample='"First"',
            other_sample='"Second"',
        ),
        Field(
            name="description",
            kind=TEXT,
            max_length=1000,
            sample='"The first of its kind"',
            other_sample='"Another one"',
        ),
    )
)
"""What every other resource starts with."""


@dataclass(frozen=True, slots=True)
class Resource(ResourceName):
    """What a service keeps: its names, its table and its fields."""

    @property
    def is_shipped(self) -> bool:
        """Whether its model and its revision come with the framework."""
        return self.name == "user"

    @property
    def fields(self) -> FieldSet:
        """Those that it starts with."""
        return USER if self.is_shipped else PLAIN

    @property
    def table(self) -> str:
        """The name of its table."""
        return self.table_for(field.name for field in self.fields.unique)
