"""What tests of a service that calls others need: fakes, held to the documents of what they stand for.

`Records` keeps what a fake answers, and `make` makes a record. `check_operation` calls an adapter and
its fake by the provider's OpenAPI document, of which the workspace has a copy: what is sent has to
be what the document takes, and all that it may answer has to be read. So a provider that has changed
fails the tests of the services that it breaks.
"""

import dataclasses
import inspect
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from difflib import get_close_matches
from itertools import count
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Any,
    Generic,
    Literal,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)
from uuid import UUID

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from quart import Quart

from quart_fleet.clients._operation import Operation
from quart_fleet.clients._service_client import Clients, Instance, ServiceClient, _Call
from quart_fleet.errors import NotFoundError, UnavailableError
from quart_fleet.paging import ListPage
from quart_fleet.settings import ServiceSettings
from quart_fleet.workspace import Workspace

T = TypeVar("T")
Schema = Mapping[str, Any]
"""A schema of JSON Schema, as OpenAPI 3.1 has it."""

_ABSENT = object()
_DAY = datetime(2026, 11, 23, 9, 24, 2, tzinfo=UTC)
_VALUES: Mapping[Any, object] = {
    int: 1,
    float: 1.0,
    str: "text",
    bool: True,
    Decimal: Decimal(1),
    UUID: UUID(int=1),
    datetime: _DAY,
    date: _DAY.date(),
    time: _DAY.time(),
    timedelta: timedelta(minutes=90),
}
"""Of each type that a field of a record has."""
_TEXTS = {
    "date": "2026-11-23",
    "date-time": "2026-11-23T09:24:02Z",
    "decimal": "1",
    "duration": "PT1H30M",
    "email": "ada@example.com",
    "http-date": "Mon, 23 Nov 2026 09:24:02 GMT",
    "time-local": "09:24:02",
    "uri": "https://example.com/",
    "uuid": str(UUID(int=1)),
}
"""Of each format of a string."""
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "null": NoneType,
    "array": list,
    "object": dict,
    "integer": int,
    "number": (int, float),
}


def make(of: type[T], **values: object) -> T:
    """Return a record with made-up values, but for those that are given."""
    record: Any = of
    hints = get_type_hints(record)
    names = [field.name for field in dataclasses.fields(record)]
    made: T = record(**{name: _make(hints[name], values.get(name, _ABSENT)) for name in names})
    return made


def _make(hint: Any, value: Any) -> Any:
    """Return a value of a type: that of a body, in which records are mappings, or a made-up one."""
    options = [one for one in get_args(hint) if one not in (NoneType, Ellipsis)]
    if get_origin(hint) is tuple:
        return tuple(_make(options[0], one) for one in ([] if value is _ABSENT else value))
    if get_origin(hint) is Literal:
        return options[0] if value is _ABSENT else value
    if options and (value is _ABSENT or (len(options) == 1 and value is not None)):
        return _make(options[0], value)
    if dataclasses.is_dataclass(hint) and (value is _ABSENT or isinstance(value, Mapping)):
        return make(hint, **({} if value is _ABSENT else value))  # type: ignore[arg-type]  # a class
    return _VALUES.get(hint) if value is _ABSENT else value


class Records(Generic[T]):
    """What a fake of another service keeps of one kind, by id, in the order in which it came.

    Args:
        of: their class.
        label: what the service calls one in its refusals, as `Product`.
        records: what is there at first; those of other classes are left to others.
    """

    def __init__(self, of: type[T], label: str, records: Iterable[object] = ()) -> None:
        self._of = of
        self._label = label
        self._by_id: dict[Any, T] = {}
        for one in records:
            if isinstance(one, of):
                self._keep(one)

    def __iter__(self) -> Iterator[T]:
        """Yield every record."""
        return iter([*self._by_id.values()])

    def get(self, record_id: object) -> T:
        """Return a record; raises NotFoundError."""
        if record_id not in self._by_id:
            raise NotFoundError(self._label)
        return self._by_id[record_id]

    def find(self, name: str, value: object) -> T:
        """Return the record that has a value in a field; raises NotFoundError."""
        for one in self:
            if getattr(one, name) == value:
                return one
        raise NotFoundError(self._label)

    def page(self, query: Mapping[str, Any]) -> ListPage[T]:
        """Return what a list answers to a query: its page, of those that its filters leave.

        Filters by values and by ranges, `q` and `sort` do what they do there; others do nothing.
        """
        found = [one for one in self if all(self._passes(one, *each) for each in query.items())]
        for key in reversed((query.get("sort") or "id").split(",")):
            name = key.removeprefix("-")
            name = name if hasattr(self._of, name) else f"{name}_id"

            def rank(one: T, name: str = name) -> tuple[bool, Any]:
                value = getattr(one, name)
                return value is None, value

            found.sort(key=rank, reverse=key.startswith("-"))
        begin = int(query.get("after") or 0)  # as `after` of the page before
        end = begin + (query.get("limit") or len(found))
        total = len(found) if query.get("count") else None
        return ListPage(found[begin:end], str(end) if end < len(found) else None, total)

    def add(self, body: Mapping[str, Any]) -> T:
        """Keep what a body creates, and return it; what the service says of it is made up."""
        taken = {getattr(one, "id", None) for one in self}
        number = next(one for one in count(1) if one not in taken)
        return self._keep(make(self._of, **{"id": number, **body}))

    def change(self, record_id: object, body: Mapping[str, Any]) -> T:
        """Give a record the values of a body, and return it; raises NotFoundError."""
        record: Any = self.get(record_id)
        values = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
        return self._keep(make(self._of, **{**values, **body}))

    def delete(self, record_id: object) -> None:
        """Forget a record; raises NotFoundError."""
        self.get(record_id)
        del self._by_id[record_id]

    def _keep(self, record: T) -> T:
        self._by_id[getattr(record, "id", len(self._by_id) + 1)] = record
        return record

    def _passes(self, record: T, name: str, value: Any) -> bool:
        """Whether a record is among what one parameter asks for."""
        field, _, bound = name.rpartition("_")
        if value is None:
            return True
        if name == "q":
            values = (getattr(record, each.name) for each in dataclasses.fields(self._of))  # type: ignore[arg-type]  # a dataclass
            return any(value.lower() in each.lower() for each in values if isinstance(each, str))
        if hasattr(record, name):
            return getattr(record, name) in (value if isinstance(value, list | tuple) else [value])
        if bound in ("min", "max") and hasattr(record, field):
            kept = getattr(record, field)
            return kept is not None and bool(kept >= value if bound == "min" else kept <= value)
        return True


class AsksForIds(Protocol):
    """A directory of what another service keeps."""

    async def missing(self, ids: set[int]) -> Any:
        """Return those of the ids that no record has."""
        ...


async def check_operation(
    provider: str,
    name: str,
    adapter: Callable[[ServiceClient], object],
    fake: Callable[..., object],
) -> None:
    """Hold an operation of an adapter, and of its fake, to the provider's document.

    Raises AssertionError, which names the operation and what of it has changed.

    Args:
        provider: its name, as images have it: `user-service`.
        name: the operation's id, which the methods are called by.
        adapter: calls the provider; a class.
        fake: made of records, stands for the adapter in tests.
    """
    document = _Document.read(provider, adapter)
    call = _CheckedCall(document, name, adapter)
    await call.send_all()
    answers = [answer async for answer in call.read_all()]
    records = [*_records_in(answers[0])]
    for other in document.operations.keys() & {*dir(adapter)} - {name}:
        with suppress(AssertionError):  # which its own check says
            reading = _CheckedCall(document, other, adapter)
            records += _records_in(await anext(reading.read_all()))
    known = [getattr(records[0], each, None) for each in call.path] if records else []
    path = [one or value for one, value in zip(known, call.path.values(), strict=False)]
    answer = await getattr(fake(*records), name)(*(path or call.path.values()), **call.body)
    written = answer.items if isinstance(answer, ListPage) else answer
    hint: Any = list[get_args(call.returns)[0]] if written is not answer else call.returns  # type: ignore[misc]  # of the page
    data = TypeAdapter(hint).dump_python(written, mode="json", warnings=False)
    for complaint in document.complaints(call.data, data, "data", is_sent=False):
        raise AssertionError(f"{call}: the fake answers otherwise: {complaint}")


async def check_directory(
    provider: str,
    adapter: Callable[[ServiceClient], AsksForIds],
    fake: Callable[..., AsksForIds],
) -> None:
    """Hold a directory, and its fake, to the provider's document; raises AssertionError."""
    document = _Document.read(provider, adapter)
    client = _DocumentedClient(document)
    for status, missing in ((200, set[int]()), (404, {1})):
        client.status = status
        try:
            found = await adapter(client).missing({1})
        except UnavailableError as error:
            raise AssertionError(f"{provider}: {error.__cause__}") from None
        assert found == missing, f"{provider} answered {status} to {client.asked}: {found}"
    assert await fake(1).missing({1, 2}) == {1}


def _records_in(answer: object) -> Sequence[object]:
    """Return the records of an answer: one, a list or a page of them."""
    match answer:
        case ListPage():
            return answer.items
        case list():
            return answer
    return [] if answer is None else [answer]


@dataclasses.dataclass(frozen=True)
class _Document:
    """An OpenAPI document of a service of the workspace."""

    provider: str
    whole: Mapping[str, Any]

    @classmethod
    def read(cls, provider: str, adapter: object) -> "_Document":
        """Read the copy in the workspace of an adapter's module; raises AssertionError."""
        root = Workspace.find(Path(inspect.getfile(adapter))).root  # type: ignore[arg-type]  # a class
        path = root / "services" / provider.replace("-", "_") / "openapi.json"
        if not path.is_file():
            raise AssertionError(
                f"{path.relative_to(root)} is missing: python -m scaffold openapi {provider} --write"
            )
        return cls(provider, json.loads(path.read_text("utf-8")))

    @property
    def operations(self) -> dict[str, tuple[str, str, Mapping[str, Any]]]:
        """The method, the path and the description of each operation, by its id."""
        return {
            each["operationId"]: (method.upper(), path, each)
            for path, item in self.whole["paths"].items()
            for method, each in item.items()
            if isinstance(each, dict) and "operationId" in each
        }

    def resolve(self, found: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what a reference stands for."""
        while "$ref" in found:
            *_, kind, name = found["$ref"].split("/")
            found = self.whole["components"][kind][name]
        return found

    def forms_of(self, described: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Return the forms of what an operation answers where it succeeds, by its statuses."""
        found = (
            self.resolve(one)
            for status, one in sorted(described["responses"].items())
            if status.startswith("2")
        )
        return [one["content"]["application/json"] for one in found if "content" in one]

    def answers(self, described: Mapping[str, Any]) -> list[Any]:
        """Return what it may answer then, in the fleet's envelope."""
        return [
            answer
            for form in self.forms_of(described)
            for answer in self.samples(form["schema"], form.get("example"))
        ]

    def samples(self, schema: Schema, example: Any = None, depth: int = 6) -> list[Any]:
        """Return values that a schema allows: the first is whole, the others each differ in a place.

        Args:
            schema: of the values.
            example: what the document gives as one, for texts of a form.
            depth: of arrays in each other, of which more are empty.
        """
        schema = self.resolve(schema)
        options = schema.get("anyOf") or schema.get("oneOf")
        if not options and isinstance(schema.get("type"), list):
            options = [{**schema, "type": kind} for kind in schema["type"]]
        if options:
            return [one for each in options for one in self.samples(each, example, depth)]
        if words := schema.get("enum", [schema["const"]] if "const" in schema else []):
            return [*words]
        match schema.get("type"):
            case _ if "properties" in schema:
                found = self._objects(schema, example if isinstance(example, dict) else {}, depth)
            case "array":
                inner = example[0] if isinstance(example, list) and example else None
                items = schema.get("items", {})
                found = [[one] for one in self.samples(items, inner, depth - 1)] if depth else []
                found += [] if schema.get("minItems") else [[]]
            case "string":
                found = [self._text(schema, example)]
            case "integer" | "number":
                least = max(1, schema.get("minimum", 1), schema.get("exclusiveMinimum", 0) + 1)
                found = [min(least, schema.get("maximum", least))]
            case kind:
                found = [{"boolean": True, "null": None, "object": {}}.get(str(kind), "text")]
        return found

    def _objects(self, schema: Schema, example: Mapping[str, Any], depth: int) -> list[Any]:
        found = {
            name: self.samples(each, example.get(name), depth)
            for name, each in schema["properties"].items()
        }
        whole = {name: values[0] for name, values in found.items() if values}
        required = schema.get("required", ())
        absent = [
            {key: one for key, one in whole.items() if key != name}
            for name in whole
            if name not in required
        ]
        others = [{**whole, name: one} for name, values in found.items() for one in values[1:]]
        return [whole, *others, *absent]

    def _text(self, schema: Schema, example: Any) -> str:
        shortest = schema.get("minLength", 0)
        made: str = _TEXTS.get(schema.get("format", ""), "text" * (shortest // 4 + 1))
        for text in (made[: schema.get("maxLength", len(made))], example):
            if isinstance(text, str) and not [*self.complaints(schema, text, "", is_sent=True)]:
                return text
        return made

    def complaints(self, schema: Schema, value: Any, place: str, *, is_sent: bool) -> Iterator[str]:
        """Yield what is wrong with a value; what is not sent may lack what is required.

        Texts that are sent are made up, so that their forms tell nothing.
        """
        schema = self.resolve(schema)
        if options := schema.get("anyOf") or schema.get("oneOf"):
            wrong = [[*self.complaints(one, value, place, is_sent=is_sent)] for one in options]
            yield from min(wrong, key=len)[:1]
            return
        kinds = schema.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if kinds and not any(
            isinstance(value, _TYPES[kind]) and isinstance(value, bool) == (kind == "boolean")
            for kind in kinds
        ):
            yield f"{place} is no {' or '.join(kinds)}: {value!r}"
            return
        if value not in schema.get("enum", [schema.get("const", value)]):
            yield f"{place} has no word {value!r}"
        match value:
            case str():
                longest = schema.get("maxLength", len(value))
                if not schema.get("minLength", 0) <= len(value) <= longest:
                    yield f"{place} has another length: {value!r}"
                elif not is_sent and not re.search(schema.get("pattern", ""), value):
                    yield f"{place} has another form: {value!r}"
            case list():
                inner = [(f"{place}.{number}", each) for number, each in enumerate(value)]
                for name, each in inner:
                    yield from self.complaints(schema.get("items", {}), each, name, is_sent=is_sent)
            case dict() if "properties" in schema:
                yield from self._complaints_of_object(schema, value, place, is_sent=is_sent)

    def _complaints_of_object(
        self, schema: Schema, value: Mapping[str, Any], place: str, *, is_sent: bool
    ) -> Iterator[str]:
        for name in schema.get("required", ()) if is_sent else ():
            if name not in value:
                yield f"{place}.{name} is required"
        for name, each in value.items():
            inner = schema["properties"].get(name)
            if inner is None:
                yield f"{place}.{name} is not there any more"
            else:
                yield from self.complaints(inner, each, f"{place}.{name}", is_sent=is_sent)


class _DocumentedClient(ServiceClient):
    """Takes and answers what a document says, in place of the service."""

    def __init__(self, document: _Document) -> None:
        config = ServiceSettings.model_validate({"TESTING": True})
        pool = Clients(Quart(__name__), config)
        super().__init__(pool, config, document.provider)
        self.fallback = ["http://provider"]
        self.locate(())
        self.status = 200
        self.answer: dict[str, Any] = {}
        self.asked = ""
        self._document = document

    async def _exchange(
        self,
        operation: Operation[Any],
        call: _Call,
        instance: Instance,  # noqa: ARG002 - the base's
    ) -> tuple[int, bytes, Mapping[str, str]]:
        self.asked = str(operation)
        shape = operation.method, _shape_of(operation.template)
        found = self._document.operations.values()
        same = [one for method, path, one in found if (method, _shape_of(path)) == shape]
        assert same, f"The {self.service} has no {operation} any more"
        described = same[0]
        called = f"{described['operationId']} of the {self.service} ({operation})"
        known = [self._document.resolve(one) for one in described.get("parameters", ())]
        for name, _ in call.query:
            assert name in {one["name"] for one in known}, f"{called} takes no {name!r} any more"
        given = {name for name, _ in call.query} | call.headers.keys()
        for one in known:
            is_given = one["in"] == "path" or one["name"] in given
            assert is_given or not one.get("required"), f"{called} requires {one['name']!r}"
        is_bare = call.body is None and described.get("requestBody", {}).get("required")
        assert not is_bare, f"{called} requires a body"
        if call.body is not None:
            schema = described["requestBody"]["content"]["application/json"]["schema"]
            sent = json.loads(call.body)
            for complaint in self._document.complaints(schema, sent, "body", is_sent=True):
                raise AssertionError(f"{called}: {complaint}")
        assert str(self.status) in described["responses"] or self.status == 200, (
            f"{called} never answers {self.status} any more"
        )
        body = {"message": "Record not found", "success": False}
        if self.status == 200:
            body = self.answer or self._document.answers(described)[0]
        return self.status, json.dumps(body).encode(), {}


class _CheckedCall:
    """An operation, called in every way that its port and its document have.

    Raises AssertionError where the document has no such operation.
    """

    def __init__(
        self, document: _Document, name: str, adapter: Callable[[ServiceClient], object]
    ) -> None:
        operations = document.operations
        if name not in operations:
            near = get_close_matches(name, operations, n=1)
            hint = f"; near it is {near[0]}" if near else ""
            raise AssertionError(f"The {document.provider} has no operation {name} any more{hint}")
        *_, self._described = operations[name]
        self._document = document
        self._name = name
        self._client = _DocumentedClient(document)
        self._method = getattr(adapter(self._client), name)
        hints = get_type_hints(self._method, include_extras=True)
        self.returns = hints.pop("return")
        kinds = {
            each.name: each.kind for each in inspect.signature(self._method).parameters.values()
        }
        known = [document.resolve(one) for one in self._described.get("parameters", ())]
        asked = {one["name"]: one["schema"] for one in known}
        body = self._described.get("requestBody", {}).get("content", {}).get("application/json", {})
        schemas = asked | (document.resolve(body["schema"])["properties"] if body else {})
        examples = body.get("example", {})
        self.path, self.values = dict[str, Any](), dict[str, Any]()
        self._others, self._queries = list[dict[str, Any]](), list[dict[str, Any]]()
        for key, hint in hints.items():
            fields = next(filter(is_typeddict, (hint, *get_args(hint))), None)
            if kinds[key] is inspect.Parameter.VAR_KEYWORD:
                self.values, self._others = self._read_fields(fields, schemas, examples)
            elif key == "query" and fields:  # beside a body
                self.path[key], self._queries = self._read_fields(fields, asked, {})
            else:
                self.path[key] = self._read(key, hint, schemas, examples)
        self.body = self.values if body else {}

    def __str__(self) -> str:
        """Return the operation, as messages name it."""
        return f"{self._name} of the {self._document.provider}"

    @property
    def data(self) -> Schema:
        """The schema of what is answered."""
        data: Schema = self._document.forms_of(self._described)[0]["schema"]["properties"]["data"]
        return data

    async def send_all(self) -> None:
        """Send everything that the port allows to be sent; raises AssertionError."""
        for values in (self.values, *self._others):
            await self._call(self.path, values)
        for query in self._queries:
            await self._call(self.path | {"query": query}, self.values)

    async def read_all(self) -> AsyncIterator[Any]:
        """Yield what the adapter makes of each answer that the document allows."""
        for answer in self._document.answers(self._described):
            self._client.answer = answer
            yield await self._call(self.path, self.values)

    async def _call(self, path: Mapping[str, object], values: Mapping[str, object]) -> Any:
        try:
            return await self._method(*path.values(), **values)
        except UnavailableError as error:
            raise AssertionError(f"{self}: {error.__cause__}") from None

    def _read_fields(
        self, of: Any, schemas: Mapping[str, Schema], examples: Any
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return what a class of keywords may hold: all of them first, then less or other words."""
        hints = get_type_hints(of)
        whole = {one: self._read(one, hint, schemas, examples) for one, hint in hints.items()}
        others = [{one: whole[one] for one in of.__required_keys__}]
        others += [whole | {one: word} for one, hint in hints.items() for word in _words_of(hint)]
        return whole, others

    def _read(self, key: str, hint: Any, schemas: Mapping[str, Schema], examples: Any) -> Any:
        """Return a value that the document allows, as the port has it."""
        if key not in schemas:
            raise AssertionError(f"{self} takes no {key!r} any more")
        samples = self._document.samples(schemas[key], examples.get(key))
        for one in [each for each in samples if each != []] or samples:
            for value in (one, f"{one}"):  # as a query has it
                with suppress(ValidationError, KeyError, PydanticUserError):
                    return _value_of(hint, value)
        raise AssertionError(f"{self} takes another {key!r}: {samples[0]!r}, which is no {hint}")


def _value_of(hint: Any, sample: Any) -> Any:
    """Return a value of JSON as a body in Python has it; raises ValidationError or KeyError."""
    if isinstance(sample, dict) and is_typeddict(hint):
        return {one: _value_of(of, sample[one]) for one, of in get_type_hints(hint).items()}
    if isinstance(sample, list) and get_origin(hint) in (Sequence, list, tuple):
        return [_value_of(get_args(hint)[0], one) for one in sample]
    for option in get_args(hint) if get_origin(hint) in (Union, UnionType) else ():
        with suppress(ValidationError, KeyError, PydanticUserError):
            return _value_of(option, sample)
    if is_typeddict(hint):
        raise KeyError(sample)
    return TypeAdapter(hint).validate_json(json.dumps(sample))


def _words_of(hint: Any) -> Iterator[object]:
    """Yield the words that a type has, and None where that is one of its values."""
    if get_origin(hint) is Literal:
        yield from get_args(hint)
    elif hint is NoneType:
        yield None
    elif get_origin(hint) in (Union, UnionType):
        for one in get_args(hint):
            yield from _words_of(one)


def _shape_of(path: str) -> str:
    """Return a path without the names of its variable parts."""
    return re.sub(r"\{[^}]*\}", "{}", path)
