"""Names that the database gets of a description: tables, their constraints and their indexes.

They follow quart_fleet.models.NAMING_CONVENTION. PostgreSQL would cut what is longer than 63 bytes.
"""

from collections.abc import Iterator, Mapping

from scaffold.language.description import FieldDescription, IndexColumn, ResourceDescription
from scaffold.language.naming import OF_CLASSES, class_of, enum_of
from scaffold.language.scanner import Scanner
from scaffold.names import LONGEST_NAME, ResourceName

_OF_PARTS = ("Entity", "Model", "Parts")
"""Ends of the names of a part's own classes."""
_RELATION, _COLUMN = "relation", "column"
"""What has its name once in the whole database, and once in its table."""
_SYSTEM_COLUMNS = ("cmax", "cmin", "ctid", "tableoid", "xmax", "xmin")
"""Columns that no table can have of its own (PostgreSQL's manual, 5.6)."""


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
    description: ResourceDescription,
    tables: Mapping[str, str],
    taken: dict[tuple[str, str], str],
    owner: str = "",
) -> None:
    """Raise DescriptionError for what PostgreSQL would cut, or has already.

    `tables` are those of resources that fields name; `taken` are the identifiers of the fleet so
    far, with what each is of; `owner` is of which the description is a part.
    """
    for text, scope, identifier in _identifiers(description, tables, owner):
        if len(identifier) > LONGEST_NAME:
            Scanner(text).refuse(
                f"{identifier!r} would have {len(identifier)} characters in the database",
                f"Choose shorter names: PostgreSQL's have {LONGEST_NAME} at most.",
                0,
            )
        if scope == _COLUMN and identifier in _SYSTEM_COLUMNS:
            Scanner(text).refuse(
                f"PostgreSQL has a column {identifier!r} of its own in every table",
                "Choose another word.",
                0,
            )
        if scope != _COLUMN:
            if first := taken.get((scope, identifier)):
                Scanner(text).refuse(
                    f"{identifier!r} in the database would be both this and {first}",
                    "Rename one, or leave one out: the database joins words with underscores.",
                    0,
                )
            part = f"{owner}.{description.name}" if owner else description.name
            taken[scope, identifier] = part if text == description.name else f"{text!r} of {part}"


def _identifiers(
    description: ResourceDescription, tables: Mapping[str, str], owner: str
) -> Iterator[tuple[str, str, str]]:
    """Yield the text of the description, the scope, and the identifier in it that comes of the text.

    The scope is _RELATION, _COLUMN, or the table whose constraint it is.
    """
    table = table_of(description, owner)
    singular = f"{owner}_{description.name}" if owner else description.name
    within = f"{owner}_id_" if owner else ""
    yield description.name, _RELATION, f"pk_{table}"
    yield description.name, _RELATION, table
    if owner:
        yield description.name, table, f"fk_{table}_{owner}_id_{tables.get(owner, owner)}"
        yield description.name, _RELATION, f"uq_{table}_{owner}_id_position"
    for field in description.fields:
        text, key, target = str(field), field.key, field.type.target
        if field.type.name == "many":
            pairs, (own, other) = f"{singular}_{field.name}", pair_columns(singular, field)
            yield text, pairs, f"fk_{pairs}_{own}_{table}"
            yield text, pairs, f"fk_{pairs}_{other}_{tables.get(target, target)}"
            yield text, _RELATION, f"ix_{pairs}_{other}_{own}"
            yield text, _RELATION, f"pk_{pairs}"
            yield text, _RELATION, pairs
        elif field.type.name != "items":
            yield text, _COLUMN, key
        if field.type.has_foreign_key:
            yield text, table, f"fk_{table}_{key}_{tables.get(target, target)}"
        if field.type.words:
            yield text, table, f"ck_{table}_{key}"
    if any(field.search for field in description.fields):
        yield description.name, _RELATION, f"ix_{table}_search"
    keys = {field.name: field.key for field in description.fields}
    alone = dict[tuple[str, ...], str]()
    alone |= {(field.name,): str(field) for field in description.fields if field.unique}
    for names in description.unique_sets:
        columns = "_".join(keys[name] for name in names)
        yield alone.get(names, ", ".join(names)), _RELATION, f"uq_{table}_{within}{columns}"
    for index, text in _indexes(description, owner).items():
        words = [f"{keys.get(one.name, one.name)}{'_desc' * one.descending}" for one in index]
        yield text, _RELATION, f"ix_{table}_{'_'.join(words)}_id"


def _indexes(description: ResourceDescription, owner: str) -> dict[tuple[IndexColumn, ...], str]:
    """Return each index that is no constraint, with the text that it comes from first."""
    found = dict[tuple[IndexColumn, ...], str]()
    if not (owner or description.is_contract):
        found[IndexColumn("created_at"),] = description.name
    for field in description.fields:
        # What is unique has an index already, but that of a part begins with its owner.
        is_alone = (field.name,) in description.unique and not owner
        if (field.is_indexed and not is_alone) or (owner and field.type.name == "ref"):
            found[IndexColumn(field.name),] = str(field)
    for index in description.index:
        found.setdefault(index, ", ".join(map(str, index)))
    return found
