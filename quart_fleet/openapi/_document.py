"""The document: every route of an application, with what it takes and each answer that it may give."""

import inspect
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args, get_origin

from pydantic import BaseModel
from quart import Quart, Response
from werkzeug.routing import Rule

from quart_fleet.conventions import PAGES, PREFIX
from quart_fleet.dto import PatchDTO, RequestDTO
from quart_fleet.errors import (
    AlreadyExistsError,
    ConflictError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    ServiceError,
    UnauthorizedError,
    UnavailableError,
    ValidationFailedError,
)
from quart_fleet.files import parse_toml
from quart_fleet.listing import FieldType, Listing
from quart_fleet.openapi._examples import NoExampleError, example_of
from quart_fleet.openapi._schemas import REFERENCE, Schema, Schemas
from quart_fleet.openapi._statements import find_mismatch, statements_of
from quart_fleet.web import Answer
from quart_fleet.web._error_responses import MESSAGES, ErrorResponses
from quart_fleet.web._health import TITLE
from quart_fleet.web._parsing import Handler, annotations_of, decorators_of, parameters_of
from quart_fleet.web._routes import VARIABLE, Declared, declared_of

UNDECLARED = "x-undeclared"
"""Marks an operation whose controller does not say what it answers."""
MISMATCH = "x-mismatch"
"""Says of an operation what its controller answers in place of what it declares."""
UNSEEN = "x-unseen"
"""Says of an operation what its controller's source does not show, as a status that is computed."""
_JSON = "application/json"
_MERGE_PATCH = "A JSON Merge Patch (RFC 7396), which is taken as application/merge-patch+json too"
_IMPLIED = frozenset({"HEAD", "OPTIONS"})
_PATHS: dict[str, Schema] = {
    "id": {"type": "integer", "minimum": 0},
    "int": {"type": "integer", "minimum": 0},
    "float": {"type": "number", "minimum": 0},
    "uuid": {"type": "string", "format": "uuid"},
    "path": {"type": "string", "minLength": 1},
}
_TEXT: Schema = {"type": "string", "minLength": 1, "pattern": "^[^/]+$"}
_VERBS = ("list", "get", "create", "update", "patch", "delete", "deactivate")
_TYPES: dict[type, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    list: {"type": "array", "items": {}},
}
_DATA, _MESSAGE, _FIELD, _REASON = (f"quart_fleet.openapi: {name}" for name in ("data", "message", "field", "reason"))  # fmt: skip
"""Stand for what differs between two answers, where the envelope is asked for its form."""
_DESCRIPTIONS = {
    400: "The request lacks something, or cannot be read",
    401: "The caller is not known",
    403: "The caller may not do this",
    404: "There is no such record, or no such path",
    405: "The path has no such method",
    408: "The body took too long to come",
    409: "The record's state does not allow this",
    413: "The body is too large",
    414: "The address is too long",
    415: "The body is no JSON",
    422: "Values are refused, each named",
    429: "Too many requests",
    500: "The service has failed",
    503: "The service cannot answer now; the same request may succeed later",
}
_HEADERS: dict[int, dict[str, Any]] = {
    405: {"Allow": {"description": "The methods of the path", "schema": {"type": "string"}}},
    429: {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}},
    503: {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}},
}
_LINK = {"Link": {"description": "The next page's address (RFC 8288); absent from the last page", "schema": {"type": "string"}}}  # fmt: skip
_TOTAL = {"X-Total-Count": {"description": "The number of all, where `count=true` asks for it", "schema": {"type": "integer"}}}  # fmt: skip
_LOCATION = {"Location": {"description": "Where it is now", "schema": {"type": "string"}}}
_ETAG = {"ETag": {"description": "Its version, for If-None-Match", "schema": {"type": "string"}}}
_REDIRECTIONS = (301, 302, 303, 307, 308)
_OF_BODIES = {408: "RequestTimeout", 413: "BodyTooLarge", 415: "UnsupportedMediaType"}
_ERRORS: dict[type[ServiceError], str] = {
    InvalidRequestError: "Request body is required",
    AlreadyExistsError: "Name already exists",
    UnauthorizedError: "Unauthorized",
    ForbiddenError: "Forbidden",
    NotFoundError: "Record not found",
    ConflictError: "Record is in use",
    ValidationFailedError: "Validation failed",
    UnavailableError: "Database unavailable",
}
"""A message of each."""


def write(document: Mapping[str, Any]) -> str:
    """Return the document's text, as it is served and committed."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


async def describe(app: Quart) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of an application that `build_app` has made.

    It depends on the application's code alone: not on settings, requests or the database.
    """
    errors: ErrorResponses = app.extensions[ErrorResponses.EXTENSION]
    async with app.test_request_context("/"):
        envelope = errors.envelope
        shape = _Shape(
            await read_json(envelope.success(_DATA, _MESSAGE)),
            await read_json(envelope.success([_DATA], _MESSAGE)),
            await read_json(envelope.error(_MESSAGE, 400)),
            await read_json(envelope.error(_MESSAGE, 422, {_FIELD: _REASON})),
        )
    return _Document(app, errors, shape).make()


async def read_json(response: Response) -> Any:
    return json.loads(await response.get_data(as_text=False))


@dataclass(frozen=True, slots=True)
class _Shape:
    """Answers of the envelope, with marks in place of what differs between them."""

    success: Any
    listed: Any
    """A success whose data is a list."""
    error: Any
    refusal: Any
    """An error with details by field."""

    @property
    def data(self) -> str | None:
        """The place of the data, as a JSON pointer."""
        return next(places_of(self.success, _DATA, ""), None)


def places_of(value: Any, mark: str, place: str) -> Iterator[str]:
    if value == mark:
        yield place
    if isinstance(value, dict):
        for name, each in value.items():
            yield from places_of(each, mark, f"{place}/{name}")


def envelope_schema(value: Any, data: Schema) -> Schema:
    """Return the schema of an envelope, from one that holds marks."""
    if value in (_DATA, [_DATA]):
        return data
    if isinstance(value, bool):
        return {"type": "boolean", "const": value}
    if not isinstance(value, dict):
        return dict(_TYPES.get(type(value), {}))
    if _FIELD in value:
        return {"type": "object", "additionalProperties": {"type": "string"}}
    properties = {name: envelope_schema(each, data) for name, each in value.items()}
    return {"type": "object", "required": list(value), "properties": properties}


def envelope_example(value: Any, data: Any, message: str) -> Any:
    """Return an example of an envelope; what an owner's adds of itself is shortened to its type."""
    if value in (_DATA, [_DATA]):
        return data
    if value == _MESSAGE:
        return message
    if isinstance(value, dict):
        if _FIELD in value:
            return {"name": "Must be a string"}
        return {name: envelope_example(each, data, message) for name, each in value.items()}
    if value is None or isinstance(value, bool):
        return value
    return type(value)()


@dataclass(slots=True)
class _Operation:
    """One method of one route."""

    path: str
    method: str
    rule: Rule
    served: Handler
    handler: Handler
    """What is served, without its decorators."""
    is_declared: bool
    answer: Any = None
    """The type of its data."""
    media_type: str | None = None
    name: str = ""
    tag: str = ""
    answers: dict[int, list[str | None]] = field(default_factory=lambda: defaultdict(list))
    """Messages of successes by their status."""
    errors: dict[int, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    """By status, the name and the message of each."""
    headers: dict[str, Any] = field(default_factory=dict)
    """Of successes."""
    unseen: str | None = None
    """What the source does not show of its answers."""


class _Document:
    """Makes the document of one application."""

    def __init__(self, app: Quart, errors: ErrorResponses, shape: _Shape) -> None:
        self._app = app
        self._errors = errors
        self._shape = shape
        self._schemas = Schemas()
        self._found: Mapping[tuple[str, Any], Schema] = {}
        self._components: dict[str, Schema] = {}
        self._shared: dict[str, Any] = {}

    def make(self) -> dict[str, Any]:
        """Return the document."""
        read = [each for rule in self.rules() for each in self.read_rule(rule)]
        # Of two at one path, the first one answers.
        operations = [*{(each.path, each.method): each for each in reversed(read)}.values()][::-1]
        self.name(operations)
        for each in operations:
            self.want(each)
        self._found, self._components = self._schemas.make()
        paths: dict[str, dict[str, Any]] = defaultdict(dict)
        for each in operations:
            paths[each.path][each.method.lower()] = self.write(each, operations)
        own = {
            self.own_name("Error"): envelope_schema(self._shape.error, {}),
            self.own_name("ValidationError"): envelope_schema(self._shape.refusal, {}),
        }
        schemas = referred({**self._components, **own}, [paths, self._shared])
        tags = dict.fromkeys(each.tag for each in operations)
        return {
            "openapi": "3.1.0",
            "info": {
                "title": self._app.extensions[TITLE],
                "version": version_above(Path(self._app.root_path)),
            },
            "servers": [{"url": "/"}],
            "tags": [{"name": tag} for tag in tags],
            "paths": dict(paths),
            "components": {
                "schemas": schemas,
                "responses": dict(sorted(self._shared.items())),
            },
        }

    def rules(self) -> list[Rule]:
        """Return the routes of controllers, sorted; files and the pages of documentation are none."""
        return sorted(
            (
                rule
                for rule in self._app.url_map.iter_rules()
                if not rule.websocket
                and not is_of_files(rule)
                and not rule.endpoint.startswith(f"{PAGES}.")
            ),
            key=lambda rule: (rule.rule, sorted(rule.methods or ())),
        )

    def read_rule(self, rule: Rule) -> Iterator[_Operation]:
        served = self._app.view_functions[rule.endpoint]
        handler = inspect.unwrap(served)
        declared = annotations_of(handler).get("return")
        path = VARIABLE.sub(lambda found: f"{{{found['name']}}}", rule.rule)
        for method in sorted((rule.methods or set()) - _IMPLIED):
            operation = _Operation(path, method, rule, served, handler, is_declared=False)
            own = declared_of(self._app).get((rule.endpoint, rule.rule, method), Declared())
            operation.media_type = own.media_type
            operation.headers |= _ETAG if own.has_etag else {}
            if get_origin(declared) is Answer:
                operation.is_declared = True
                [operation.answer] = get_args(declared)
            elif operation.media_type:
                operation.is_declared = True
            operation.tag = rule.endpoint.rpartition(".")[0] or "service"
            self.read_answers(operation, own.raises)
            yield operation

    def read_answers(self, operation: _Operation, raises: tuple[type[ServiceError], ...]) -> None:
        """Note what may be answered: by the controller's statements, its parameters and the chassis."""
        chain = decorators_of(operation.served)
        met = frozenset(each.__code__ for each in chain if inspect.isfunction(each))
        *decorators, found = (statements_of(each, met=met) for each in chain)
        operation.unseen = found.unseen
        raised = [kind for one in (*decorators, found) for kind in one.raised]
        refused = [each for one in decorators for each in one.answers if each.status >= 400]
        for each in (*found.answers, *refused):
            if each.status < 400:
                operation.answers[each.status].append(each.message)
            else:
                message = each.message or MESSAGES.get(each.status, "Refused")
                operation.errors[each.status][message] = message
            operation.headers |= _LINK if each.method in ("page", "listing") else {}
            operation.headers |= _TOTAL if each.method == "listing" else {}
        if not operation.answers:
            operation.answers[200].append(None)
        kinds = [*raises, *raised]
        for parameter in parameters_of(operation.handler).values():
            kinds.append(ValidationFailedError)
            if isinstance(parameter, Listing):
                operation.errors[414]["UriTooLong"] = "Request URI Too Long"
            elif issubclass(parameter, RequestDTO):
                kinds.append(InvalidRequestError)
                for status, name in _OF_BODIES.items():
                    operation.errors[status][name] = MESSAGES.get(status, "Request Timeout")
            elif any(each.is_required() for each in parameter.model_fields.values()):
                kinds.append(InvalidRequestError)
        for kind in kinds:
            base = next((each for each in kind.__mro__ if each in _ERRORS), None)
            status = self._errors.find_status(kind) or 500
            operation.errors[status][kind.__name__] = _ERRORS[base] if base else "Refused"
        self.add_the_chassis_own(operation)

    def add_the_chassis_own(self, operation: _Operation) -> None:
        if "<" in operation.rule.rule and 404 not in operation.errors:
            operation.errors[404]["EndpointNotFound"] = MESSAGES[404]
        operation.errors[405]["MethodNotAllowed"] = MESSAGES[405]
        operation.errors[500]["InternalServerError"] = MESSAGES[500]
        if operation.path != f"{PREFIX}/health":
            operation.errors[503]["UnavailableError"] = _ERRORS[UnavailableError]

    def name(self, operations: list[_Operation]) -> None:
        """Give each a name of its own, in which the verb comes first: `get_user_by_email`."""
        singular = {
            each.tag: name
            for each in reversed(operations)
            if (name := name_of(each.answer)) and each.tag.startswith(name[:1])
        }
        taken = set[str]()
        for each in operations:
            function = getattr(each.handler, "__name__", each.rule.endpoint.rpartition(".")[2])
            verb, _, rest = function.partition("_")
            one, many = singular.get(each.tag), each.tag.replace(".", "_")
            noun = many if get_origin(each.answer) is list else one
            if verb in _VERBS and noun:
                name = "_".join(filter(None, [verb, noun, "" if rest == "all" else rest]))
            else:
                name = f"{function}_{noun}" if noun else function
            whole = f"{many}_{function}_{each.method.lower()}"
            counted = (f"{whole}_{count}" for count in range(2, len(operations) + 2))
            each.name = next(one for one in (name, whole, *counted) if one not in taken)
            taken.add(each.name)

    def want(self, operation: _Operation) -> None:
        """Ask for the schemas of what is answered and taken."""
        if operation.answer is not None:
            self._schemas.want(operation.answer, "serialization")
        for kind in parameters_of(operation.handler).values():
            if isinstance(kind, Listing):
                for each in kind.filters.values():
                    self._schemas.want(each.kind, "validation")
            else:
                self._schemas.want(kind, "validation")

    def write(self, operation: _Operation, operations: list[_Operation]) -> dict[str, Any]:
        text = inspect.getdoc(operation.handler) or ""
        written: dict[str, Any] = {
            "operationId": operation.name,
            "tags": [operation.tag],
            "summary": text.partition("\n")[0].rstrip("."),
        }
        if "\n" in text:
            written["description"] = text
        if not operation.is_declared:
            written[UNDECLARED] = True
        elif operation.unseen and not operation.media_type:
            written[UNSEEN] = operation.unseen
        if mismatch := find_mismatch(operation.handler):
            written[MISMATCH] = mismatch
        if parameters := [*self.path_parameters(operation), *self.query_parameters(operation)]:
            written["parameters"] = parameters
        for kind in parameters_of(operation.handler).values():
            if not isinstance(kind, Listing) and issubclass(kind, RequestDTO):
                media = self.media(self.schema(kind, "validation"))
                written["requestBody"] = {"required": True, "content": {_JSON: media}}
                if issubclass(
                    kind, PatchDTO
                ):  # under one type, of which generated clients make one body
                    written["requestBody"] = {"description": _MERGE_PATCH, **written["requestBody"]}
        written["responses"] = self.responses(operation, operations)
        return written

    def responses(
        self, operation: _Operation, operations: list[_Operation]
    ) -> dict[str, dict[str, Any]]:
        """Return the answers by their statuses, in the order of these."""
        found: dict[str, dict[str, Any]] = {}
        for status, messages in operation.answers.items():
            found[str(status)] = self._success(operation, messages, operations)
            headers = operation.headers | (_LOCATION if status in _REDIRECTIONS else {})
            if headers:
                found[str(status)]["headers"] = headers
        if "ETag" in operation.headers:
            found["304"] = {"description": "The version is the one of If-None-Match"}
        for status, each in operation.errors.items():
            found[str(status)] = self.error(status, each)
        return dict(sorted(found.items()))

    def schema(self, kind: Any, mode: str) -> Schema:
        return self._found[repr(kind), mode]

    def media(self, schema: Schema) -> dict[str, Any]:
        media: dict[str, Any] = {"schema": schema}
        with suppress(NoExampleError):  # of a pattern
            media["example"] = example_of(schema, self._components)
        return media

    def _success(
        self, operation: _Operation, messages: list[str | None], operations: list[_Operation]
    ) -> dict[str, Any]:
        if operation.media_type:
            return {"description": "Success", "content": {operation.media_type: {}}}
        if not operation.is_declared:
            return {"description": "Not declared by the controller"}
        schema: Schema = {"type": "null"}
        if operation.answer is not None and operation.answer is not type(None):
            schema = self.schema(operation.answer, "serialization")
        message = next(filter(None, messages), "Success")
        is_list = get_origin(operation.answer) is list
        shape = self._shape.listed if is_list else self._shape.success
        media: dict[str, Any] = {"schema": envelope_schema(shape, schema)}
        with suppress(NoExampleError):  # of a pattern
            data = example_of(schema, self._components)
            media["example"] = envelope_example(shape, data, message)
        written: dict[str, Any] = {"description": message, "content": {_JSON: media}}
        if links := self.links(operation, operations):
            written["links"] = links
        return written

    def links(self, operation: _Operation, operations: list[_Operation]) -> dict[str, Any]:
        """Return the routes of the record that is answered by the one which creates it."""
        if operation.method != "POST" or "{" in operation.path or self._shape.data is None:
            return {}
        found = {}
        for each in operations:
            matched = re.fullmatch(rf"{re.escape(operation.path)}/\{{(\w+)\}}(/\w+)?", each.path)
            if matched and "<id:" in each.rule.rule:
                expression = f"$response.body#{self._shape.data}/id"
                found[each.name] = {
                    "operationId": each.name,
                    "parameters": {matched[1]: expression},
                }
        return found

    def own_name(self, name: str) -> str:
        """Return the name of a component of the chassis, which no DTO of the owner's has."""
        return f"{name}Envelope" if name in self._components else name

    def error(self, status: int, messages: Mapping[str, str]) -> dict[str, Any]:
        is_refusal = status == self._errors.find_status(ValidationFailedError)
        shape = self._shape.refusal if is_refusal else self._shape.error
        name = self.own_name("ValidationError" if is_refusal else "Error")
        media: dict[str, Any] = {"schema": {"$ref": f"{REFERENCE}{name}"}}
        if len(messages) == 1:
            media["example"] = envelope_example(shape, None, next(iter(messages.values())))
        else:
            media["examples"] = {
                key: {"value": envelope_example(shape, None, message)}
                for key, message in messages.items()
            }
        written: dict[str, Any] = {
            "description": _DESCRIPTIONS.get(status, "The request is refused"),
            "content": {_JSON: media},
        }
        if status in _HEADERS:
            written["headers"] = _HEADERS[status]
        own = re.sub(r"[^A-Za-z0-9_]+", "_", "_".join(messages)) or "Refused"
        names = (f"{own}{count}" for count in ("", f"_{status}", *map("_{}".format, range(2, 999))))
        key = next(each for each in names if self._shared.get(each, written) == written)
        self._shared[key] = written
        return {"$ref": f"#/components/responses/{key}"}

    def path_parameters(self, operation: _Operation) -> Iterator[dict[str, Any]]:
        for found in VARIABLE.finditer(operation.rule.rule):
            schema = _PATHS.get(found["kind"] or "", _TEXT)
            if found["kind"] == "any":
                values = [each.strip(" '\"") for each in (found["values"] or "").split(",")]
                schema = {"type": "string", "enum": values}
            yield {"name": found["name"], "in": "path", "required": True, "schema": schema}

    def query_parameters(self, operation: _Operation) -> Iterator[dict[str, Any]]:
        for kind in parameters_of(operation.handler).values():
            if isinstance(kind, Listing):
                yield from self.list_parameters(kind)
            elif not issubclass(kind, RequestDTO):
                yield from self.model_parameters(kind)

    def model_parameters(self, kind: type[BaseModel]) -> Iterator[dict[str, Any]]:
        schema = self.schema(kind, "validation")
        model = self._components[schema["$ref"].removeprefix(REFERENCE)]
        for name, each in model["properties"].items():
            is_required = name in model.get("required", ())
            yield {"name": name, "in": "query", "required": is_required, "schema": each}

    def list_parameters(self, listing: Listing) -> Iterator[dict[str, Any]]:
        # Without `default`, which generated clients send: a list of which nothing is asked is whole.
        own: dict[str, tuple[str, Schema]] = {
            "limit": (
                "The length of the page; 20 where another parameter is given alone",
                {"type": "integer", "minimum": 1, "maximum": 100},
            ),
            "after": ("Where the page begins, as the Link header has it", {"type": "string"}),
            "sort": (
                "Fields between commas, with a minus before those that descend, by itself id; some are "
                "possible only beside filters of one value",
                sort_schema(listing.all_sorts()),
            ),
            "count": ("Whether to count all, in X-Total-Count", {"type": "boolean"}),
            "q": (
                "A part of a text, whatever the case of its letters",
                {"type": "string", "minLength": 3, "maxLength": 100},
            ),
        }
        for name, field_name in listing.parameters.items():
            described, schema = own.get(name, ("", {})) if field_name is None else ("", {})
            if field_name is not None:
                described, schema = self.filter(name, field_name, listing.filters[field_name])
            yield {
                "name": name,
                "in": "query",
                "required": False,
                "description": described,
                "schema": schema,
            }

    def filter(self, name: str, field_name: str, kind: FieldType) -> tuple[str, Schema]:
        schema = self.schema(kind.kind, "validation")
        if "anyOf" in schema:  # a decimal, which is text here
            schema = schema["anyOf"][0]
        if name == f"{field_name}_null":
            return "Those without a value, besides", {"type": "string", "const": "true"}
        if name != field_name:
            return f"The {'least' if name.endswith('_min') else 'greatest'} value", schema
        if kind.is_optional and not kind.is_text:
            schema = {"anyOf": [schema, {"type": "string", "const": "null"}]}
        return "Those with one of these values", {"type": "array", "items": schema, "maxItems": 100}


def sort_schema(sorts: list[str]) -> Schema:
    """Return the schema of what a list may be sorted by, with names that a generator of clients can take."""
    names = [
        "_THEN_".join(
            f"{word[1:]}_DESCENDING" if word.startswith("-") else word for word in each.split(",")
        ).upper()
        for each in sorts
    ]
    return {"type": "string", "enum": sorts, "x-enum-varnames": names}


def is_of_files(rule: Rule) -> bool:
    """Whether Quart has made a route for the files of a static folder."""
    name = rule.endpoint.rpartition(".")[2]
    return name == "static" and rule.rule.endswith("/<path:filename>")


def referred(schemas: Mapping[str, Schema], places: list[Any]) -> dict[str, Schema]:
    """Return the schemas that some places refer to, and those that these refer to."""
    found: dict[str, Schema] = {}
    ahead = [json.dumps(place) for place in places]
    while ahead:
        for name in re.findall(rf'"{REFERENCE}([^"]+)"', ahead.pop()):
            if name not in found:
                found[name] = schemas[name]
                ahead.append(json.dumps(schemas[name]))
    return dict(sorted(found.items()))


def name_of(answer: Any) -> str | None:
    """Return what a DTO is about: `order_line` of OrderLineResponseDTO."""
    if not isinstance(answer, type) or not answer.__name__.endswith("ResponseDTO"):
        return None
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", answer.__name__.removesuffix("ResponseDTO"))
    return words.lower()


def version_above(folder: Path) -> str:
    """Return the version of the project that a folder is in."""
    for each in (folder, *folder.parents):
        if (each / "pyproject.toml").is_file():
            table = cast("dict[str, Any]", parse_toml(each / "pyproject.toml").get("project", {}))
            return str(table.get("version", "0"))
    return "0"
