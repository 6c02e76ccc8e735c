"""What the statements of a controller answer: their statuses and messages, as its source has them."""

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

from werkzeug.exceptions import HTTPException

from quart_fleet.errors import ServiceError
from quart_fleet.web import Envelope

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


@dataclass(frozen=True, slots=True)
class Statements:
    """What a controller answers by its own statements."""

    answers: tuple[Statement, ...] = ()
    raised: tuple[type[ServiceError], ...] = ()
    """The errors that it raises itself."""


def statements_of(handler: Callable[..., Any]) -> Statements:
    """Read a controller's source; without one, as of a program's own making, nothing is known."""
    try:
        tree = ast.parse(dedent(inspect.getsource(handler)))
    except (OSError, TypeError, SyntaxError):
        return Statements()
    scope = {**handler.__globals__, **inspect.getclosurevars(handler).nonlocals}
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


def nodes_of(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes in the order of their lines."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        yield from nodes_of(child)


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
    """Return what a constant, a name or an attribute stands for; None for what is none of them."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return scope.get(name)
        case ast.Attribute(value=owner, attr=name):
            return getattr(constant_of(owner, scope), name, None)
    return None
