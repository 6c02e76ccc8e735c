"""What the statements of a controller answer: their statuses and messages, as its source has them."""

import ast
import inspect
import linecache
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from textwrap import dedent
from types import ModuleType
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from werkzeug.exceptions import HTTPException

from quart_fleet.errors import ServiceError
from quart_fleet.web import Answer, Dependency, Envelope
from quart_fleet.web._parsing import annotations_of

_STATUSES = {"not_found": 404, "unauthorized": 401, "forbidden": 403, "validation_error": 422}
"""Of the methods of an envelope that have no parameter for it."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A call such as `APIResponse.success(created, "User created successfully", 201)`."""

    method: str
    """The envelope's, or `abort`."""
    status: int
    message: str | None
    """None where it is no constant."""


_INNER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
"""What has statements of its own inside of a controller."""
_PLAIN = {
    ast.Dict: "a dict",
    ast.Tuple: "a tuple",
    ast.List: "a list",
    ast.Constant: "a constant",
    ast.JoinedStr: "a text",
}
"""What is seen to be no answer of an envelope, nor a DTO."""


@dataclass(frozen=True, slots=True)
class Statements:
    """What a controller answers by its own statements."""

    answers: tuple[Statement, ...] = ()
    raised: tuple[type[ServiceError], ...] = ()
    """The errors that it raises itself."""


def parse_source(handler: Callable[..., Any]) -> ast.stmt | None:
    """Return the tree of a controller's source; None without one, as of a program's own making."""
    code = getattr(handler, "__code__", None)  # its own, where it is a decorator's
    if code is None:
        return None
    # As inspect.getsource does, which looks through all modules for the one of each function.
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename, getattr(handler, "__globals__", None))
    lines = lines[code.co_firstlineno - 1 :]
    try:
        return ast.parse(dedent("".join(inspect.getblock(lines)))).body[0] if lines else None
    except (SyntaxError, IndexError):
        return None


def scope_of(handler: Callable[..., Any]) -> dict[str, Any]:
    """Return what the names of a controller stand for."""
    cells = zip(handler.__code__.co_freevars, handler.__closure__ or (), strict=True)
    found = dict(handler.__globals__)
    for name, cell in cells:
        with suppress(ValueError):  # an empty cell
            found[name] = cell.cell_contents
    return found


def find_mismatch(handler: Callable[..., Any]) -> str | None:
    """Return what a controller is seen to answer in place of what it declares; None mostly.

    Data of a use case have the type that its method is annotated with.
    """
    tree, declared = parse_source(handler), annotations_of(handler).get("return")
    if tree is None or get_origin(declared) is not Answer:
        return None
    for node in nodes_of(tree, _INNER):
        if isinstance(node, ast.Return):
            answer = node.value.value if isinstance(node.value, ast.Await) else node.value
            if type(answer) in _PLAIN:
                return f"it answers {_PLAIN[type(answer)]}"
    [kind] = get_args(declared)
    differing = (
        differing_data(data, method, kind, scope_of(handler))
        for method, data in data_of(tree, scope_of(handler))
    )
    found = next(filter(None, differing), None)
    return f"its data are {found}" if found else None


def data_of(tree: ast.AST, scope: Mapping[str, Any]) -> Iterator[tuple[str, ast.expr]]:
    """Yield the methods of envelopes that are called, each with its data as they were assigned."""
    values: dict[str, list[ast.expr]] = {}
    for node in nodes_of(tree, _INNER):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            values.setdefault(node.targets[0].id, []).append(node.value)
    for node in nodes_of(tree, _INNER):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            envelope = constant_of(node.func.value, scope)
            if isinstance(envelope, type) and issubclass(envelope, Envelope):
                data = node.args[0]
                assigned = values.get(data.id, ()) if isinstance(data, ast.Name) else ()
                yield node.func.attr, assigned[0] if len(assigned) == 1 else data


def differing_data(
    data: ast.expr, method: str, declared: Any, scope: Mapping[str, Any]
) -> str | None:
    """Return the type of an answer's data where it is seen to be another than the declared one."""
    if method not in ("success", "page", "listing", "stream"):
        return None
    is_model = isinstance(declared, type) and issubclass(declared, BaseModel)
    if is_model and type(data) in _PLAIN:
        return _PLAIN[type(data)]
    call = data.value if isinstance(data, ast.Await) else data
    match call:
        case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id=name)), attr=attribute)):
            dependency = scope.get(name)
        case _:
            return None
    if not isinstance(dependency, Dependency):
        return None
    owner = get_args(getattr(dependency, "__orig_class__", None))
    if not (owner and hasattr(owner[0], attribute)):
        return None
    found = annotations_of(getattr(owner[0], attribute)).get("return", declared)
    if method in ("listing", "stream") and get_args(found):
        [item] = get_args(found)
        found = item if method == "stream" else list[item]  # type: ignore[valid-type]
    found = type(None) if found is None else found
    is_derived = is_model and isinstance(found, type) and issubclass(found, declared)
    return (
        None if found == declared or found is Any or is_derived else inspect.formatannotation(found)
    )


def statements_of(handler: Callable[..., Any]) -> Statements:
    """Read a controller's source; without one nothing is known."""
    tree = parse_source(handler)
    if tree is None:
        return Statements()
    scope = scope_of(handler)
    answers: list[Statement] = []
    raised: list[type[ServiceError]] = []
    for node in nodes_of(tree):
        match node:
            case ast.Raise(
                exc=ast.Call(func=function) | (ast.Name() | ast.Attribute() as function)
            ):
                kind = constant_of(function, scope)
                if isinstance(kind, type) and issubclass(kind, ServiceError):
                    raised.append(kind)
                elif isinstance(kind, type) and issubclass(kind, HTTPException) and kind.code:
                    answers.append(Statement("abort", kind.code, None))
            case ast.Call(func=ast.Name(id="abort"), args=[code, *said]):
                status = constant_of(code, scope)
                if isinstance(status, int):
                    message = constant_of(said[0], scope) if said else None
                    text = message if isinstance(message, str) else None
                    answers.append(Statement("abort", int(status), text))
            case ast.Call(func=ast.Attribute(value=owner, attr=name)):
                envelope = constant_of(owner, scope)
                if isinstance(envelope, type) and issubclass(envelope, Envelope):
                    answers.append(read_call(node, getattr(envelope, name, None), name, scope))
    return Statements(tuple(answers), tuple(raised))


def nodes_of(tree: ast.AST, leaving_out: tuple[type[ast.AST], ...] = ()) -> Iterator[ast.AST]:
    """Yield the nodes in the order of their lines, without what is below those of some types."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not isinstance(child, leaving_out):
            yield from nodes_of(child, leaving_out)


def read_call(call: ast.Call, method: object, name: str, scope: Mapping[str, Any]) -> Statement:
    """Read the arguments of an envelope's method, with its defaults."""
    found: dict[str, Any] = {}
    if callable(method):
        parameters = inspect.signature(method).parameters
        found = {each: one.default for each, one in parameters.items()}
        given = dict(zip(parameters, call.args, strict=False))
        given |= {one.arg: one.value for one in call.keywords if one.arg}
        found |= {each: constant_of(node, scope) for each, node in given.items()}
    status, message = found.get("status"), found.get("message")
    return Statement(
        name,
        int(status) if isinstance(status, int) else _STATUSES.get(name, 200),
        message if isinstance(message, str) else None,
    )


def constant_of(node: ast.expr, scope: Mapping[str, Any]) -> object:
    """Return what a constant, a name or an attribute of a class or module stands for; None otherwise."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return scope.get(name)
        case ast.Attribute(value=owner, attr=name):
            found = constant_of(owner, scope)
            # Of a request or of another object it would be asked while no request is there.
            is_constant = issubclass(type(found), type | ModuleType | Enum)
            return getattr(found, name, None) if is_constant else None
    return None
