"""Clients of other services as files: what their OpenAPI documents make of the templates."""

import json
import keyword
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Self

from quart_fleet.conventions import PREFIX
from quart_fleet.files import read_text
from scaffold.errors import MisuseError, ScaffoldError
from scaffold.generation.fleet import PlannedService
from scaffold.generation.render import Files, render_tree
from scaffold.language.scanner import hint, listed
from scaffold.names import ResourceName, ServiceName
from scaffold.workspace import DOCUMENT, SERVICES

_FORMATS = {
    "date": "dt.date",
    "date-time": "dt.datetime",
    "http-date": "HTTPDate",
    "time-local": "dt.time",
    "time": "dt.time",
    "duration": "dt.timedelta",
    "decimal": "Decimal",
    "uuid": "UUID",
}
"""The annotation of a string, by its format."""
_TYPES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_RAISED = {"404": "NotFoundError", "409": "ConflictError"}
"""What each operation raises by itself, where its document has the status."""
_TAKEN = frozenset(
    {
        *("Annotated", "Any", "Decimal", "HTTPDate", "ListPage", "Literal", "Mapping"),
        *("NotRequired", "Operation", "Protocol", "Records", "Sequence", "ServiceClient"),
        *("TypedDict", "UUID", "Unpack"),
        *("AlreadyExistsError", "ConflictError", "NotFoundError", "ValidationFailedError"),
    }
)
"""Names of the generated modules that no record has."""


def read_document(root: Path, provider: ServiceName) -> dict[str, Any]:
    """Return the committed OpenAPI document of a service; raises ScaffoldError."""
    path = f"{SERVICES}/{provider.package}/{DOCUMENT}"
    remedy = f"python -m scaffold openapi {provider.typed} --write"
    try:
        document = json.loads(read_text(root / path))
        if not isinstance(document["paths"], dict):
            raise TypeError
    except FileNotFoundError:
        raise ScaffoldError(
            f"{path} is missing, of which clients of the {provider.typed} are made.\n"
            f"Write it: {remedy}"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise ScaffoldError(f"{path} is no OpenAPI document.\nWrite it anew: {remedy}") from None
    found: dict[str, Any] = document
    return found


def operations_of(document: Mapping[str, Any]) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Return the method, the path and the description of each operation, by its id."""
    return {
        each["operationId"]: (method.upper(), path, each)
        for path, item in document["paths"].items()
        for method, each in item.items()
        if isinstance(each, dict) and "operationId" in each
    }


def choose_operations(
    document: Mapping[str, Any], provider: str, named: Iterable[str]
) -> tuple[str, ...]:
    """Return the operations that are named, by default those that read; raises MisuseError."""
    known, chosen = operations_of(document), sorted({*named})
    for one in chosen:
        if one not in known:
            raise MisuseError(
                f"{provider} has no operation {one!r}{hint(one, known)}.\n"
                f"It has: {listed(sorted(known))}"
            )
    reads = [one for one in known if one.startswith(("get_", "list_"))]
    if not (chosen or reads):
        raise MisuseError(
            f"{provider} has no operation that reads: name some.\nIt has: {listed(sorted(known))}"
        )
    return tuple(chosen or sorted(reads))


def describe_clients(service: PlannedService, root: Path) -> "list[ClientWords]":
    """Return what a service calls, by the documents in a workspace; raises ScaffoldError."""
    return [
        ClientWords.of(one.provider, one.port, read_document(root, one.provider), one.operations)
        for one in service.clients
    ]


def render_clients(
    clients: "Iterable[ClientWords]", words: Mapping[str, object], tree: Mapping[PurePosixPath, str]
) -> Files:
    """Return the files of a service's clients; raises ScaffoldError for one that is in `tree`."""
    files = render_tree("clients", words) if clients else {}
    for client in clients:
        own = render_tree("client", {**words, "client": client}, client.package)
        for path in sorted(own.keys() & {*tree, *files}):
            raise ScaffoldError(
                f"{path} is there already: a service that is called {client.service} has no client."
            )
        files |= own
    return files


@dataclass(frozen=True, slots=True)
class TypedFields:
    """A class of the port: of a record, of the parameters of a list, or of a body."""

    name: str
    base: str
    """Of a class of what is sent."""
    says: str
    fields: list[tuple[str, str]]
    """Each with its annotation."""


@dataclass(frozen=True, slots=True)
class OperationWords:
    """`operation` in a template."""

    name: str
    constant: str
    method: str
    path: str
    answer: str
    """What its data are read as."""
    returns: str
    says: str
    raises: list[str]
    """Other refusals than those that each operation lets the caller know."""
    parameters: str
    """Behind `self`, in the signature."""
    call: str
    """The adapter's."""


@dataclass(slots=True)
class ClientWords:
    """`client` in a template.

    Raises ScaffoldError where the document lacks an operation, or has a form that no client has.
    """

    name: ServiceName
    port: int
    document: Mapping[str, Any]
    aliases: dict[str, str] = field(default_factory=dict)
    """Enumerations by their names."""
    records: list[TypedFields] = field(default_factory=list)
    keywords: list[TypedFields] = field(default_factory=list)
    """Of bodies and queries."""
    operations: list[OperationWords] = field(default_factory=list)
    fakes: dict[str, str] = field(default_factory=dict)
    """What the fake does in place of each operation, by its name."""
    kept: dict[str, str] = field(default_factory=dict)
    """The attribute of the fake that keeps a record's class, by the class."""
    labels: dict[str, str] = field(default_factory=dict)
    """What the provider's refusals call a record, by its class."""
    _bases: dict[str, str] = field(default_factory=dict)
    """The class of the records that are at a path."""
    _names: dict[str, str] = field(default_factory=dict)
    """The classes of components that are written already, or being written."""
    _open: set[str] = field(default_factory=set)
    """Those of them that are being written."""

    @classmethod
    def of(
        cls, name: ServiceName, port: int, document: Mapping[str, Any], ids: Iterable[str]
    ) -> Self:
        """Return the words of some operations."""
        client = cls(name, port, document)
        choose_operations(document, name.typed, ids)
        known = operations_of(document)
        for each in ids:
            client.operations.append(client._operation(each, *known[each]))
        for one in client.operations:
            record = re.sub(r"^(?:list|ListPage)\[|\]$", "", one.returns)
            if record == "None":
                continue
            spoken = re.sub(r"(?<!^)(?=[A-Z])", "_", record).lower()
            names = ResourceName.named(spoken)
            client.kept.setdefault(record, names.plural)
            client.labels.setdefault(record, names.label)
            if re.fullmatch(r"/[^/]+(/\{[^}]*\})?", one.path):
                client._bases.setdefault(one.path.partition("/{")[0], record)
        client.fakes = {one.name: client._fake(one) for one in client.operations}
        return client

    @property
    def service(self) -> str:
        """The provider, as fleet.toml has it where it is called."""
        return self.name.typed

    @property
    def package(self) -> str:
        """What names the client's modules, and the client itself."""
        return self.name.package

    @property
    def image(self) -> str:
        """The provider, as images, containers and the cluster's names spell it."""
        return self.name.image

    @property
    def url_setting(self) -> str:
        """The setting that says where the provider is."""
        return f"{self.package}_url"

    @property
    def class_name(self) -> str:
        """The port: `ProductService`."""
        return "".join(word.capitalize() for word in self.package.split("_"))

    @property
    def label(self) -> str:
        """`product service`, as sentences have it."""
        return self.package.replace("_", " ")

    @property
    def modules(self) -> list[str]:
        """What its port has for the adapter and the fake to import."""
        return [*(one.name for one in (*self.records, *self.keywords)), self.class_name]

    @property
    def notes(self) -> list[str]:
        """The operations of which the fake only notes that they were called."""
        return [name for name, done in self.fakes.items() if "self.calls" in done]

    @property
    def actions(self) -> list[str]:
        """The operations that change a record, of which the fake only answers the record."""
        acting = (one.name for one in self.operations if one.method == "POST")
        return [name for name in acting if ".get(" in self.fakes[name]]

    @property
    def kept_sets(self) -> list[list[str]]:
        """The classes of what the fake keeps, where it keeps something."""
        return [[*self.kept]] if self.kept else []

    def _operation(
        self, name: str, method: str, path: str, described: Mapping[str, Any]
    ) -> OperationWords:
        """Write the classes that an operation needs, and return its words; raises ScaffoldError."""
        declared = [self._resolve(one) for one in described.get("parameters", ())]
        inner = {one["name"]: one["schema"] for one in declared if one["in"] == "path"}
        asked = {one["name"]: one for one in declared if one["in"] == "query"}
        positional = [
            f"{_variable(one)}: {self._annotation(of, name)}" for one, of in inner.items()
        ]
        values = ", ".join(f'"{one}": {_variable(one)}' for one in inner)
        arguments = [f"_{name.upper()}", *([f"{{{values}}}"] if inner else [])]
        camel = "".join(word.capitalize() for word in name.split("_"))
        body, keywords = self._body(name, described), list[str]()
        query = self._write(_query(name, asked), f"{camel}Query", is_sent=True) if asked else ""
        if body:
            sent = self._write(body["schema"], f"{camel}Body", is_sent=True)
            keywords = ["/", f"**body: Unpack[{sent}]"]
            arguments.append("body=body")
        if body and any(one.get("required") for one in asked.values()):
            positional.append(f"query: {query}")
            arguments.append("query=query")
        elif body and query:
            positional.append(f"query: {query} | None = None")
            arguments.append("query=query or {}")
        elif query:
            keywords = ["/", f"**query: Unpack[{query}]"]
            limit = asked.get("limit", {}).get("schema", {}).get("default")
            first = f'{{"limit": {limit}, **query}}' if limit else "query"
            arguments.append(f"query={first}")
        success = self._success(name, described)
        answer = self._answer(success, name, camel)
        is_paged = (
            answer.startswith("list[")
            and not body
            and "after" in asked
            and "Link" in success.get("headers", {})
        )
        call = f"self._client.{'page' if is_paged else 'call'}({', '.join(arguments)})"
        raises = [one for status, one in _RAISED.items() if status in described["responses"]]
        if body:
            refused = str(described["responses"].get("400", {}).get("$ref"))
            raises += ["AlreadyExistsError"] if "AlreadyExistsError" in refused else []
            raises += ["ValidationFailedError"] if "422" in described["responses"] else []
        says = _sentence(described.get("summary", name.replace("_", " ")))
        return OperationWords(
            name=name,
            constant=f"_{name.upper()}",
            method=method,
            path=path.removeprefix(PREFIX),
            answer="NoneType" if answer == "None" else answer,
            returns=f"ListPage{answer.removeprefix('list')}" if is_paged else answer,
            says=f"{says}; raises {' or '.join(sorted(raises))}." if raises else f"{says}.",
            raises=sorted(raises) if body else [],
            parameters=", ".join(["self", *positional, *keywords]),
            call=f"{'' if answer == 'None' else 'return '}await {call}",
        )

    def _body(self, name: str, described: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the body that an operation takes, in JSON; raises ScaffoldError where it needs more."""
        sent = self._resolve(described.get("requestBody", {}))
        body: Mapping[str, Any] = sent.get("content", {}).get("application/json", {})
        lost = [
            f"the {one['in']} {one['name']!r}"
            for one in map(self._resolve, described.get("parameters", ()))
            if one.get("required") and one["in"] not in ("path", "query")
        ]
        lost += ["a body that is no JSON"] if sent.get("required") and not body else []
        if lost:
            raise _refusal(f"{name} of {self.service} requires {lost[0]}, which no client sends")
        return body

    def _success(self, name: str, described: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what an operation answers where it succeeds; raises ScaffoldError for several forms."""
        found = {
            status: self._resolve(each)
            for status, each in sorted(described["responses"].items())
            if status.startswith("2")
        }
        found = {status: each for status, each in found.items() if each.get("content")} or found
        forms = [
            {word: said for word, said in self._data(each).items() if word != "description"}
            for each in found.values()
        ]
        if any(form != forms[0] for form in forms):
            raise _refusal(
                f"{name} of {self.service} answers different data with {' and '.join(found)}"
            )
        return next(iter(found.values()), {})

    def _data(self, success: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the schema of an answer's data."""
        body = success.get("content", {}).get("application/json", {}).get("schema", {})
        data: Mapping[str, Any] = self._resolve(body).get("properties", {}).get("data", {})
        return data

    def _fake(self, of: OperationWords) -> str:
        """Return what the fake does in place of an operation."""
        record = re.sub(r"^(?:list|ListPage)\[|\]$", "", of.returns)
        kept = f"self.{self.kept.get(record)}"
        fields = {name for one in self.records if one.name == record for name, _ in one.fields}
        inner = re.findall(r"\{([^}]*)\}", of.path)
        variable = _variable(inner[0]) if inner else ""
        base, _, action = of.path.replace(f"{{{inner[0]}}}" if inner else " ", "*").partition("/*")
        sends = "**body" in of.parameters
        change = "body" if sends else '{"is_active": False}' if "is_active" in fields else "{}"
        if sends and of.method == "PUT":  # where null leaves a field as it is
            change = "{name: value for name, value in body.items() if value is not None}"
        match of.method, action, len(inner):
            case _ if of.returns.startswith("ListPage"):
                done = f"return {kept}.page(query)"
            case _ if of.returns.startswith("list"):
                is_part = of.path.endswith("/active") and "is_active" in fields
                active = f"[one for one in {kept} if one.is_active]"
                done = f"return {active if is_part else f'[*{kept}]'}"
            case "DELETE", "", 1 if base in self._bases:
                done = f"self.{self.kept[self._bases[base]]}.delete({variable})"
            case _ if record == "None":
                done = f"self.calls.append(({', '.join([_literal(of.name), *map(_variable, inner)])},))"
            case "POST", _, 0 if sends:
                done = f"return {kept}.add(body)"
            case (("PUT" | "PATCH" | "POST"), ("" | "/deactivate"), 1):
                done = f"return {kept}.change({variable}, {change})"
            case _, _, 1 if inner[0] in fields:
                done = f"return {kept}.find({_literal(inner[0])}, {variable})"
            case _, _, 1:
                done = f"return {kept}.get({variable})"
            case _:
                done = f"return make({record})"
        return done

    def _answer(self, success: Mapping[str, Any], name: str, camel: str) -> str:
        """Return the annotation of what an operation answers; raises ScaffoldError for another form."""
        data = self._data(success)
        whole = self._resolve(data)
        items = self._resolve(whole.get("items", {}))
        if whole.get("type") == "null":
            return "None"
        if "properties" in whole:
            return self._write(data, f"{camel}Answer", is_sent=False)
        if whole.get("type") == "array" and "properties" in items:
            return f"list[{self._write(whole['items'], f'{camel}Item', is_sent=False)}]"
        raise _refusal(
            f"{name} of {self.service} answers neither a record nor a list of records in the fleet's "
            "envelope"
        )

    def _write(self, schema: Mapping[str, Any], fallback: str, *, is_sent: bool) -> str:
        """Write the class of an object, once, behind those that it needs; return its name."""
        component = schema.get("$ref", fallback).rpartition("/")[2]
        key = f"{component} {is_sent}"
        if key in self._names:
            return self._names[key]
        whole = self._resolve(schema)
        if "properties" not in whole:
            raise ScaffoldError(
                f"{self.service} takes a body that is no object of known fields ({component}): write "
                "its client by hand, and leave it out of the operations in fleet.toml."
            )
        name = self._names[key] = self._choose(component, is_sent=is_sent)
        required, fields = whole.get("required", ()), list[tuple[str, str]]()
        self._open.add(name)
        for one, of in whole["properties"].items():
            if not one.isidentifier() or keyword.iskeyword(one) or one.startswith("_"):
                if is_sent and one in required:
                    raise ScaffoldError(
                        f"{self.service} requires {one!r}, which no parameter can be called."
                    )
                continue
            annotation = self._annotation(of, f"{component}.{one}", is_sent=is_sent)
            if self._open & {*re.findall(r"\w+", annotation)}:
                annotation = f'"{annotation}"'  # the class is not there yet
            if one not in required and is_sent:
                annotation = f"NotRequired[{annotation}]"
            elif one not in required:
                annotation = f"{annotation.removesuffix(' | None')} | None = None"
            fields.append((one, annotation))
        self._open.discard(name)
        fields = _unhidden(fields)
        is_open = is_sent and all(one.startswith("NotRequired") for _, one in fields)
        if is_open:
            fields = [(one, of.removeprefix("NotRequired[")[:-1]) for one, of in fields]
        base = "TypedDict, total=False" if is_open else "TypedDict"
        written = TypedFields(name, base, _says(whole.get("description", ""), component), fields)
        (self.keywords if is_sent else self.records).append(written)
        return name

    def _choose(self, component: str, *, is_sent: bool) -> str:
        """Return a name that is not taken: `Product` of ProductResponseDTO, or the component's own."""
        own = re.sub(r"\W", "_", component)
        stem = own.removesuffix("DTO")
        short = stem.removesuffix("Response")
        if is_sent:
            for prefix, form in (("Create", "New{}"), ("Update", "{}Update"), ("Patch", "{}Patch")):
                if stem.startswith(prefix) and stem != prefix:
                    short = form.format(stem.removeprefix(prefix))
        taken = {*_TAKEN, *self._names.values(), *self.aliases, self.class_name}
        taken |= {f"HTTP{self.class_name}", f"Fake{self.class_name}"}
        names = [short, own, *(f"{own}{number}" for number in range(2, len(taken) + 3))]
        return next(one for one in names if one not in taken and one.isidentifier())

    def _annotation(self, schema: Mapping[str, Any], place: str, *, is_sent: bool = False) -> str:
        """Return what a value is in Python, `None` last."""
        whole = self._resolve(schema)
        kinds = whole.get("type", "object")
        options = whole.get("anyOf") or whole.get("oneOf")
        if not options and isinstance(kinds, list):
            options = [{**whole, "type": one} for one in kinds]
        words = whole.get("enum", [whole["const"]] if "const" in whole else [])
        if words:
            found = self._alias(schema, f"Literal[{', '.join(map(_literal, words))}]")
        elif options:
            every = dict.fromkeys(self._annotation(one, place, is_sent=is_sent) for one in options)
            if "Decimal" in every:
                every.pop("float", None)  # which is taken too
            ordered = sorted(every, key=lambda one: one == "None")
            found = "object" if "object" in every else " | ".join(ordered)
        elif kinds == "array":
            items = self._annotation(whole.get("items", {}), place, is_sent=is_sent)
            found = f"Sequence[{items}]" if is_sent else f"tuple[{items}, ...]"
        elif "properties" in whole:
            found = self._write(schema, place.replace(".", "_"), is_sent=is_sent)
        elif kinds == "string":
            found = _FORMATS.get(whole.get("format", ""), "str")
        else:
            found = _TYPES.get(kinds, "object")
        return found

    def _alias(self, schema: Mapping[str, Any], words: str) -> str:
        """Return the name of an enumeration that is a component, else its words."""
        if "$ref" not in schema:
            return words
        component = schema["$ref"].rpartition("/")[2]
        name = self._names.get(component) or self._choose(component, is_sent=False)
        self._names[component], self.aliases[name] = name, words
        return name

    def _resolve(self, found: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what a reference stands for."""
        while "$ref" in found:
            *_, kind, name = found["$ref"].split("/")
            found = self.document["components"][kind][name]
        return found


def _refusal(reason: str) -> ScaffoldError:
    """Return the error of an operation for which no client is generated."""
    return ScaffoldError(f"{reason}: write its client by hand, and leave it out of fleet.toml.")


def _query(name: str, asked: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the schema of an operation's query parameters."""
    return {
        "properties": {one: _in_query(one, each["schema"]) for one, each in asked.items()},
        "required": [one for one, each in asked.items() if each.get("required")],
        "description": f"What {name} can be asked for.",
    }


def _in_query(name: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of a parameter as Python has its values: of a cursor, and of null."""
    if name == "after":
        return {"type": ["string", "null"]}
    options = schema.get("items", {}).get("anyOf", ())
    null = [{"type": "null"} if one.get("const") == "null" else one for one in options]
    return {**schema, "items": {"anyOf": null}} if null else schema


def _unhidden(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return fields whose annotations mean what they say beside a field that is called `object`."""
    hidden = {"object", "tuple", *_TYPES.values()} & {name for name, _ in fields}
    builtin = re.compile(rf'(?<!["\w])({"|".join(hidden) or "(?!)"})(?!["\w])')
    return [(name, builtin.sub(r"builtins.\1", annotation)) for name, annotation in fields]


def _variable(name: str) -> str:
    """Return the parameter of a method for a part of a path."""
    name = re.sub(r"\W", "_", name)
    return f"{name}_" if keyword.iskeyword(name) or name in ("self", "body", "query") else name


def _literal(word: object) -> str:
    return json.dumps(word, ensure_ascii=False) if isinstance(word, str) else repr(word)


def _sentence(text: str) -> str:
    """Return a text as a docstring can begin with it, without its full stop."""
    return " ".join(text.split()).replace("\\", "").replace('"', "'").rstrip(".")


def _says(description: str, component: str) -> str:
    """Return the docstring of a class, from what the document says of a DTO."""
    first = _sentence(description).partition(";")[0]
    first = re.sub(r",? in (an answer|a body)$", "", first).replace("The body that ", "What ")
    return f"{first or component}."
