"""A resource and its fields in the words of the templates: ready lines of generated code."""

import re
from dataclasses import KW_ONLY, dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, Self

from quart_fleet.errors import no_such
from scaffold import english
from scaffold.generation.relations import ON_DELETE, Relations, Target, edges_of, prefix_of
from scaffold.generation.samples import (
    are_distinct,
    distinct_rows,
    distinct_samples,
    entries_of,
    just_outside,
    just_unlike,
    samples_of,
)
from scaffold.language.description import (
    NUMBERS,
    TEXTS,
    FieldDescription,
    Generated,
    IndexColumn,
    ResourceDescription,
    Type,
    Value,
    initial_of,
    spell,
)
from scaffold.language.identifiers import (
    names_of,
    pair_columns,
    table_of,
)
from scaffold.language.naming import class_of, enum_of
from scaffold.language.scanner import Scanner
from scaffold.language.types import MOST_ENTRIES
from scaffold.names import ResourceName, ServiceName, variable_of
from scaffold.workspace import MODELS


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of values, as each layer calls it."""

    python: str
    request: str
    response: str
    column: str
    """SQLAlchemy's type in a model, and by `sa.` in a revision."""


_KINDS = {
    "str": Kind("str", "Text", "str", "String"),
    "text": Kind("str", "Text", "str", "Text()"),
    "int": Kind("int", "Integer", "int", "Integer()"),
    "bigint": Kind("int", "BigInteger", "int", "BigInteger()"),
    "float": Kind("float", "Float", "float", "Double()"),
    "decimal": Kind("Decimal", "Decimal", "Decimal", "Numeric"),
    "bool": Kind("bool", "bool", "bool", "Boolean()"),
    "date": Kind("date", "Date", "date", "Date()"),
    "time": Kind("time", "Time", "time", "Time()"),
    "datetime": Kind("datetime", "DateTime", "DateTimeText", "DateTime(timezone=True)"),
    "duration": Kind("timedelta", "Duration", "DurationText", "Interval()"),
    "uuid": Kind("UUID", "UUID", "UUID", "Uuid()"),
    "email": Kind("str", "Email", "str", "String(length=320)"),
    "url": Kind("str", "Url", "str", "Text()"),
    "enum": Kind("", "", "", "String(length=63)"),
    "json": Kind("object", "Json", "object", "JSONB()"),
    "ref": Kind("int", "Id", "int", "BigInteger()"),
    "many": Kind("tuple[int, ...]", "Ids", "tuple[int, ...]", ""),
}
_OF_DATETIME = ("date", "time", "datetime", "timedelta")
_OF_PYDANTIC = frozenset(
    {"construct", "copy", "dict", "from_orm", "json", "of", "of_each", "parse_file", "parse_obj"}
    | {"parse_raw", "schema", "schema_json", "update_forward_refs", "validate"}
    | {"model_computed_fields", "model_config", "model_construct", "model_copy", "model_dump"}
    | {"model_dump_json", "model_extra", "model_fields", "model_fields_set"}
    | {"model_json_schema", "model_parametrized_name", "model_post_init", "model_rebuild"}
    | {"model_validate", "model_validate_json", "model_validate_strings"}
    | {"is_empty", "over"}
)
"""Attributes of a DTO's class, which no field may hide."""
_OF_SQLALCHEMY = ("metadata", "registry", "type_annotation_map")
"""Attributes of a model's class."""
_AROUND_LOOPS = frozenset(
    {"added", "all_of", "database", "date", "datetime", "deepcopy", "entity", "field", "next"}
    | {"pytest", "record_id", "self", "stored", "store_references", "time", "timedelta", "zip"}
)
"""Names beside the loops over parts in the generated code."""
_LONGEST_EXAMPLE = 30
"""Characters of a text in a message that shows a pattern's form."""
_BUILTIN = frozenset({"list", "object", "tuple"})
"""Python's own words in annotations that fields may be called by."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value has to be, for the method of the entity and for its test."""

    field: "Field"
    title: str
    """Of the test: `has_a_least_value`."""
    message: str
    condition: str
    """An expression that is true where the rule is kept."""
    refused: str | None
    """A literal that breaks it, where there is one."""


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a resource; the properties are ready lines and words of generated code."""

    of: FieldDescription
    owner: str
    """The resource's name as a class: `Product`."""
    prefix: str
    """Before a name of the module `datetime`: `dt.` where a field has such a name itself."""
    scope: str
    """Before a constant's name: `ORDER_LINE_` of a part's fields."""
    resource: str
    """The resource's name in snake case; of a part's fields, behind that of its owner."""
    taken: frozenset[str]
    """Names of all fields of its class, which are hidden there from what follows them."""
    relations: Relations
    """Of the resource."""
    initial: str = ""
    """Of a state that actions change, the word that a new row has."""

    @property
    def name(self) -> str:
        """The column, the key in JSON and the attribute of the entity: `category_id` of a ref."""
        return self.of.key

    @property
    def target(self) -> Target:
        """The resource that a reference names."""
        return self.relations.get(self.of.type.target)

    @property
    def is_many(self) -> bool:
        """Whether it is kept in a table of pairs."""
        return self.of.type.name == "many"

    @property
    def pair_columns(self) -> tuple[str, str]:
        """The columns of the table of pairs of a `many`: the owner's, and the other."""
        return pair_columns(self.resource, self.of)

    @property
    def pair_table(self) -> str:
        """The table of pairs of a `many`."""
        return f"{self.resource}_{self.of.name}"

    @property
    def missing(self) -> str:
        """What an id of nothing is answered with."""
        return no_such(self.pair_columns[1] if self.is_many else self.name)

    @property
    def target_name(self) -> str:
        """What a reference calls the other row: `tag` of `tags`."""
        return self.pair_columns[1].removesuffix("_id") if self.is_many else self.of.name

    @property
    def missing_title(self) -> str:
        """The reference in the name of a test."""
        return f"one_of_{self.name}" if self.is_many else self.of.name

    @property
    def missing_json(self) -> str:
        """An id of nothing as a client sends it, in Python."""
        ids = [*map(str, range(1, self.of.shortest or 1)), "2**62"]
        return f"[{', '.join(ids)}]" if self.is_many else ids[-1]

    @property
    def samples(self) -> tuple[Any, Any]:
        """Two values for tests: of a reference, ids of what they store first."""
        is_circular = self.of.type.target in self.relations.circular and not self.of.needs_another
        if self.is_many:
            stored = range(1, max(self.of.shortest or 0, 2) + 1)
            least = self.of.shortest or 1
            first, other = stored[: entries_of(self.of)], stored[len(stored) - least :]
            return ((), ()) if is_circular else (tuple(first), tuple(other))
        if is_circular:
            return None, None
        if self.initial:
            return self.initial, self.initial
        return samples_of(self.of)

    @property
    def variable(self) -> str:
        """The name as a parameter: `type` is Python's, so `type_`."""
        return variable_of(self.name)

    @property
    def attribute(self) -> str:
        """The name in a DTO: `json` is pydantic's, so `json_`."""
        return f"{self.name}_" if self.name in _OF_PYDANTIC else self.name

    @property
    def required(self) -> bool:
        """Whether a new resource must have it."""
        return not (self.of.optional or self.initial or self.is_many) and self.of.default is None

    @property
    def is_fixed(self) -> bool:
        """Whether no update changes it: it is set once, or by actions."""
        return self.of.fixed or bool(self.initial)

    @property
    def max_length(self) -> int:
        """Characters that the column holds, of a str, or that a secret has; else 0."""
        limits = [self.of.type.width, *([self.of.longest] if self.of.secret else [])]
        return min(filter(None, limits), default=0)

    @property
    def too_long(self) -> str:
        """What a text of more than `max_length` characters is answered with."""
        return f"Must be at most {_characters(self.max_length)}"

    @property
    def label(self) -> str:
        """`First name`."""
        return self.name.replace("_", " ").capitalize()

    @property
    def unique_label(self) -> str:
        """What a refusal begins with where the value is taken: of a reference `Category`."""
        return self.of.name.replace("_", " ").capitalize()

    @property
    def article(self) -> str:
        """`a` or `an`, before the label: "an email"."""
        return english.article(self.label.lower())

    @property
    def limit_name(self) -> str:
        """The DTO's constant that holds `max_length`, in characters."""
        return f"{self.scope}{self.name.upper()}_MAX_LENGTH"

    @property
    def enum(self) -> str:
        """The class of an enum's words: `ProductStatus`."""
        return enum_of(self.owner, self.name)

    @property
    def constants(self) -> list[tuple[str, str]]:
        """The members of that class, with their words."""
        return [(_constant(word), word) for word in self.of.type.words]

    @property
    def annotation(self) -> str:
        """The type inside the service: `str`, `int | None`."""
        return self._or_none(self._python)

    @property
    def update_annotation(self) -> str:
        """The type where None leaves the value as it is."""
        return f"{self._python} | None"

    @property
    def entity_line(self) -> str:
        """The field of the dataclass."""
        default = " = ()" if self.is_many else " = None" if self.of.optional else ""
        if self.of.secret:
            describe = "dataclasses.field" if "field" in self.taken else "field"
            default = f" = {describe}({'default=None, ' * self.of.optional}repr=False)"
        return f"{self.name}: {self.annotation}{default}"

    @property
    def create_line(self) -> str:
        """The field of the DTO that creates."""
        match self.initial or self.of.default:
            case None:
                default = "default=None" if self.of.optional else ""
                default = "default=()" if self.is_many else default
            case Generated.NOW:
                default = "default_factory=utc_now"
            case Generated.RANDOM:
                default = "default_factory=uuid4"
            case value:
                default = f"default={self.literal(value)}"
        return self._dto_line(self.create_type, default)

    @property
    def update_line(self) -> str:
        """The field of the DTO that updates."""
        return self._dto_line(f"{self._ruled} | None", "default=None")

    @property
    def create_type(self) -> str:
        """The type of the field in the DTO that creates."""
        if self.initial:
            return f"Annotated[{self.enum}, Initially({self.initial_member})]"
        return self._or_none(self._ruled)

    @property
    def filter_type(self) -> str:
        """The type by which lists read it."""
        return self._or_none(self._request)

    @property
    def patch_line(self) -> str:
        """The field of the DTO of a merge patch."""
        return self._dto_line("Fixed" if self.is_fixed else self.create_type, "default=LEFT_OUT")

    @property
    def response_line(self) -> str:
        """The field of the DTO that answers."""
        kind = _KINDS[self.of.type.name].response or self.enum
        return self._dto_line(self._or_none(self._reached(self._prefixed(kind))), "")

    @property
    def column_line(self) -> str:
        """The column of the model."""
        attribute = f"{self.name}_" if self.name in _OF_SQLALCHEMY else self.name
        kind = self.column_type.replace("()", "").replace("length=", "")
        if self.of.type.name == "json":
            kind = "JSONB(none_as_null=True)"
        arguments = [f'"{self.name}"'] if attribute != self.name else []
        arguments.append(kind.replace("precision=", "").replace("scale=", ""))
        if self.of.type.has_foreign_key:
            rule = ON_DELETE[self.of.type.on_delete]
            action = f", ondelete={rule!r}" if rule else ""
            arguments.append(f"ForeignKey('{self.target.table}.id'{action})")
        arguments += ["unique=True"] if self.of.unique else []
        if self.of.default is not None:
            default = default_of(self.of.default, self.of.type, "func.{}")
            arguments.append(f"server_default={default}")
        python = "str" if self.of.type.name == "enum" else self._python
        mapped = f"Mapped[{self._or_none(python)}]"
        return f"{attribute}: {mapped} = mapped_column({', '.join(arguments)})"

    @property
    def column_type(self) -> str:
        """SQLAlchemy's type with the names of its arguments: `String(length=80)`."""
        kind = self.of.type
        if self.of.secret:
            return "Text()"
        arguments = {
            "str": f"(length={kind.width})",
            "decimal": f"(precision={kind.precision}, scale={kind.scale})",
        }
        return f"{_KINDS[kind.name].column}{arguments.get(kind.name, '')}"

    def to_row(self, holder: str) -> str:
        """The value of a row, from an entity by its variable."""
        value = f"{holder}.{self.name}"
        if not self.of.secret:
            return value
        unless_null = f"None if {value} is None else " if self.of.optional else ""
        return f"{unless_null}Secret({value})"

    @property
    def from_row(self) -> str:
        """The value of the entity, from a row."""
        column = f'row["{self.name}"]'
        if self.of.type.name != "enum":
            return column
        value = f"{self.enum}({column})"
        return f"None if {column} is None else {value}" if self.of.optional else value

    @property
    def sample(self) -> str:
        """A Python literal that tests use, like `"ada"`."""
        return self.literal(self.samples[0])

    @property
    def other_sample(self) -> str:
        """Another one."""
        return self.literal(self.samples[1])

    @property
    def json_sample(self) -> str:
        """The sample as a client sends it, in Python."""
        return self.json(self.samples[0])

    @property
    def other_json_sample(self) -> str:
        """The other sample as a client sends it."""
        return self.json(self.samples[1])

    @property
    def query_sample(self) -> str:
        """The sample as a parameter of a list, in Python."""
        value = self.samples[0]
        if isinstance(value, Decimal):
            return self.json(value)
        if value is None:
            return '"null"'
        return _shown(value if isinstance(value, str) else spell(value))

    @property
    def other_answered_sample(self) -> str:
        """The other sample as the DTO of an answer has it."""
        is_text = self.of.type.name in ("datetime", "duration")
        return self.other_json_sample if is_text else self.other_sample

    @property
    def initial_member(self) -> str:
        """The word that a new row has, as a member of the enumeration."""
        return f"{self.enum}.{_constant(self.initial)}"

    @property
    def initial_message(self) -> str:
        """What a new row with another word is answered with."""
        return f"Must be '{self.initial}'"

    @property
    def later_words(self) -> list[str]:
        """The words that no new row has."""
        return [word for word in self.of.type.words if word != self.initial]

    @property
    def value_of_first(self) -> str:
        """What the use cases' tests know of the first resource: an answer's value, where it is kept."""
        is_text = self.of.type.name in ("datetime", "duration")
        return f"{'a_request()' if is_text else 'first'}.{self.attribute}"

    @property
    def from_create(self) -> str:
        """The value of the entity, from the DTO that creates."""
        return f"dto.{self.attribute}"

    @property
    def from_update(self) -> str:
        """What the entity's `update` gets."""
        return f"dto.{self.attribute}"

    @property
    def from_patch(self) -> str:
        """What the entity's `patch` gets."""
        return f"whole.{self.attribute}"

    @property
    def pattern_name(self) -> str:
        """The entity's constant that holds its pattern."""
        return f"{self.scope}{self.name.upper()}_PATTERN"

    @property
    def pattern_literal(self) -> str:
        """The pattern in Python, raw where that shows it as it is."""
        text = self.of.pattern or ""
        is_plain = re.fullmatch(r"[ !#-~]*[ !#-\[\]-~]", text) and "\\" in text
        return f'r"{text}"' if is_plain else _shown(text)

    @property
    def rules(self) -> list[Rule]:
        """What its value has to be, beyond its type."""
        of, value = self.of, f"self.{self.name}"
        if of.secret:
            return []  # the entity has what is kept of it
        # Of positive and min, one says more than the other.
        lowest: Any = of.least
        is_positive = of.positive and (lowest is None or lowest <= 0)
        rules = list[tuple[str, str, str, Value | None]]()
        if of.pattern is not None:
            said = f"Must have the expected form{self._example}"
            condition = f"{self.pattern_name}.matches({value})"
            rules.append(("matches_its_pattern", said, condition, just_unlike(of)))
        if of.least is not None and not is_positive:
            least = self._bound(of.least)
            said = f"Must be at least {spell(of.least)}"
            outside = just_outside(of, of.least, below=True)
            rules.append(("has_a_least_value", said, f"{value} >= {least}", outside))
        if of.greatest is not None:
            greatest = self._bound(of.greatest)
            said = f"Must be at most {spell(of.greatest)}"
            outside = just_outside(of, of.greatest, below=False)
            rules.append(("has_a_greatest_value", said, f"{value} <= {greatest}", outside))
        if is_positive:
            zero: Any = {"decimal": Decimal(0), "float": 0.0}.get(of.type.name, 0)
            rules.append(("is_positive", "Must be greater than 0", f"{value} > 0", zero))
        has, count = ("be", _characters) if of.type.name in TEXTS else ("have", _items)
        if of.shortest:
            said = f"Must {has} at least {count(of.shortest)}"
            condition = f"len({value}) >= {of.shortest}"
            rules.append(("has_a_least_length", said, condition, "x" * (of.shortest - 1)))
        if of.longest is not None:
            said = f"Must {has} at most {count(of.longest)}"
            condition, long = f"len({value}) <= {of.longest}", "x" * (of.longest + 1)
            rules.append(("has_a_greatest_length", said, condition, long))
        unless_null = f"{value} is None or " if of.optional else ""
        return [
            Rule(
                self,
                title,
                said,
                f"{unless_null}{condition}",
                None if refused is None else self.literal(refused),
            )
            for title, said, condition, refused in rules
        ]

    @property
    def _example(self) -> str:
        """What shows the form of a pattern in a message: a text that matches, where it is plain."""
        text = str(samples_of(self.of)[0])
        is_plain = len(text) <= _LONGEST_EXAMPLE and re.fullmatch(r"[!-~]([ -~]*[!-~])?", text)
        return f", like {text}" if is_plain else ""

    def literal(self, value: Value | None) -> str:
        """Return a value as generated Python has it."""
        kind = self.of.type.name
        match value:
            case Decimal():
                return f'Decimal("{_placed(value, self.of.type)}")'
            case datetime():
                moment = repr(value).removeprefix("datetime.")
                return self.prefix + moment.replace("datetime.timezone.utc", f"{self.prefix}UTC")
            case date() | time() | timedelta():
                return self.prefix + repr(value).removeprefix("datetime.")
            case str():
                # Of a list it is as long as a text that breaks its rule.
                forms = {
                    "uuid": f'UUID("{value}")',
                    "enum": f"{self.enum}.{_constant(value)}",
                    "many": f"tuple(range({len(value)}))",
                }
                return forms.get(kind, _shown(value))
        return _shown(value)

    def json(self, value: Value | None) -> str:
        """Return a value as a client sends it, in Python."""
        if isinstance(value, tuple):
            return repr(list(value))
        if isinstance(value, Decimal):
            return f'"{_placed(value, self.of.type)}"'
        if isinstance(value, date | time | timedelta):
            return f'"{spell(value)}"'
        return _shown(value)

    def _bound(self, value: Value) -> str:
        """Return a bound as a literal: a Decimal can be compared with a whole number."""
        is_whole = isinstance(value, Decimal) and value == int(value)
        return str(int(value)) if is_whole and isinstance(value, Decimal) else self.literal(value)

    def _dto_line(self, annotation: str, default: str) -> str:
        """Return a field of a DTO; pydantic's Field is there only where it is needed."""
        if self.attribute != self.name:
            options = ", ".join(filter(None, [default, f'alias="{self.name}"']))
            return f"{self.attribute}: {annotation} = Field({options})"
        if default.startswith("default_factory"):
            return f"{self.name}: {annotation} = Field({default})"
        value = default.removeprefix("default=")
        return f"{self.name}: {annotation}{f' = {value}' if value else ''}"

    def _or_none(self, python: str) -> str:
        return f"{python} | None" if self.of.optional else python

    def _prefixed(self, python: str) -> str:
        return f"{self.prefix}{python}" if python in _OF_DATETIME else python

    def _reached(self, annotation: str) -> str:
        """Return a type with the module of those words that fields of its class have as names."""
        words = "|".join(sorted(self.taken & _BUILTIN))
        return re.sub(rf"\b({words})\b", r"builtins.\1", annotation) if words else annotation

    @property
    def _python(self) -> str:
        return self._reached(self._prefixed(_KINDS[self.of.type.name].python or self.enum))

    @property
    def _request(self) -> str:
        kind = self.of.type
        if self.of.secret:
            return self._secret_request
        match kind.name:
            case "str":
                return f"Annotated[Text, Field(max_length={self.limit_name})]"
            case "decimal":
                return f"Annotated[Decimal, Digits({kind.precision}, {kind.scale})]"
        return _KINDS[kind.name].request or self.enum

    @property
    def _ruled(self) -> str:
        """The type in a body, with the entity's rules for the document."""
        return self._with_rules(self._request)

    def _with_rules(self, kind: str) -> str:
        of = self.of
        is_positive = of.positive and (of.least is None or of.least <= 0)  # type: ignore[operator]  # a number
        is_number = of.type.name in NUMBERS
        limits = {
            "ge": of.least if is_number and not is_positive else None,
            "gt": 0 if is_positive else None,
            "le": of.greatest if is_number else None,
            "min_length": of.shortest or None,
            "max_length": of.longest,
        }
        said = [
            f"{name}={each if 'length' in name else self._bound(each)}"
            for name, each in limits.items()
            if each is not None
        ]
        if of.pattern is not None:
            said.append(f"pattern={self.pattern_literal}")
        if of.secret or not said:
            return kind
        inner = kind.removeprefix("Annotated[").removesuffix("]") if "Annotated[" in kind else kind
        return f"Annotated[{inner}, Ruled({', '.join(said)})]"

    @property
    def _secret_request(self) -> str:
        """The type of a secret with its rules, of which the entity knows nothing."""
        limits = {
            "min_length": self.of.shortest,
            "max_length": self.limit_name if self.max_length else None,
        }
        written = ", ".join(f"{name}={limit}" for name, limit in limits.items() if limit)
        rules = [f"Field({written})"] if written else []
        if self.of.pattern is not None:
            rules.append(f"Matching({self.pattern_literal})")
        return f"Annotated[{', '.join([_KINDS[self.of.type.name].request, *rules, 'Hidden'])}]"


@dataclass(frozen=True, slots=True)
class ItemsField(Field):
    """The parts of a resource."""

    _: KW_ONLY
    part: "Part"

    @property
    def article(self) -> str:
        """Of the label, which is a plural."""
        return "the"

    @property
    def required(self) -> bool:
        """Never: left out is none."""
        return False

    @property
    def max_length(self) -> int:
        """How many there are at most, unless a rule says less."""
        return MOST_ENTRIES

    @property
    def create_type(self) -> str:
        """The type of the field in the DTO that creates."""
        return self._with_rules(self._reached(f"list[Create{self.part.class_name}DTO]"))

    @property
    def create_line(self) -> str:
        """The field of the DTO that creates."""
        options = f"default_factory={self._reached('list')}, max_length={self.limit_name}"
        return f"{self.name}: {self.create_type} = Field({options})"

    @property
    def response_line(self) -> str:
        """The field of the DTO that answers."""
        return f"{self.name}: {self._reached(f'list[{self.part.class_name}ResponseDTO]')}"

    @property
    def entity_line(self) -> str:
        """The field of the dataclass."""
        return f"{self.name}: {self._python} = ()"

    @property
    def from_create(self) -> str:
        """The value of the entity, from the DTO that creates."""
        return f"_{self.name}(dto.{self.attribute}{'' if self.is_fixed else ', ()'})"

    @property
    def from_update(self) -> str:
        """What the entity's `update` gets."""
        return f"_{self.name}(dto.{self.attribute}, entity.{self.name})"

    @property
    def from_patch(self) -> str:
        """What the entity's `patch` gets."""
        return self.from_update

    @property
    def sample(self) -> str:
        """A Python literal that tests use."""
        return f"({''.join(f'{each},' for each in self._entities(0))})"

    @property
    def other_sample(self) -> str:
        """Another one."""
        return f"({''.join(f'{each},' for each in self._entities(self.count))})"

    @property
    def json_sample(self) -> str:
        """The sample as a client sends it, in Python."""
        return f"[{', '.join(self._bodies(0))}]"

    @property
    def other_json_sample(self) -> str:
        """The other sample as a client sends it."""
        return f"[{', '.join(self._bodies(self.count))}]"

    @property
    def count(self) -> int:
        """How many parts a sample has: two, unless a rule wants more, or forbids them.

        None, where each refers to what cannot be there before the owner.
        """
        if not self.of.shortest and any(
            one.of.type.target in self.relations.circular and one.of.needs_another
            for one in self.part.fields.references
        ):
            return 0
        found = len(self.part.unique_rows)
        if found < (self.of.shortest or 0):
            scanner = Scanner(str(self.of))
            scanner.refuse(
                f"{self.of.shortest} {self.part.plural_label_lower} were not found whose unique values differ",
                "Want fewer of them, or let more values differ.",
                scanner.text.index(":length") + 1,
            )
        return found

    @property
    def rules(self) -> list[Rule]:
        """How many there have to be."""
        value, found = f"len(self.{self.name})", []
        some = f"a_request().{self.attribute}"
        if self.of.shortest:
            said = f"Must have at least {_items(self.of.shortest)}"
            refused = "[]" if self.of.shortest == 1 else f"{some}[:{self.of.shortest - 1}]"
            condition = f"{value} >= {self.of.shortest}"
            found.append(Rule(self, "have_a_least_number", said, condition, refused))
        if self.of.longest is not None:
            said = f"Must have at most {_items(self.of.longest)}"
            # What is repeated breaks what is unique too.
            is_told = not self.part.unique_keys and self.of.longest < MOST_ENTRIES
            too_many = f"{some}[:1] * {self.of.longest + 1}" if is_told else None
            condition = f"{value} <= {self.of.longest}"
            found.append(Rule(self, "have_a_greatest_number", said, condition, too_many))
        return found

    @property
    def checks(self) -> list[str]:
        """What the owner adds to what its rules refuse."""
        found = [f'broken_rules("{self.name}", self.{self.name})'] * bool(self.part.fields.rules)
        return found + [
            f'find_duplicates("{self.name}", self.{self.name}, {", ".join(map(_quoted, names))})'
            for names in self.part.unique_keys
        ]

    @property
    def duplicates(self) -> dict[str, str]:
        """What is refused where the second part has the values of the first."""
        first = {one.name: value for one, value in self.part.rows(0, 1)[0]}
        return {
            f"{self.name}.1.{names[-1]}": "Is a duplicate"
            for names in self.part.unique_keys
            if None not in [first[name] for name in names]
        }

    @property
    def swapped(self) -> list[Field]:
        """Unique fields whose values two parts may exchange."""
        alone = {names[0] for names in self.part.unique_keys if len(names) == 1}
        return [
            one
            for one in self.part.fields.updatable
            if one.name in alone and self.count > 1 and None not in self.part.values_of(one)[:2]
        ]

    def _entities(self, start: int) -> list[str]:
        """Return the parts of a sample as entities."""
        return [
            f"{self.part.class_name}Entity({', '.join(f'{one.name}={one.literal(value)}' for one, value in row)})"
            for row in self.part.rows(start, self.count)
        ]

    def _bodies(self, start: int) -> list[str]:
        """Return the parts of a sample as JSON, in Python."""
        return [
            f"{{{', '.join(f'{_quoted(one.name)}: {one.json(value)}' for one, value in row)}}}"
            for row in self.part.rows(start, self.count)
        ]

    @property
    def _python(self) -> str:
        return self._reached(f"tuple[{self.part.class_name}Entity, ...]")

    @property
    def _request(self) -> str:
        name = self.part.class_name
        entries = self._reached(f"list[Part[Create{name}DTO, Patch{name}DTO]]")
        return f"Annotated[{entries}, Field(max_length={self.limit_name})]"

    @property
    def patch_line(self) -> str:
        """The field of the DTO of a merge patch."""
        return self._dto_line("Fixed" if self.of.fixed else self._ruled, "default=LEFT_OUT")


@dataclass(frozen=True, slots=True)
class FieldSet:
    """A resource's fields, in the order of its messages and documents."""

    fields: tuple[Field, ...]
    prefix: str
    indexes: tuple[tuple[IndexColumn, ...], ...]
    """Of all that are no constraint, without the id at the end of each."""
    has_active: bool

    @classmethod
    def of(cls, resource: "Resource") -> Self:
        """Return the words of a resource, or of a part."""
        description = resource.description
        keys = {field.name: field.key for field in description.fields}
        names = {field.key for one in (description, *description.parts) for field in one.fields}
        prefix = resource.moments or ("dt." if names.intersection(_OF_DATETIME) else "")
        singles = [(IndexColumn(each.key),) for each in description.fields if each.is_indexed]
        others = [
            tuple(replace(each, name=keys.get(each.name, each.name)) for each in columns)
            for columns in description.index
        ]
        states = {action.field for action in description.actions}
        parts = {one.name: one for one in description.parts}
        taken = frozenset(field.key for field in description.fields)
        fields = list[Field]()
        for each in description.fields:
            initial = initial_of(each) if each.name in states else ""
            common = (
                *(each, resource.class_name, prefix, resource.scope, resource.row_name),
                *(taken, resource.relations, initial),
            )
            if each.type.name == "items":
                part = Part.kept(resource, parts[each.type.target], prefix, entries_of(each))
                fields.append(ItemsField(*common, part=part))
            else:
                fields.append(Field(*common))
        return cls(
            tuple(fields),
            prefix,
            tuple(dict.fromkeys([*singles, *others])),
            description.has_active,
        )

    @property
    def items(self) -> list[ItemsField]:
        """Those that have a table of their own."""
        return [field for field in self.fields if isinstance(field, ItemsField)]

    @property
    def required(self) -> list[Field]:
        """Those that a new resource must have."""
        return [field for field in self.fields if field.required]

    @property
    def unique(self) -> list[Field]:
        """Those that no two rows share."""
        return [field for field in self.fields if field.of.unique]

    @property
    def updatable(self) -> list[Field]:
        """Those that an update may change."""
        return [field for field in self.fields if not field.is_fixed]

    @property
    def filtered(self) -> list[Field]:
        """Those that lists are filtered by: all that have an index."""
        indexed = {column.name for columns in self.indexes for column in columns}
        return [field for field in self.fields if field.of.unique or field.name in indexed]

    @property
    def secrets(self) -> list[Field]:
        """Those that are taken in and never given out."""
        return [field for field in self.fields if field.of.secret]

    @property
    def searched(self) -> list[Field]:
        """Those in which lists seek a part of a text."""
        return [field for field in self.fields if field.of.search]

    @property
    def limited(self) -> list[Field]:
        """Those with a width."""
        return [field for field in self.fields if field.max_length]

    @property
    def bordered(self) -> list[Field]:
        """Those whose width no rule forbids to be used."""
        return [
            field
            for field in self.limited
            if field.of.longest in (None, field.max_length)
            and field.of.pattern is None
            and field.of.type.name in ("str", "text")
        ]

    @property
    def lookup(self) -> list[Field]:
        """Those that find a resource by a route of their own."""
        return [field for field in self.fields if field.of.lookup]

    @property
    def columns(self) -> list[Field]:
        """Those with a column of the resource's own table."""
        return [
            field for field in self.fields if not (field.is_many or isinstance(field, ItemsField))
        ]

    @property
    def pairs(self) -> list[Field]:
        """Those with a table of pairs."""
        return [field for field in self.fields if field.is_many]

    @property
    def references(self) -> list[Field]:
        """Those with a foreign key, of the resource's own table or of one of pairs."""
        return [field for field in self.fields if field.of.type.has_foreign_key or field.is_many]

    @property
    def foreign(self) -> dict[Target, list[Field]]:
        """References without a foreign key, by the resource of another service that they name."""
        found: dict[Target, list[Field]] = {}
        for each in self.fields:
            if each.of.type.name == "ref" and not each.of.type.has_foreign_key:
                found.setdefault(each.target, []).append(each)
        return found

    @property
    def enums(self) -> list[Field]:
        """Those with words to choose from."""
        return [field for field in self.fields if field.of.type.words]

    @property
    def rules(self) -> list[Rule]:
        """The rules of all."""
        return [rule for field in self.fields for rule in field.rules]

    @property
    def column_types(self) -> list[str]:
        """Types that a model imports of SQLAlchemy; the last are for pairs and `is_active`."""
        used = {field.column_type.partition("(")[0] for field in self.columns}
        return sorted((used | {"BigInteger", "Boolean"}) - {"JSONB"})

    @property
    def datetime_import(self) -> str:
        """How a module names the types of dates and times, as far as it uses them."""
        if self.prefix:
            return "import datetime as dt"
        return "from datetime import UTC, date, datetime, time, timedelta"

    @property
    def update_ignores(self) -> str:
        """The comment on a method with more parameters and branches than ruff likes."""
        count = len(self.updatable) + self.has_active
        return _ignored(
            C901=count >= 10,
            PLR0912=count > 12,
            PLR0913=count > 5,
            PLR0915=2 * count + 1 + bool(self.rules) > 50,
        )

    @property
    def patch_ignores(self) -> str:
        """The same on the method that has no branches."""
        count = len(self.updatable) + self.has_active
        return _ignored(PLR0913=count > 5, PLR0915=count + 1 + bool(self.rules) > 50)


@dataclass(frozen=True, slots=True)
class Resource(ResourceName):
    """One thing that a service keeps: its names, its table and its fields."""

    description: ResourceDescription
    prefix: str
    """Before the names of modules that each resource of a service has: empty for the one that the
    service is named after, else `line_item_`."""
    relations: Relations

    @classmethod
    def described(
        cls,
        service: ServiceName,
        description: ResourceDescription,
        relations: Relations | None = None,
    ) -> Self:
        """Return a resource of a service."""
        alone = {columns[0] for columns in description.unique if len(columns) == 1}
        together = [columns for columns in description.unique if len(columns) > 1]
        description = replace(
            description,
            fields=tuple(
                replace(each, unique=True, index=False) if each.name in alone else each
                for each in description.fields
            ),
            unique=tuple(dict.fromkeys(together)),
        )
        names = names_of(description)
        prefix = prefix_of(service, names)
        return cls(names.singular, names.many, description, prefix, relations or Relations())

    @property
    def model(self) -> PurePosixPath:
        """The module of its model, below the workspace's root."""
        return PurePosixPath(MODELS, f"{self.name}.py")

    @property
    def fields(self) -> FieldSet:
        """Its fields in the words of the templates."""
        return FieldSet.of(self)

    @property
    def qualified_name(self) -> str:
        """The name as commands take it: `order.line` of a part."""
        return self.singular

    @property
    def row_name(self) -> str:
        """What a column in another table calls a row, before `_id`: `order_line` of a part."""
        return self.singular

    @property
    def needs(self) -> frozenset[str]:
        """Resources whose tables its own refers to."""
        return frozenset(edges_of(self.description))

    @property
    def moments(self) -> str:
        """Before a name of the module `datetime`, where that is decided; else empty."""
        return ""

    @property
    def scope(self) -> str:
        """Before the names of constants for its fields."""
        return ""

    @property
    def column_types(self) -> list[str]:
        """Types that its model imports of SQLAlchemy."""
        return self.fields.column_types

    @property
    def parts(self) -> "list[Part]":
        """What its items are."""
        return [field.part for field in self.fields.items]

    @property
    def table(self) -> str:
        """The name of its table."""
        return table_of(self.description)

    @property
    def secrets(self) -> "list[Secret]":
        """What it keeps hidden, and its parts do."""
        found = [Secret(field, field.name, None) for field in self.fields.secrets]
        for items in self.fields.items:
            for field in items.part.fields.secrets:
                name = f"{items.part.singular}_{field.name}"
                is_taken = any(one.name == name for one in found)
                found.append(Secret(field, f"{name}_" if is_taken else name, items))
        return found

    @property
    def secret_sets(self) -> "list[list[Secret]]":
        """Its secrets, where it has some."""
        return [self.secrets] if self.secrets else []

    @property
    def directories(self) -> list[Target]:
        """The resources of other services that it refers to, its parts too."""
        every = (each.fields.foreign for each in (self, *self.parts))
        return list(dict.fromkeys(target for foreign in every for target in foreign))


@dataclass(frozen=True, slots=True)
class Secret:
    """What is taken in and never given out, of a resource or of its parts."""

    field: Field
    name: str
    """In the names of functions: `line_pin` of a part."""
    items: ItemsField | None
    """The field that keeps the parts."""

    @property
    def label(self) -> str:
        """`password`, `pin of lines`."""
        of = f" of {self.items.part.plural_label_lower}" if self.items else ""
        return f"{self.field.label.lower()}{of}"

    def keep(self, holder: str) -> list[str]:
        """Return the lines that put what is kept in its place in an entity."""
        value = f"{holder}.{self.field.name}"
        line = f"{value} = await self._secrets.keep_{self.name}({value})"
        return [f"if {value} is not None:", f"    {line}"] if self.field.of.optional else [line]


@dataclass(frozen=True, slots=True)
class Part(Resource):
    """What belongs to one resource, and is kept in a table of its own: `order_lines`."""

    owner: str
    """The resource's name: `order`."""
    owner_class: str
    owner_table: str
    entries: int
    """How many of them the tests' samples have, unless fewer differ."""

    @classmethod
    def kept(
        cls, owner: Resource, description: ResourceDescription, prefix: str, entries: int
    ) -> Self:
        """Return a part; `prefix` is the owner's, before a name of the module `datetime`.

        What is unique is so within one owner.
        """
        names = names_of(description)
        singles = tuple((field.name,) for field in description.fields if field.unique)
        fields = tuple(replace(field, unique=False) for field in description.fields)
        unique = tuple(dict.fromkeys([*singles, *description.unique]))
        described = replace(description, fields=fields, unique=unique)
        return cls(
            names.singular,
            names.many,
            described,
            prefix,
            owner.relations,
            owner.singular,
            owner.class_name,
            owner.table,
            entries,
        )

    @property
    def unique_keys(self) -> list[tuple[str, ...]]:
        """Columns whose values together are in one part only, of one owner."""
        keys = {field.name: field.key for field in self.description.fields}
        return [tuple(keys[name] for name in names) for names in self.description.unique]

    @property
    def row_name(self) -> str:
        """What a column in another table calls a row, before `_id`."""
        return f"{self.owner}_{self.singular}"

    @property
    def needs(self) -> frozenset[str]:
        """Resources whose tables its own refers to."""
        return frozenset({*edges_of(self.description), self.owner})

    @property
    def class_name(self) -> str:
        """`OrderLine`."""
        return f"{self.owner_class}{class_of(self.singular)}"

    @property
    def variable(self) -> str:
        """The variable of loops over an owner's parts: `line`."""
        return f"{self.singular}{'_' * (self.singular in _AROUND_LOOPS)}"

    @property
    def owner_column(self) -> str:
        """The column that holds the owner's id: `order_id`."""
        return f"{self.owner}_id"

    @property
    def table(self) -> str:
        """The name of its table."""
        return table_of(self.description, self.owner)

    @property
    def column_types(self) -> list[str]:
        """Types that its model imports of SQLAlchemy, with those of its own columns."""
        return [*self.fields.column_types, "BigInteger", "Integer"]

    @property
    def qualified_name(self) -> str:
        """The name as commands take it."""
        return f"{self.owner}.{self.singular}"

    @property
    def moments(self) -> str:
        """Before a name of the module `datetime`: its classes are in the owner's modules."""
        return self.prefix

    @property
    def scope(self) -> str:
        """Before the names of constants for its fields."""
        return f"{self.owner.upper()}_{self.singular.upper()}_"

    def values_of(self, field: Field) -> list[Any]:
        """Return as many values of a field that differ as the tests need, or as there can be."""
        first, other = field.samples
        if first is None or field.is_many:
            return [first, other]
        is_unique = any(field.name in names for names in self.unique_keys)
        if field.of.type.name == "ref":
            return [*range(1, max(2, self.entries * is_unique) + 1)]
        found: list[Any] = [*distinct_samples(field.of, 2 * self.entries)]
        if len(found) < self.entries and is_unique and field.of.optional:
            found += [None] * (self.entries - len(found))
        return found

    @property
    def unique_rows(self) -> list[dict[str, Any]]:
        """The values of an owner's parts by their fields: two, unless a rule wants more, or forbids them."""
        values = {one.name: self.values_of(one) for one in self.fields.fields}
        return distinct_rows(values, self.unique_keys, self.entries)

    def rows(self, start: int, count: int) -> list[list[tuple[Field, Value | None]]]:
        """Return the values of some parts that differ, after those of `start` others."""
        values = {one.name: self.values_of(one) for one in self.fields.fields}
        rows = [
            {name: found[number % len(found)] for name, found in values.items()}
            for number in range(start, start + count)
        ]
        if not are_distinct(rows, self.unique_keys):
            unique = {name for names in self.unique_keys for name in names}
            differing = zip(rows, self.unique_rows, strict=False)
            rows = [row | {name: each[name] for name in unique} for row, each in differing]
        return [[(one, row[one.name]) for one in self.fields.fields] for row in rows]


def _ignored(**codes: bool) -> str:
    """Return the comment that names the codes which are found."""
    found = [code for code, is_found in codes.items() if is_found]
    return f"  # noqa: {', '.join(found)} - one for each field" if found else ""


def default_of(value: Value | None, of: Type, function: str) -> str:
    """Return the argument that a column's DEFAULT is made of.

    `function` is the form of a call in SQL, as `func.{}`.
    """
    match value:
        case None:
            return "None"
        case Generated.NOW:
            return function.format("now()")
        case Generated.RANDOM:
            return function.format("gen_random_uuid()")
        case str():
            return _shown(value)
        case Decimal():
            return f'"{_placed(value, of)}"'
    return f'"{spell_in_sql(value)}"'


def spell_in_sql(value: Value) -> str:
    """Write a value as PostgreSQL reads it, which wants the sign of a duration at each number."""
    text = spell(value)
    is_negative = isinstance(value, timedelta) and text.startswith("-")
    return re.sub(r"(?=(?<![\d.])\d)", "-", text[1:]) if is_negative else text


def _constant(word: str) -> str:
    """Return the member of an enumeration that stands for a word."""
    return word.upper().replace("-", "_")


def _shown(value: object) -> str:
    """Return a literal, with escapes for letters that could be taken for others."""
    text = repr(value)
    return text if re.fullmatch(r"[ -~À-ÖØ-öø-ÿ]*", text) else ascii(value)


def _placed(value: Decimal, of: Type) -> str:
    """Return a decimal with all places of its type."""
    return f"{value:.{of.scale}f}"


def _characters(count: int) -> str:
    return _counted(count, "character")


def _items(count: int) -> str:
    return _counted(count, "item")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s'[: count != 1]}"


def _quoted(name: str) -> str:
    return f'"{name}"'
