"""The rows that a service begins with in development: the samples of its tests, with references."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from scaffold.generation.fields import Field, ItemsField, Resource
from scaffold.generation.relations import Target, further_rows


@dataclass(frozen=True, slots=True)
class SeedWords:
    """`seed` in the template: the rows of a resource."""

    resource: Resource
    targets: list[Target]
    """What they refer to."""
    rows: list[list[str]]
    """Arguments of the entity."""

    @classmethod
    def of(cls, resource: Resource) -> Self:
        """Return the words of a resource."""
        relations = resource.relations
        changes = further_rows(resource.description, relations.totals, resource.singular)
        rows = [
            [
                f"{one.name}={value_of(resource, one, number, change)}"
                for one in resource.fields.fields
            ]
            for number, change in enumerate([{}, {}, *changes])
        ]
        fields = [*resource.fields.fields]
        fields += [
            one
            for items in resource.fields.items
            if items.count
            for one in items.part.fields.fields
        ]
        used = {
            one.of.type.target
            for one in fields
            if not isinstance(one, ItemsField) and any(one.samples)
        }
        targets = [one for one in relations.targets if one.singular in used - relations.later]
        return cls(resource, targets, rows)

    @property
    def keyword(self) -> str:
        """Before the function's name: secrets are kept by coroutines."""
        return "async def" if self.resource.secrets else "def"

    @property
    def parameters(self) -> str:
        """Of the function that makes them."""
        return ", ".join(f"{one.plural}: Ids" for one in self.targets)

    @property
    def refers_to(self) -> str:
        """The argument that names what comes before them."""
        names = [f'"{one.singular}"' for one in self.targets]
        return f", refers_to={in_tuple(names)}" if names else ""

    @property
    def ids_of(self) -> str:
        """What the parameters are, as the end of a sentence."""
        *others, last = [one.plural_label_lower for one in self.targets] or [""]
        listed = f"{', '.join(others)} and {last}" if others else last
        return f", by the ids of {listed}" if listed else ""

    @property
    def entity_names(self) -> list[str]:
        """What is imported of the module of the entity."""
        every = [self.resource, *self.resource.parts]
        return [
            *(f"{each.class_name}Entity" for each in every),
            *(field.enum for each in every for field in each.fields.enums),
        ]


def value_of(resource: Resource, field: Field, number: int, change: Mapping[str, Any]) -> str:
    """Return the value of a field in a row, in Python: the first sample in the first, else the second.

    Args:
        resource: of the row.
        field: of the resource.
        number: of the row.
        change: in what the row differs, by the names of fields.
    """
    if not isinstance(field, ItemsField):
        value = change.get(field.of.name, field.samples[number > 0])
        return spell_value(resource, field, value, None)
    part, start = field.part, field.count if number else 0
    entities = []
    for row in part.rows(start, field.count):
        arguments = (f"{one.name}={spell_value(resource, one, value, field)}" for one, value in row)
        entities.append(f"{part.class_name}Entity({', '.join(arguments)})")
    return in_tuple(entities)


def spell_value(resource: Resource, field: Field, value: Any, items: ItemsField | None) -> str:
    """Return a value in Python: ids are those of stored rows, and a secret is what is kept of it.

    Args:
        resource: of the row.
        field: of the resource, or of its parts.
        value: of the field.
        items: keeps the parts.
    """
    if field.is_many:
        return in_tuple([f"{field.target.plural}[{one - 1}]" for one in value])
    is_later = field.of.type.target in resource.relations.later
    if value is None or (is_later and field.of.optional):
        return "None"
    if field.of.type.name == "ref":
        return str(value) if is_later else f"{field.target.plural}[{value - 1}]"
    for secret in resource.secrets:
        if secret.items == items and secret.field.name == field.name:
            return f"await secrets.keep_{secret.name}({field.literal(value)})"
    return field.literal(value)


def in_tuple(values: Sequence[str]) -> str:
    """Return a tuple, in Python: of one value, with the comma that makes it one."""
    return f"({', '.join(values)}{',' * (len(values) == 1)})"
