"""Names that the database gets of a description: tables, their constraints and their indexes.

They follow quart_fleet.models.NAMING_CONVENTION. PostgreSQL would cut what is longer than 63 bytes.
"""

from collections.abc import Iterator, Mapping

from scaffold.language.description import FieldDescription, ResourceDescription
from scaffold.language.naming import OF_CLASSES, class_of, enum_of
from scaffold.language.scanner import Scanner
from scaffold.names import LONGEST_NAME, ResourceName

_OF_PARTS = ("Entity", "Model", "Parts")
"""Ends of the names of a part's own classes."""


def names_of(description: ResourceDescription) -> ResourceName:
    """Return the names of what is described."""
    return ResourceName.named(description.name, description.plural or "")


def table_of(description: ResourceDescription, owner: str = "") -> str:
    """Return the table of a resource, or of a part of `owner`: `order_lines`."""
    if owner:
        return f"{owner}_{names_of(description).many}"
    constrained = [one.key for one in description.fields if one.unique or one.type.words]
    constrained += [f"{one.key}_id" for one in description.fields if one.is_indexed]
    constrained += [] if description.is_contract else ["created_at_id"]
    return names_of(description).table_for(constrained)


def tables_of(description: ResourceDescription) -> list[tuple[str, str]]:
    """Return every table of a resource with what it keeps: its own, its parts' and its pairs'."""
    tables = [(table_of(description), description.name)]
    parts = {f"{description.name}_{part.name}": part for part in description.parts}
    tables += [
        (table_of(part, description.name), f"{description.name}.{part.name}")
        for part in description.parts
    ]
    for owner, one in ({description.name: description} | parts).items():
        tables += [
            (f"{owner}_{field.name}", f"{owner}.{field.name}")
            for field in one.fields
            if field.type.name == "many"
        ]
    return tables


def classes_of(description: ResourceDescription) -> list[tuple[str, str]]:
    """Return the classes that generated modules import together, each with what it is of."""
    own, found = names_of(description).class_name, list[tuple[str, str]]()
    for one in (description, *description.parts):
        is_part = one is not description
        class_name = f"{own}{class_of(one.name)}" if is_part else own
        name = f"{description.name}.{one.name}" if is_part else one.name
        ends = _OF_PARTS if is_part else OF_CLASSES
        found += [(f"{class_name}{end}", name) for end in ends]
        found += [
            (enum_of(class_name, field.name), f"{name}.{field.name}")
            for field in one.fields
            if field.type.words
        ]
    return found


def pair_columns(owner: str, field: FieldDescription) -> tuple[str, str]:
    """Return the columns of a table of pairs: the owner's, and that of what a `many` names."""
    own, other = f"{owner}_id", field.key.removesuffix("s")
    return own, f"other_{other}" if other == own else other


def check_identifiers(
    description: ResourceDescription, tables: Mapping[str, str], owner: str = ""
) -> None:
    """Raise DescriptionError for what PostgreSQL would cut.

    `tables` are those of resources that fields name; `owner` is of which the description is a part.
    """
    for text, identifier in _identifiers(description, tables, owner):
        if len(identifier) > LONGEST_NAME:
            Scanner(text).refuse(
                f"{identifier!r} would have {len(identifier)} characters in the database",
                f"Choose shorter names: PostgreSQL's have {LONGEST_NAME} at most.",
                0,
            )


def _identifiers(
    description: ResourceDescription, tables: Mapping[str, str], owner: str
) -> Iterator[tuple[str, str]]:
    """Yield each identifier after the text of the description that it comes from."""
    table = table_of(description, owner)
    singular = f"{owner}_{description.name}" if owner else description.name
    within = f"{owner}_id_" if owner else ""
    yield description.name, f"pk_{table}"
    if owner:
        yield description.name, f"fk_{table}_{owner}_id_{tables.get(owner, owner)}"
        yield description.name, f"uq_{table}_{owner}_id_position"
    else:
        yield description.name, f"ix_{table}_created_at_id"
    for field in description.fields:
        text, key, target = str(field), field.key, field.type.target
        if field.type.name == "many":
            pairs, (own, other) = f"{singular}_{field.name}", pair_columns(singular, field)
            yield text, f"fk_{pairs}_{own}_{table}"
            yield text, f"fk_{pairs}_{other}_{tables.get(target, target)}"
            yield text, f"ix_{pairs}_{other}_{own}"
        elif field.type.name != "items":
            yield text, key
        if field.type.has_foreign_key:
            yield text, f"fk_{table}_{key}_{tables.get(target, target)}"
        forms = {
            f"uq_{{}}_{within}{{}}": field.unique,
            "ck_{}_{}": field.type.words,
            "ix_{}_{}_id": field.is_indexed,
        }
        for form in [form for form, holds in forms.items() if holds]:
            yield text, form.format(table, key)
    if any(field.search for field in description.fields):
        yield description.name, f"ix_{table}_search"
    keys = {field.name: field.key for field in description.fields}
    for names in description.unique:
        columns = [keys.get(name, name) for name in names]
        yield ", ".join(names), f"uq_{table}_{within}{'_'.join(columns)}"
    for index in description.index:
        columns = [f"{keys.get(one.name, one.name)}{'_desc' * one.descending}" for one in index]
        yield ", ".join(map(str, index)), f"ix_{table}_{'_'.join(columns)}_id"
