"""What in one OpenAPI document breaks the clients of another: routes, parameters, bodies and answers.

What a request may hold may only widen; what an answer holds may only narrow, or have more fields.
A status of an error that is new is no break: clients take it for the x00 of its class (RFC 9110, 15).
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from scaffold.contracts.schemas import (
    Document,
    Schemas,
    guess,
    look_up,
)

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_VARIABLE = re.compile(r"\{([^}]*)\}")
_CHARSET = re.compile(r"; *charset=\"?utf-8\"?$", re.IGNORECASE)
"""What a content type of text says that has no other encoding."""
_NO_NAME = re.compile(r"[^A-Za-z0-9_]+")
"""What the name of a component has an underscore for."""
_NUMBER = re.compile(r"_\d+$")
"""What tells components apart that have one name."""
_IMPLIED = {"path": "simple", "header": "simple", "query": "form", "cookie": "form"}
"""How a parameter is written where it does not say it, by its place."""
_ASKED_FOR = frozenset({"304"})
"""Statuses that answer only requests which say that they know them."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A route of a document, and what it says of it, with what it says of all on the same path."""

    method: str
    path: str
    said: Mapping[str, Any]
    document: Document

    @property
    def route(self) -> str:
        """The method and the path, as in `GET /api/v1/users`."""
        return f"{self.method.upper()} {self.path}"

    @property
    def key(self) -> str:
        """The route, in which variables have no names: `GET /api/v1/users/{}`."""
        return _VARIABLE.sub("{}", self.route)

    @property
    def id(self) -> str | None:
        """The name of its method in clients."""
        return self.said.get("operationId")

    def parameters(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the parameters by place and name; names of headers have no case."""
        found = [follow(self.document, one) for one in self.said.get("parameters", ())]
        return {
            (one["in"], one["name"].lower() if one["in"] == "header" else one["name"]): one
            for one in found
        }

    def body(self) -> Mapping[str, Any]:
        """Return what it says of the body of requests, `{}` where it reads none."""
        body: Mapping[str, Any] = follow(self.document, self.said.get("requestBody", {}))
        return body

    def answers(self) -> dict[str, Mapping[str, Any]]:
        """Return the answers by status, such as `201`, `4XX` and `default`."""
        return {
            str(status): follow(self.document, one)
            for status, one in self.said.get("responses", {}).items()
        }

    def errors(self) -> dict[str, set[str]]:
        """Return the statuses of errors by their names; those without a name by `""`.

        The names are those of the examples; of a single error, that of its component.
        """
        found = defaultdict[str, set[str]](set)
        for status, one in self.said.get("responses", {}).items():
            contents = follow(self.document, one).get("content", {}).values()
            names = [name for media in contents for name in media.get("examples", ())]
            for name in names or [one.get("$ref", "").rpartition("/")[2]]:
                if str(status)[0] in "45":
                    found[_NUMBER.sub("", _NO_NAME.sub("_", name))].add(str(status))
        return found

    def headers(self, answer: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the headers of an answer, by their names in small letters."""
        found = answer.get("headers", {}).items()
        return {name.lower(): {"name": name} | follow(self.document, one) for name, one in found}


def follow(document: Document, value: Any) -> Any:
    """Return what a value is, which may be a reference."""
    for _ in range(9):  # a circle of references is none of the standard
        if "$ref" not in value:
            break
        value = look_up(document, value["$ref"])
    return value


def addresses(said: Mapping[str, Any]) -> set[str]:
    """Return the URLs of servers, of one with variables a URL for each of their values."""
    found = set[str]()
    for server in said.get("servers") or [{"url": "/"}]:
        urls = [server["url"]]
        for name, one in server.get("variables", {}).items():
            values = one.get("enum") or [one.get("default", "")]
            urls = [url.replace(f"{{{name}}}", str(value)) for url in urls for value in values]
        found.update(urls)
    return found


def read_operations(document: Document) -> dict[str, Operation]:
    """Return the routes of a document by their keys."""
    found = {}
    for path, one in document.get("paths", {}).items():
        item = follow(document, one)
        shared = item.get("parameters", [])
        servers = item.get("servers", document.get("servers"))
        for method in METHODS:
            if method in item:
                said = {
                    "servers": servers,
                    **item[method],
                    "parameters": [*shared, *item[method].get("parameters", [])],
                }
                operation = Operation(method, path, said, document)
                found[operation.key] = operation
    return found


def find_breaks(old: Document, new: Document) -> dict[str, Operation | None]:
    """Return what breaks clients of the old document, a line for each, with the old operation.

    A line begins with the route, but of what breaks every client, which has no operation.
    """
    before, after = read_operations(old), read_operations(new)
    found: dict[str, Operation | None] = {}
    for url in sorted(addresses(old) - addresses(new)):
        found[f"the address {url} is gone"] = None
    came = {key: after[key] for key in after.keys() - before.keys()}
    for key, operation in before.items():
        if key not in after:
            lines = iter([f"is gone{guess_route(operation, came)}"])
        else:
            lines = compare_operations(operation, after[key])
        for line in lines:
            found[f"{operation.route}: {line}" if key in after else f"{operation.route} {line}"] = (
                operation
            )
    return found


def guess_route(gone: Operation, came: Mapping[str, Operation]) -> str:
    """Return what a route that is gone may be now: the only new one that is like it."""
    parts = gone.path.split("/")
    like = [
        one
        for one in came.values()
        if (gone.id is not None and one.id == gone.id)
        or (
            one.method == gone.method
            and len(others := one.path.split("/")) == len(parts)
            and sum(mine != theirs for mine, theirs in zip(parts, others, strict=True)) == 1
        )
    ]
    return f" (is it {like[0].route} now?)" if len(like) == 1 else ""


def compare_operations(old: Operation, new: Operation) -> Iterator[str]:
    """Yield what breaks clients of one operation, without its route."""
    if old.id and old.id != new.id:
        yield f"the operation id {old.id} is {f'{new.id} now' if new.id else 'gone'}"
    names = [_VARIABLE.findall(one.path) for one in (old, new)]
    for one, other in zip(*names, strict=True):
        if one != other:
            yield f"path {one} is {other} now"
    of_all = addresses(old.document) - addresses(new.document)
    for url in sorted(addresses(old.said) - addresses(new.said) - of_all):
        yield f"the address {url} is gone"
    yield from compare_security(old, new)
    requests = Schemas(old.document, new.document, is_request=True)
    renamed = dict(zip(*names, strict=True))
    yield from compare_parameters(old, new, renamed, requests)
    yield from compare_bodies(old.body(), new.body(), requests)
    yield from compare_answers(old, new)


def compare_security(old: Operation, new: Operation) -> Iterator[str]:
    """Yield what credentials that were enough are not any more, and which are given otherwise."""
    alternatives = [
        one.said.get("security", one.document.get("security", [])) or [{}] for one in (old, new)
    ]
    schemes, others = (
        one.document.get("components", {}).get("securitySchemes", {}) for one in (old, new)
    )
    renamed = {
        name: other
        for name in schemes.keys() - others.keys()
        for other in sorted(others.keys() - schemes.keys())
        if ways_of(schemes[name]) == ways_of(others[other])
    }
    for known in alternatives[0]:
        given = {renamed.get(name, name): scopes for name, scopes in known.items()}
        is_enough = any(
            all(name in given and {*scopes} <= {*given[name]} for name, scopes in needed.items())
            for needed in alternatives[1]
        )
        if not is_enough:
            yield f"{' and '.join(known) or 'a request without credentials'} is not enough now"
        for name in known:
            if is_enough and not ways_of(schemes.get(name, {})) <= ways_of(
                others.get(renamed.get(name, name), {})
            ):
                yield f"{name} is given in another way now"


def ways_of(scheme: Mapping[str, Any]) -> set[tuple[object, ...]]:
    """Return how credentials are given; of OAuth, a way for each flow."""
    kind = tuple(scheme.get(key) for key in ("type", "in", "name", "scheme", "openIdConnectUrl"))
    flows = scheme.get("flows", {"": {}}).items()
    return {
        (*kind, name, flow.get("authorizationUrl"), flow.get("tokenUrl")) for name, flow in flows
    }


def compare_parameters(
    old: Operation, new: Operation, renamed: Mapping[str, str], requests: Schemas
) -> Iterator[str]:
    """Yield which parameters are gone, needed or narrower."""
    before, after = old.parameters(), new.parameters()
    came = {key: one for key, one in after.items() if key not in before}
    for (kind, name), one in before.items():
        place = f"{kind} {one['name']}"
        key = (kind, renamed.get(name, name) if kind == "path" else name)
        if key not in after:
            like = {
                each["name"]: each.get("schema") for (at, _), each in came.items() if at == kind
            }
            yield f"{place} is gone{guess(one.get('schema'), like)}"
            continue
        other = after[key]
        if other.get("required") and not one.get("required"):
            yield f"{place} is required now"
        if way_of(one) != way_of(other):
            yield f"{place} is written in another way now"
        for word in ("allowEmptyValue", "allowReserved"):
            if one.get(word) and not other.get(word):
                yield f"{place} has no {word} now"
        schema, other_schema = schema_of(one), schema_of(other)
        yield from requests.compare(schema, other_schema, place)
        if not other.get("required"):
            yield from requests.compare_defaults(schema, other_schema, place)
    for (kind, _), one in came.items():
        if kind != "path" and one.get("required"):
            yield f"{kind} {one['name']} is required now"


def way_of(parameter: Mapping[str, Any]) -> tuple[object, ...]:
    """Return how a parameter is written: its content type, or its style."""
    if "content" in parameter:
        return tuple(parameter["content"])
    style = parameter.get("style", _IMPLIED[parameter["in"]])
    return style, parameter.get("explode", style == "form")


def schema_of(parameter: Mapping[str, Any]) -> Any:
    """Return the schema of a parameter or a header, which may be that of its only content."""
    contents = parameter.get("content", {}).values()
    return parameter.get("schema", next((one.get("schema", {}) for one in contents), {}))


def compare_bodies(
    old: Mapping[str, Any], new: Mapping[str, Any], requests: Schemas
) -> Iterator[str]:
    """Yield how the body of a request has to be another one."""
    if old and not new:
        yield "the body is gone"
        return
    if new.get("required") and not old.get("required"):
        yield "the body is required now"
    yield from compare_contents(old, new, requests, "the body", "body")


def compare_contents(
    old: Mapping[str, Any], new: Mapping[str, Any], schemas: Schemas, whole: str, place: str
) -> Iterator[str]:
    """Yield what is gone and what differs of content types, each difference once for all of them."""
    before, after = old.get("content", {}), new.get("content", {})
    found = dict[str, None]()
    for kind, media in before.items():
        other = find_content(kind, after, schemas)
        if other is None:
            found[f"{whole} is no {kind} now"] = None
            continue
        pair = [one.get("schema", {}) for one in (media, other)]
        given, taken = pair if schemas.is_request else pair[::-1]
        found |= dict.fromkeys(schemas.compare(given, taken, place))
    yield from found


def find_content(kind: str, contents: Mapping[str, Any], schemas: Schemas) -> Any | None:
    """Return what is said of a content type: of a body by a range that has it, of an answer by one that it has."""
    plain = {_CHARSET.sub("", name): one for name, one in contents.items()}
    kind = _CHARSET.sub("", kind)
    fits = (
        one
        for name, one in plain.items()
        if fnmatchcase(*((kind, name) if schemas.is_request else (name, kind)))
    )
    return plain.get(kind, next(fits, None))


def compare_answers(old: Operation, new: Operation) -> Iterator[str]:
    """Yield how answers differ: their statuses, headers and contents."""
    before, after = old.answers(), new.answers()
    schemas = Schemas(new.document, old.document, is_request=False)
    yield from compare_statuses(old, new)
    for status in sorted(before.keys() & after.keys()):
        headers = [one.headers(answers[status]) for one, answers in ((old, before), (new, after))]
        for name, one in headers[0].items():
            place = f"{status} header {one['name']}"
            if name not in headers[1]:
                yield f"{place} is gone"
            else:
                yield from schemas.compare(schema_of(headers[1][name]), schema_of(one), place)
                if one.get("required") and not headers[1][name].get("required"):
                    yield f"{place} may be left out now"
        whole = f"the answer {status}"
        for line in compare_contents(before[status], after[status], schemas, whole, status):
            yield line.replace(f"{status}.", f"{status} ", 1)


def compare_statuses(old: Operation, new: Operation) -> Iterator[str]:
    """Yield which statuses changed: all of success, and those of errors in the place of which others came.

    An error is known by its name, whatever else has its status; without a name, by what is gone.
    """
    before, after = (one.answers().keys() - _ASKED_FOR for one in (old, new))
    gone, came = (
        [status for status in lacking(one, other) if status[0] in "123"]
        for one, other in ((before, after), (after, before))
    )
    for status, other in zip(gone, came, strict=False):
        yield f"status {status} is {other} now"
    yield from (f"status {status} is gone" for status in gone[len(came) :])
    yield from (f"status {status} is new" for status in came[len(gone) :])
    errors, others = old.errors(), new.errors()
    for name in sorted(errors.keys() & others.keys()):
        gone = lacking(errors[name], others[name] if name else after)
        came = lacking(others[name], errors[name] if name else before)
        for status, other in zip(gone, came, strict=False):
            if name:
                yield f"{name} is {other} now, and was {status}"
            else:
                yield f"status {status} is {other} now"


def lacking(statuses: Set[str], others: Set[str]) -> list[str]:
    """Return the statuses that are not among others, be it as one of a class, such as `4XX`."""
    return sorted(one for one in statuses - others if f"{one[0]}XX" not in others)
