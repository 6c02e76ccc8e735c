"""fleet.toml: read whole, with every mistake shown at its line, and edited with its comments kept.

What is written is what the descriptions print. A removal after an addition gives the text as it was.
"""

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from scaffold.errors import MisuseError, ScaffoldError
from scaffold.language.checks import check_fleet, check_parts, name_all
from scaffold.language.description import (
    ClientDescription,
    FieldDescription,
    FleetDescription,
    ResourceDescription,
    ServiceDescription,
)
from scaffold.language.document import Document, Path, Statement
from scaffold.language.grammar import parse_block, parse_field
from scaffold.language.naming import check_resource_name
from scaffold.language.scanner import DescriptionError, Scanner, hint, listed
from scaffold.names import ServiceName, normalise, parse_port

FILE = "fleet.toml"
CLIENTS = "_clients"
"""The table of a service that names the others which it calls, each with its operations."""
FRESH = """\
# What this fleet is: its services, what they keep, and the rules of that.
# Code and migrations follow what is said here: python -m scaffold apply
"""
"""The text of a fleet without services."""
ACCEPTED = "_accepted"
"""The table of what may break clients of the services: each break with the reason."""
_ENTRY = re.compile(r"""#[^\n]*|"(?:\\.|[^"\\])*"|'[^']*'""")
"""A comment, or a text in a list."""
_SIDES = re.compile(
    r"^<{7} [^\n]*\n(?P<ours>.*?)(?:^\|{7} [^\n]*\n.*?)?^={7}\n(?P<theirs>.*?)^>{7} [^\n]*(?:\n|\Z)",
    re.MULTILINE | re.DOTALL,
)


def parse_fleet(text: str) -> FleetDescription:
    """Return what a fleet.toml describes, sorted by name; raises DescriptionError."""
    document = Document(text, FILE)
    read_accepted(document)
    services = parse_services(document)
    check_fleet(FleetDescription(tuple(services)), document)
    return FleetDescription(tuple(sorted(services, key=lambda service: service.name)))


def parse_services(document: Document) -> list[ServiceDescription]:
    """Return the services of a document; what holds across resources is not checked."""
    tables = document.data.items()
    return [_parse_service(document, *item) for item in tables if item[0] != ACCEPTED]


def read_accepted(document: Document) -> dict[str, str]:
    """Return the breaks that are accepted, with their reasons; raises DescriptionError."""
    table = document.data.get(ACCEPTED, {})
    form = f'[{ACCEPTED}] with lines as `contracts --api` prints them: "user-service: …" = "why"'
    with document.placing((ACCEPTED,)):
        if not isinstance(table, dict) or not all(isinstance(one, str) for one in table.values()):
            Scanner(ACCEPTED).refuse("What is accepted has another form", f"As in {form}", 0)
    return dict(table)


def accept(line: str, reason: str = "why") -> str:
    """Return the line of the table that accepts a break."""
    return f"{_quoted(line)} = {_quoted(reason)}"


def put_accepted(text: str, line: str, reason: str) -> str:
    """Return the text with one more break that is accepted, after the others."""
    document = Document(text, FILE)
    written = accept(line, reason)
    if known := document.below((ACCEPTED,)):
        return document.insert_line(known[-1], written)
    return document.insert(len(text), f"[{ACCEPTED}]\n{written}\n")


def _parse_service(document: Document, name: str, block: object) -> ServiceDescription:
    form = "[user-service] with port = 8081, and a table for each resource: [user-service.user]"
    with document.placing((name,)):
        if not isinstance(block, dict):
            Scanner(name).refuse(f"{name!r} is no service", f"A service is a table: {form}", 0)
        ServiceName.parse(name)
        if not isinstance(block.get("port"), int) or isinstance(block["port"], bool):
            text = "port" if "port" in block else name
            Scanner(text).refuse(f"{name} has no port", f"A service is a table: {form}", 0)
        for key, value in block.items():
            is_option = key in ("port", CLIENTS)
            if not is_option and (key.startswith("_") or not isinstance(value, dict)):
                nearest = hint(key, ["port", CLIENTS])
                Scanner(key).refuse(f"{key!r} is nothing of a service{nearest}", f"As in {form}", 0)
    with document.placing((name, "port")):
        port = parse_port(str(block["port"]))
    resources = [
        _parse_resource(document, (name, key), value)
        for key, value in block.items()
        if key not in ("port", CLIENTS)
    ]
    with document.placing((name, CLIENTS)):
        clients = _parse_clients(name, block.get(CLIENTS, {}))
    return ServiceDescription(name, port, tuple(resources), clients)


def _parse_clients(service: str, block: object) -> tuple[ClientDescription, ...]:
    """Read what a service calls of others, each by any spelling of its name."""
    form = f'[{service}.{CLIENTS}] with product-service = ["get_product"]'
    clients = list[ClientDescription]()
    for name, operations in block.items() if isinstance(block, dict) else [(CLIENTS, None)]:
        if not (
            isinstance(operations, list)
            and operations
            and all(isinstance(each, str) and each.isidentifier() for each in operations)
        ):
            Scanner(name).refuse(f"{name!r} names no operations", f"As in {form}", 0)
        ServiceName.parse(name)
        clients.append(ClientDescription(name, tuple(sorted({*operations}))))
    return tuple(sorted(clients, key=lambda client: client.provider))


def _parse_resource(
    document: Document, path: Path, block: Mapping[str, Any]
) -> ResourceDescription:
    """Read a resource and its parts."""
    name = path[-1]
    tables = {
        key: value
        for key, value in block.items()
        if isinstance(value, dict) and not key.startswith("_")
    }
    parts = list[ResourceDescription]()
    with document.placing(path):
        check_resource_name(Scanner(name), name, 0)
        specs = {key: value for key, value in block.items() if key not in tables}
        resource = parse_block(specs, name)
    for key, table in tables.items():
        with document.placing((*path, key)):
            check_resource_name(Scanner(key), key, 0)
            parts.append(parse_block(table, key, owner=name))
    for one in (resource, *parts):
        place = path if one is resource else (*path, one.name)
        if not one.fields:
            with document.placing(place):
                Scanner(one.name).refuse(
                    f"{one.name} has no field", 'At least one, as in name = "str(120)"', 0
                )
    with document.placing(path):
        resource = replace(resource, parts=tuple(parts))
        check_parts(resource)
    return resource


def join_sides(text: str, applied: FleetDescription | None = None, *, file: str = FILE) -> str:
    """Return a text in which git left the marks of a merge with what both sides have applied.

    Keeping the lines of both would not do: git shows lines that are equal on both sides once,
    beside the marks. Raises ScaffoldError where the sides say different things of one thing, and,
    with `applied`, for what is not in it. `file` is its path, as messages have it.
    """
    joined, theirs = (_SIDES.sub(rf"\g<{side}>", text) for side in ("ours", "theirs"))
    other, written = parse_fleet(theirs), Document(theirs, FILE)
    known = {
        (service.name, resource.name): resource
        for service in (applied or other).services
        for resource in service.resources
    }
    for service in other.services:
        present = {one.name: one for one in parse_fleet(joined).services}
        resources = {one.name: one for one in service.resources}
        if service.name not in present:
            block = written.find_block((service.name,))
            joined = add_service(joined, service.name, service.port, None, block)
            present = {one.name: one for one in parse_fleet(joined).services}
        ours = {one.name: one for one in present[service.name].resources}
        for name, resource in resources.items():
            is_new = name not in ours and known.get((service.name, name)) == resource
            if is_new:
                block = written.find_block((service.name, name))
                joined = add_resource(joined, service.name, name, resource, block)
            elif ours.get(name) != resource:
                raise ScaffoldError(
                    f"{file} has the marks of a merge whose sides differ in "
                    f"{service.name}.{name}: keep what is right, and delete the marks."
                )
        for client in service.clients:
            joined = put_client(joined, service.name, client.provider, client.operations)
        if present[service.name].port != service.port:
            raise ScaffoldError(
                f"{file} has the marks of a merge whose sides differ in the port of "
                f"{service.name}: keep what is right, and delete the marks."
            )
    for line, reason in read_accepted(written).items():
        if line not in read_accepted(Document(joined, FILE)):
            joined = put_accepted(joined, line, reason)
    return joined


def add_service(
    text: str,
    name: str,
    port: int,
    resource: ResourceDescription | None,
    block: str | None = None,
) -> str:
    """Return the text with one more service, before the first of a greater name.

    `block` is its table, where it is written already.
    """
    described = ServiceDescription(name, port, () if resource is None else (resource,))
    fleet = parse_fleet(text)
    name_all(FleetDescription((*fleet.services, described)), lambda _: nullcontext())
    document = Document(text, FILE)
    block = block or f"[{name}]\nport = {port}\n"
    if resource is not None:
        block += f"\n{write_resource((name, resource.name), resource)}"
    later = [one for one in document.statements if one.is_head and one.path[0] > name]
    position = document.start_of(later[0]) if later else len(text)
    return _checked(text, document.insert(position, block))


def add_resource(
    text: str, service: str, name: str, resource: ResourceDescription, block: str | None = None
) -> str:
    """Return the text with one more resource, after the others of its service.

    `block` is its table, where it is written already.
    """
    fleet, document = parse_fleet(text), Document(text, FILE)
    [service] = _path(document, service)
    if name in document.data[service]:
        raise ScaffoldError(f"{service} has {name!r} already. Choose another name.")
    others = [one for one in fleet.services if one.name != service]
    [described] = [one for one in fleet.services if one.name == service]
    described = replace(described, resources=(*described.resources, replace(resource, name=name)))
    name_all(FleetDescription((*others, described)), lambda _: nullcontext())
    statements = document.below((service,))
    if statements[0].path == (service,) and not statements[0].is_head:
        raise _inline((service,))
    last = document.statements.index(statements[-1])
    # A head before keys of another table would take them into its own.
    is_followed_by_keys = any(not one.is_head for one in document.statements[last + 1 : last + 2])
    position = len(text) if is_followed_by_keys else document.end_of(statements[-1])
    block = block or write_resource((service, name), resource)
    return _checked(text, document.insert(position, block))


def has_resource(text: str, service: str, name: str) -> bool:
    """Whether a service has a resource, or a part as `order.line`; raises MisuseError for no service."""
    document = Document(text, FILE)
    [known] = _path(document, service)
    table: object = document.data[known]
    for key in name.split("."):
        table = table.get(key) if isinstance(table, dict) else None
    return isinstance(table, dict)


def put_fields(text: str, service: str, name: str, fields: Iterable[FieldDescription]) -> str:
    """Return the text with fields described anew where they are, and new ones after the others.

    `name` is the resource's, or `order.line` for a part. A former name that is not applied yet stays.
    """
    after = text
    for field in fields:
        document = Document(after, FILE)
        path = _path(document, service, *name.split("."))
        block = _table(document, path)
        if isinstance(block.get(field.name), str):
            statement = _find_field(document, path, field.name)
            known = parse_field(f"{field.name}:{block[field.name]}", has_active=False)
            described = replace(field, was=field.was or known.was)
            after = _put_spec(document, statement, described)
        else:
            line = f"{field.name} = {_quoted(_spec(field))}"
            after = document.insert_line(_last_field(document, path), line)
    return _checked(text, after)


def drop_field(text: str, service: str, name: str, field: str) -> str:
    """Return the text without a field of a resource; of items, without their part too."""
    document = Document(text, FILE)
    path = _path(document, service, *name.split("."))
    after = document.delete(_find_field(document, path, field))
    kind = parse_field(f"{field}:{_table(document, path)[field]}", has_active=False).type
    if kind.name == "items":
        after = Document(after, FILE).delete_all((*path, kind.target))
    return _checked(text, after)


def rename_field(text: str, service: str, name: str, old: str, new: str) -> str:
    """Return the text with a field of another name, which was the old one; options follow."""
    document, after = Document(text, FILE), text
    path = _path(document, service, *name.split("."))
    statement, block = _find_field(document, path, old), _table(document, path)
    if new in block:
        raise ScaffoldError(f"{'.'.join(path)} has {new!r} already. Choose another name.")
    field = parse_field(f"{old}:{block[old]}", has_active=old != "is_active")
    was = field.was or old
    field = replace(field, name=new, was=None if was == new else was)
    for one in reversed(document.below(path)):
        if one is statement:
            line = f"{new} = {_quoted(_spec(field))}"
            after = f"{after[: one.key]}{line}{after[one.value_end :]}"
        elif one.path[len(path) :][:1] in (("_index",), ("_unique",), ("_actions",)):
            # Of an action's rule it is the word before the colon.
            end = r"(?=\s*:)" if one.path[len(path)] == "_actions" else ""
            value = re.sub(rf"\b{old}\b{end}", new, text[one.value : one.value_end])
            after = f"{after[: one.value]}{value}{after[one.value_end :]}"
    return _checked(text, after)


def put_options(text: str, service: str, name: str, options: Mapping[str, object]) -> str:
    """Return the text with more options of a resource that is there.

    Entries of `_index` and `_unique` come after those that there are, an action takes the place of
    one of its name, and another option that of its value.
    """
    after = text
    for option, value in options.items():
        if isinstance(value, list):
            for entry in value:
                after = _put_entry(after, service, name, option, entry)
        elif isinstance(value, dict):
            for action, rule in value.items():
                after = _put_action(after, service, name, action, rule)
        else:
            written = _quoted(value) if isinstance(value, str) else str(value).lower()
            after = _put_option(after, service, name, option, written)
    return _checked(text, after)


def _put_entry(text: str, service: str, name: str, option: str, entry: str) -> str:
    document = Document(text, FILE)
    path = _path(document, service, *name.split("."))
    known = _table(document, path).get(option)
    if not known or not isinstance(known, list):
        return _put_option(text, service, name, option, f"[{_quoted(entry)}]")
    if entry.replace(" ", "") in [str(each).replace(" ", "") for each in known]:
        raise ScaffoldError(f"{'.'.join(path)} has {option} {entry!r} already.")
    [statement] = document.below((*path, option))
    value = text[statement.value : statement.value_end]
    # Behind the last entry, before what follows it: a comma, a comment.
    entries = [each for each in re.finditer(_ENTRY, value) if not each[0].startswith("#")]
    margin = re.search(r"\n[ \t]*(?=[\"'])", value)
    end = statement.value + entries[-1].end()
    return document.replace(end, end, f",{margin[0] if margin else ' '}{_quoted(entry)}")


def _put_action(text: str, service: str, name: str, action: str, rule: str) -> str:
    document = Document(text, FILE)
    path = _path(document, service, *name.split("."))
    known = _table(document, path).get("_actions", {})
    written_alone = [
        one for one in document.below((*path, "_actions")) if len(one.path) > len(path) + 1
    ]
    for one in written_alone:  # in a table of their own, or by keys with dots
        if one.path[-1] == action:
            return document.replace(one.value, one.value_end, _quoted(rule))
    if written_alone:
        last = written_alone[-1]
        key = text[last.key : last.value].replace(last.path[-1], action, 1)
        return document.insert_line(last, f"{key}{_quoted(rule)}")
    written = ", ".join(f"{each} = {_quoted(one)}" for each, one in {**known, action: rule}.items())
    return _put_option(text, service, name, "_actions", f"{{ {written} }}")


def _put_option(text: str, service: str, name: str, option: str, value: str) -> str:
    document = Document(text, FILE)
    path = _path(document, service, *name.split("."))
    for one in document.below((*path, option)):
        return document.replace(one.value, one.value_end, value)
    own = [one for one in document.below(path) if one.path[:-1] == path and not one.is_head]
    last = own[-1] if own else _last_field(document, path)
    return document.insert_line(last, f"{option} = {value}")


def forget_former_names(text: str) -> str:
    """Return the text without `was`: what it says has been applied."""
    for service in parse_fleet(text).services:
        for resource in service.resources:
            parts = {f"{resource.name}.{part.name}": part for part in resource.parts}
            for name, one in ({resource.name: resource} | parts).items():
                for field in (each for each in one.fields if each.was is not None):
                    document = Document(text, FILE)
                    path = _path(document, service.name, *name.split("."))
                    statement = _find_field(document, path, field.name)
                    text = _put_spec(document, statement, replace(field, was=None))
    return text


def remove_service(text: str, service: str) -> str:
    """Return the text without a service and all that it keeps; raises ScaffoldError."""
    document = Document(text, FILE)
    [service] = _path(document, service)
    fleet = parse_fleet(text)
    kept = [one.name for each in fleet.services if each.name == service for one in each.resources]
    _refuse_references(fleet, service, kept)
    for each in fleet.services:
        for client in each.clients:
            if normalise(client.provider) == normalise(service) and each.name != service:
                raise ScaffoldError(
                    f"{each.name} calls {service}: nothing was removed.\nFirst take its client "
                    f"away: python -m scaffold client {each.name} {service} --drop"
                )
    return document.delete_all((service,))


def find_client(text: str, service: str, provider: str) -> ClientDescription | None:
    """Return what a service calls of another, None for nothing; raises MisuseError for no service."""
    document = Document(text, FILE)
    [name], [other] = _path(document, service), _path(document, provider)
    if name == other:
        raise MisuseError(f"{name} does not call itself: name the service that it is to call.")
    [described] = [one for one in parse_fleet(text).services if one.name == name]
    found = (one for one in described.clients if normalise(one.provider) == normalise(other))
    return next(found, None)


def put_client(text: str, service: str, provider: str, operations: Iterable[str]) -> str:
    """Return the text with more operations that a service calls of another; raises ScaffoldError."""
    known = find_client(text, service, provider)
    document = Document(text, FILE)
    [service], [other] = _path(document, service), _path(document, provider)
    written = (
        f"[{', '.join(map(_quoted, sorted({*operations, *(known.operations if known else ())})))}]"
    )
    path, name = (service, CLIENTS), known.provider if known else other
    for one in document.below((*path, name)):
        return _checked(text, document.replace(one.value, one.value_end, written))
    statements = document.below(path)
    if statements and len(statements[0].path) == 2 and not statements[0].is_head:
        raise _inline(path)
    if statements:
        return _checked(text, document.insert_line(statements[-1], f"{name} = {written}"))
    last = document.below((service,))[-1]
    if last.path == (service,) and not last.is_head:
        raise _inline((service,))
    block = f"[{'.'.join(path)}]\n{name} = {written}\n"
    return _checked(text, document.insert(document.end_of(last), block))


def drop_client(text: str, service: str, provider: str, operations: Iterable[str]) -> str:
    """Return the text without operations that a service calls of another, or without the client.

    The client goes with its last operation, and where none is named; raises MisuseError for what it
    does not call.
    """
    known, dropped = find_client(text, service, provider), {*operations}
    if known is None:
        raise MisuseError(f"{service} has no client of {provider}.")
    for missing in sorted(dropped - {*known.operations}):
        near = hint(missing, known.operations)
        raise MisuseError(
            f"{service} calls no {missing!r} of {provider}{near}.\nIt calls: {listed(known.operations)}"
        )
    left = [one for one in known.operations if one not in dropped] if dropped else []
    document = Document(text, FILE)
    [service] = _path(document, service)
    path = (service, CLIENTS)
    statements = document.below((*path, known.provider))
    if not statements:
        raise _inline(path)
    [one] = statements
    if left:
        written = f"[{', '.join(map(_quoted, left))}]"
        return _checked(text, document.replace(one.value, one.value_end, written))
    others = [each for each in document.below(path) if not each.is_head and each is not one]
    return document.delete(one) if others else document.delete_all(path)


def remove_resource(text: str, service: str, name: str) -> str:
    """Return the text without a resource and its parts; raises ScaffoldError."""
    document = Document(text, FILE)
    path = _path(document, service, name)
    _refuse_references(parse_fleet(text), "", [name])
    return document.delete_all(path)


def write_clients(service: ServiceDescription) -> str:
    """Return the table of what a service calls, which has some."""
    lines = [f"[{service.name}.{CLIENTS}]"]
    lines += [
        f"{one.provider} = [{', '.join(map(_quoted, one.operations))}]" for one in service.clients
    ]
    return "\n".join(lines) + "\n"


def write_resource(path: Path, resource: ResourceDescription) -> str:
    """Return the table of a resource, and those of its parts."""
    lines = [f"[{'.'.join(path)}]"]
    lines += [f"{field.name} = {_quoted(_spec(field))}" for field in resource.fields]
    sets = {
        "_index": [", ".join(map(str, one)) for one in resource.index],
        "_unique": [", ".join(one) for one in resource.unique],
    }
    for option, entries in sets.items():
        if entries:
            lines.append(f"{option} = [{', '.join(map(_quoted, entries))}]")
    if resource.plural is not None:
        lines.append(f"_plural = {_quoted(resource.plural)}")
    is_part = len(path) > 2
    if not (resource.has_active or is_part):
        lines.append("_active = false")
    if resource.is_contract:
        lines.append('_routes = "contract"')
    if resource.actions:
        rules = ", ".join(f"{one.name} = {_quoted(str(one))}" for one in resource.actions)
        lines.append(f"_actions = {{ {rules} }}")
    parts = [write_resource((*path, part.name), part) for part in resource.parts]
    return "\n".join(["\n".join(lines) + "\n", *parts])


def _checked(before: str, after: str) -> str:
    """Return the new text; raises DescriptionError, without the lines of what was never written."""
    try:
        parse_fleet(after)
    except DescriptionError as error:
        parse_fleet(before)
        problem = re.sub(rf"^{re.escape(FILE)}, line \d+: ", "", error.problem)
        raise DescriptionError(
            problem, error.text, error.position, error.allowed, error.exit_code
        ) from None
    return after


def _refuse_references(fleet: FleetDescription, leaving: str, names: Iterable[str]) -> None:
    """Raise ScaffoldError for a field that refers to resources which go, and is of none of them."""
    gone = set(names)
    for service in fleet.services:
        for resource in service.resources:
            for part in (resource, *resource.parts):
                for field in part.fields:
                    stays = service.name != leaving and resource.name not in gone
                    if stays and field.type.name in ("ref", "many") and field.type.target in gone:
                        owner = (
                            resource.name if part is resource else f"{resource.name}.{part.name}"
                        )
                        raise ScaffoldError(
                            f"{service.name}.{owner}.{field.name} refers to {field.type.target}: "
                            "nothing was removed.\nDrop that field first."
                        )


def _put_spec(document: Document, statement: Statement, field: FieldDescription) -> str:
    return document.replace(statement.value, statement.value_end, _quoted(_spec(field)))


def _spec(field: FieldDescription) -> str:
    return str(field).partition(":")[2]


def _quoted(text: str) -> str:
    """Return a text as TOML has it: as it is, where that is possible."""
    if "'" not in text and text.isprintable() and ('"' in text or "\\" in text):
        return f"'{text}'"
    # JSON's escapes are TOML's too, which wants one for the last of ASCII besides.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _path(document: Document, service: str, *below: str) -> Path:
    """Return the keys of a table, by the service in any spelling; raises MisuseError."""
    for known in document.data:
        if normalise(known) == normalise(service):
            _table(document, (known, *below))
            return (known, *below)
    services = [name for name in document.data if name != ACCEPTED]
    raise MisuseError(
        f"{FILE} has no service {service!r}{hint(service, services)}.\n"
        f"Services: {listed(services) or 'none'}"
    )


def _table(document: Document, path: Path) -> dict[str, Any]:
    """Return what the file says of a service, a resource or a part; raises MisuseError."""
    table: dict[str, Any] = document.data
    for number, key in enumerate(path):
        found = table.get(key)
        if not isinstance(found, dict):
            kept = [name for name, one in table.items() if isinstance(one, dict)]
            raise MisuseError(
                f"{'.'.join(path[:number])} has no {key!r}{hint(key, kept)}.\n"
                f"It has: {listed(kept) or 'none'}"
            )
        table = found
    return table


def _find_field(document: Document, path: Path, name: str) -> Statement:
    """Return the statement of a field; raises MisuseError."""
    table = _table(document, path)
    fields = [key for key, one in table.items() if isinstance(one, str) and key[0] != "_"]
    if name not in fields:
        raise MisuseError(
            f"{'.'.join(path)} has no field {name!r}{hint(name, fields)}.\n"
            f"Fields: {listed(fields) or 'none'}"
        )
    for one in document.below((*path, name)):
        return one
    raise _inline(path)


def _last_field(document: Document, path: Path) -> Statement:
    """Return after what a new field is written; raises MisuseError."""
    own = [
        one
        for one in document.below(path)
        if one.path[:-1] == path and not one.is_head and not one.path[-1].startswith("_")
    ]
    heads = [one for one in document.below(path) if one.path == path and one.is_head]
    if not own and not heads:
        raise _inline(path)
    return (own or heads)[-1]


def _inline(path: Path) -> MisuseError:
    name = ".".join(path)
    return MisuseError(
        f"{name} is written in one line in {FILE}, which no command edits.\n"
        f"Write it as a table, [{name}], with a line for each field."
    )
