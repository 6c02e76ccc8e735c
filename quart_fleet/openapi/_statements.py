"""What the statements of a controller answer: their statuses and messages, as its source has them."""

import ast
import inspect
import linecache
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from textwrap import dedent
from types import CodeType, FunctionType, MappingProxyType, MethodType, ModuleType, NoneType
from typing import Any, Never, NoReturn, get_args, get_origin

import quart
from pydantic import BaseModel
from quart import Response, jsonify, make_response
from werkzeug import exceptions
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


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_INNER = (*_FUNCTIONS, ast.Lambda, ast.ClassDef)
"""What has statements of its own inside of a controller."""
_PLAIN = {
    ast.Dict: "a dict",
    ast.DictComp: "a dict",
    ast.Tuple: "a tuple",
    ast.List: "a list",
    ast.ListComp: "a list",
    ast.Constant: "a constant",
    ast.JoinedStr: "a text",
}
"""What is seen to be no answer of an envelope, nor a DTO."""
_DATA = ("data", "found", "page", "chunks")
"""What the first parameters of an envelope's methods are called."""
_WITHOUT_BODY = (204, 304)
"""Statuses of answers that have no envelope."""


Values = Mapping[str, Sequence[ast.expr]]
"""What the names of a function are assigned."""


@dataclass(frozen=True, slots=True)
class Statements:
    """What a controller answers by its own statements, and by functions whose answers it returns."""

    answers: tuple[Statement, ...] = ()
    raised: tuple[type[ServiceError], ...] = ()
    """The errors that it raises itself."""
    unseen: str | None = None
    """What the source does not show, as `the status of APIResponse.success(...)`."""


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


def scope_of(handler: Callable[..., Any], tree: ast.AST) -> dict[str, Any]:
    """Return what the names of a controller stand for, without those that it assigns itself."""
    code = handler.__code__
    cells = zip(code.co_freevars, handler.__closure__ or (), strict=True)
    own = {*code.co_varnames, *code.co_cellvars}
    found = {name: each for name, each in handler.__globals__.items() if name not in own}
    for name, cell in cells:
        with suppress(ValueError):  # an empty cell
            found[name] = cell.cell_contents
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for one in names:
                    name = one.asname or one.name.partition(".")[0]
                    found[name] = sys.modules.get(one.name if one.asname else name)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                for one in names:
                    found[one.asname or one.name] = getattr(sys.modules.get(module), one.name, None)
    return found


def find_mismatch(handler: Callable[..., Any]) -> str | None:
    """Return what a controller is seen to answer in place of what it declares; None mostly.

    Data of a use case have the type that its method is annotated with.
    """
    tree, declared = parse_source(handler), annotations_of(handler).get("return")
    if tree is None or get_origin(declared) is not Answer:
        return None
    scope = scope_of(handler, tree)
    # Of a name that is assigned several times, the type may be known where it is used.
    values = {name: found for name, found in values_in(tree).items() if len(found) == 1}
    returned = [node.value for node in nodes_of(tree, _INNER) if isinstance(node, ast.Return)]
    if not returned and not any(ends_otherwise(node, scope) for node in nodes_of(tree, _INNER)):
        return "it answers nothing"
    for value in returned:
        for answer in expressions_of(value or ast.Constant(None), values):
            if found := differing_answer(answer, scope):
                return f"it answers {found}"
    [kind] = get_args(declared)
    differing = (
        differing_data(data, method, kind, scope, values)
        for method, given in data_of(tree, scope)
        for data in expressions_of(given, values)
    )
    other = next(filter(None, differing), None)
    return f"its data are {other}" if other else None


def ends_otherwise(node: ast.AST, scope: Mapping[str, Any]) -> bool:
    """Whether a controller ends here without a return."""
    if isinstance(node, ast.Call):
        function = constant_of(node.func, scope)
        is_final = isinstance(function, FunctionType) and annotations_of(function).get(
            "return"
        ) in (Never, NoReturn)
        return is_final or is_abort(node.func, scope)
    return isinstance(node, ast.Raise)


def is_abort(function: ast.expr, scope: Mapping[str, Any]) -> bool:
    """Whether a function is `abort`: Quart's by whatever name, or one that is called so."""
    found = constant_of(function, scope)
    is_named = isinstance(function, ast.Name) and function.id == "abort"
    return is_named or found is quart.abort or found is exceptions.abort


def differing_answer(answer: ast.expr, scope: Mapping[str, Any]) -> str | None:
    """Return what is answered where it is seen to be no answer of an envelope."""
    if type(answer) in _PLAIN:
        return _PLAIN[type(answer)]
    made = constant_of(answer.func, scope) if isinstance(answer, ast.Call) else None
    is_response = is_whole_response(answer, scope) or made is jsonify
    is_bare = is_response and has_no_body(answer, scope)
    return f"{shortened(answer)} without the envelope" if is_response and not is_bare else None


def is_whole_response(answer: ast.expr, scope: Mapping[str, Any]) -> bool:
    """Whether an answer is a response of Quart's that is made by hand."""
    made = constant_of(answer.func, scope) if isinstance(answer, ast.Call) else None
    return isinstance(made, type) and issubclass(made, Response)


def has_no_body(answer: ast.expr, scope: Mapping[str, Any]) -> bool:
    """Whether a response that is made by hand has a status of which no body is sent."""
    if not isinstance(answer, ast.Call):
        return False
    given = [*answer.args[1:2], *(one.value for one in answer.keywords if one.arg == "status")]
    return any(constant_of(one, scope) in _WITHOUT_BODY for one in given)


def values_in(tree: ast.AST) -> Values:
    """Return what each name of a function is assigned; of one that is set in another way too, itself."""
    found, times = defaultdict[str, list[ast.expr]](list), Counter[str]()
    if isinstance(tree, _FUNCTIONS):
        times.update(each.arg for each in ast.walk(tree.args) if isinstance(each, ast.arg))
    for node in nodes_of(tree, _INNER):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                | ast.NamedExpr(target=ast.Name(id=name), value=value)
            ):
                found[name].append(value)
            case ast.AnnAssign(target=ast.Name(id=name)):
                times[name] -= 1  # an annotation alone sets nothing
            case ast.Name(id=name, ctx=ast.Store()):
                times[name] += 1
    return {
        name: found[name] if len(found[name]) == count else [ast.Name(name)]
        for name, count in times.items()
    }


def expressions_of(node: ast.expr, values: Values) -> Iterator[ast.expr]:
    """Yield what an expression stands for: what its name is assigned, both sides of a condition."""
    match node:
        case ast.Await(value=value):
            yield from expressions_of(value, values)
        case ast.IfExp(body=one, orelse=other):
            yield from expressions_of(one, values)
            yield from expressions_of(other, values)
        case ast.Name(id=name) if name in values:
            others = {each: found for each, found in values.items() if each != name}
            for value in values[name]:
                yield from expressions_of(value, others)
        case _:
            yield node


def shortened(node: ast.expr) -> str:
    """Return the text of an expression, of a call without its arguments."""
    return f"{ast.unparse(node.func)}(...)" if isinstance(node, ast.Call) else ast.unparse(node)


def find_envelope(function: ast.expr, scope: Mapping[str, Any]) -> type[Envelope] | None:
    """Return the envelope of which a method is called."""
    owner = constant_of(function.value, scope) if isinstance(function, ast.Attribute) else None
    return owner if isinstance(owner, type) and issubclass(owner, Envelope) else None


def data_of(tree: ast.AST, scope: Mapping[str, Any]) -> Iterator[tuple[str, ast.expr]]:
    """Yield the methods of envelopes that are called, each with its data."""
    for node in nodes_of(tree, _INNER):
        match node:
            case ast.Call(func=ast.Attribute(attr=name) as function):
                given = [*node.args, *(one.value for one in node.keywords if one.arg in _DATA)]
                if given and find_envelope(function, scope):
                    yield name, given[0]


def differing_data(
    data: ast.expr, method: str, declared: Any, scope: Mapping[str, Any], values: Values
) -> str | None:
    """Return the type of an answer's data where it is seen to be another than the declared one."""
    if method not in ("success", "page", "listing", "stream"):
        return None
    match data:
        case ast.Call(func=ast.Attribute(value=owner, attr=attribute)):
            for one in expressions_of(owner, values):
                if isinstance(one, ast.Call) and isinstance(one.func, ast.Name):
                    return differing_result(scope.get(one.func.id), attribute, method, declared)
    return differing_literal(data, declared, scope, values)


def differing_literal(
    data: ast.expr, declared: Any, scope: Mapping[str, Any], values: Values
) -> str | None:
    """Return what a literal or a new record is, or an item of a list, where it is seen to differ."""
    base = declared if isinstance(declared, type) and issubclass(declared, BaseModel) else None
    is_list = get_origin(declared) is list
    if is_list and isinstance(data, ast.List | ast.Tuple | ast.ListComp):
        [item] = get_args(declared)
        items = [data.elt] if isinstance(data, ast.ListComp) else data.elts
        every = (one for each in items for one in expressions_of(each, values))
        differing = (differing_literal(one, item, scope, values) for one in every)
        found = next(filter(None, differing), None)
        return f"a list with {found}" if found else None
    is_null = isinstance(data, ast.Constant) and data.value is None
    if not (base or is_list or declared is NoneType) or (is_null and declared is NoneType):
        return None
    made = constant_of(data.func, scope) if isinstance(data, ast.Call) else None
    is_other = isinstance(made, type) and (
        not issubclass(made, base) if base else issubclass(made, BaseModel)
    )
    return inspect.formatannotation(made) if is_other else _PLAIN.get(type(data))


def differing_result(dependency: object, attribute: str, method: str, declared: Any) -> str | None:
    """Return what the method of a use case answers where it is another type than the declared one."""
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
    classes = (found, declared)
    is_derived = all(isinstance(each, type) for each in classes) and issubclass(*classes)
    return None if found in (declared, Any) or is_derived else inspect.formatannotation(found)


def statements_of(
    handler: Callable[..., Any],
    known: Mapping[str, Any] = MappingProxyType({}),
    met: frozenset[CodeType] = frozenset(),
) -> Statements:
    """Read the source of a controller, and of each function whose answer it returns.

    Args:
        handler: the controller, or the function.
        known: what else its names stand for, as `cls` of a method.
        met: what is being read already.
    """
    tree = parse_source(handler)
    if tree is None:
        return Statements(unseen="anything")
    reader = _Reader(tree, {**scope_of(handler, tree), **known}, met | {handler.__code__})
    reader.read_returns(tree)
    reader.follow(handler.__globals__)
    answers, raised = dict.fromkeys(reader.answers), dict.fromkeys(reader.raised)
    return Statements(tuple(answers), tuple(raised), next(iter(reader.unseen), None))


class _Reader:
    """What the source of one function answers, raises and does not show."""

    def __init__(self, tree: ast.AST, scope: Mapping[str, Any], met: frozenset[CodeType]) -> None:
        self._scope, self._met, self._values = scope, met, values_in(tree)
        self._caught = {node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)}
        self._tried = {
            node
            for tried in ast.walk(tree)
            if isinstance(tried, ast.Try) and tried.handlers
            for statement in tried.body
            for node in ast.walk(statement)
        }
        self.answers: list[Statement] = []
        self.raised: list[type[ServiceError]] = []
        self.called: list[FunctionType] = []
        self.unseen: list[str] = []
        for node in nodes_of(tree):
            self.read(node)

    def read(self, node: ast.AST) -> None:
        """Note what a statement answers, raises or calls."""
        match node:
            case ast.Raise(exc=ast.expr() as raised):
                for error in expressions_of(raised, self._values):
                    self.read_error(error)
            case ast.Attribute(attr="status" | "status_code", value=owner, ctx=ast.Store()):
                if any(map(self.makes_answer, expressions_of(owner, self._values))):
                    self.unseen.append(f"the status of {shortened(owner)}")
            case ast.Call(func=function, args=args) if is_abort(function, self._scope):
                given = {one.arg: one.value for one in node.keywords}
                code, said = [*args, None, None][:2]
                code = code or given.get("code", given.get("status"))
                self.add(node, "abort", code, said or given.get("description"))
            case ast.Call(func=ast.Attribute(attr=name) as function) if envelope := find_envelope(
                function, self._scope
            ):
                self.read_call(node, getattr(envelope, name, None), name)
            case ast.Call(func=function) if node not in self._tried:  # else it may be caught
                found = constant_of(function, self._scope)
                self.called += [found] if isinstance(found, FunctionType) else []

    def read_error(self, error: ast.expr) -> None:
        """Note what is raised; what has been caught is raised again as by a bare `raise`."""
        found = constant_of(error.func if isinstance(error, ast.Call) else error, self._scope)
        if isinstance(found, FunctionType):
            found = annotations_of(found).get("return")
        kind = found if isinstance(found, type) else type(found)
        if issubclass(kind, ServiceError):
            self.raised.append(kind)
        elif issubclass(kind, HTTPException) and kind.code:
            self.answers.append(Statement("abort", kind.code, None))
        elif not (issubclass(kind, BaseException) or self.is_caught(error)):
            self.unseen.append(f"what {shortened(error)} is, which is raised")

    def is_caught(self, error: ast.expr) -> bool:
        """Whether a name is that of a caught error, or None, which nothing raises."""
        is_none = isinstance(error, ast.Constant) and error.value is None
        return is_none or (isinstance(error, ast.Name) and error.id in self._caught)

    def makes_answer(self, answer: ast.expr) -> bool:
        """Whether an expression makes an answer."""
        if not isinstance(answer, ast.Call):
            return False
        made = constant_of(answer.func, self._scope)
        is_declared = (
            isinstance(made, FunctionType)
            and get_origin(annotations_of(made).get("return")) is Answer
        )
        is_made = made is make_response or is_whole_response(answer, self._scope)
        return is_made or is_declared or find_envelope(answer.func, self._scope) is not None

    def read_returns(self, tree: ast.AST) -> None:
        """Note what the answers are that are returned."""
        inner = {node.name for node in ast.walk(tree) if isinstance(node, _FUNCTIONS)}
        for node in nodes_of(tree, _INNER):
            if isinstance(node, ast.Return) and node.value:
                for answer in expressions_of(node.value, self._values):
                    self.read_answer(answer, inner)

    def follow(self, module: Mapping[str, Any]) -> None:
        """Take over what functions of the same module raise that are called, and those that these call."""
        ahead, met = [*self.called], {*self._met}
        while ahead:
            function = ahead.pop()
            tree = None
            if function.__globals__ is module and function.__code__ not in met:
                met.add(function.__code__)
                tree = parse_source(function)
            if tree:
                found = _Reader(tree, scope_of(function, tree), self._met)
                self.answers += [one for one in found.answers if one.method == "abort"]
                self.raised += found.raised
                ahead += found.called

    def read_call(self, call: ast.Call, method: object, name: str) -> None:
        """Read the arguments of an envelope's method, with its defaults."""
        parameters = inspect.signature(method).parameters if callable(method) else {}
        if "status" not in parameters and not hasattr(Envelope, name):
            self.read_function(call)  # of an owner's own
            return
        given: dict[str, Any] = {each: one.default for each, one in parameters.items()}
        given.setdefault("status", _STATUSES.get(name, 200))
        given |= dict(zip(parameters, call.args, strict=False))
        given |= {one.arg: one.value for one in call.keywords if one.arg}
        if any(isinstance(one, ast.Starred) for one in call.args) or None in {
            one.arg for one in call.keywords
        }:
            given["status"] = None
        self.add(call, name, given["status"], given.get("message"))

    def add(self, call: ast.Call, method: str, status: object, message: object) -> None:
        """Note a statement, once for each status that it may have; both are expressions or values."""
        said = constant_of(message, self._scope) if isinstance(message, ast.expr) else message
        found = [status]
        if isinstance(status, ast.expr):
            found = [constant_of(one, self._scope) for one in expressions_of(status, self._values)]
        for one in found:
            if isinstance(one, int):
                text = said if isinstance(said, str) else None
                self.answers.append(Statement(method, int(one), text))
            else:
                self.unseen.append(f"the status of {shortened(call)}")

    def read_answer(self, answer: ast.expr, inner: set[str]) -> None:
        """Read what makes an answer, but for what is read by its statements: envelopes, inner functions."""
        function = answer.func if isinstance(answer, ast.Call) else answer
        if isinstance(answer, ast.Call) and constant_of(function, self._scope) is make_response:
            for one in (
                each for given in answer.args for each in expressions_of(given, self._values)
            ):
                self.read_answer(one, inner)
            return
        if has_no_body(answer, self._scope) and is_whole_response(answer, self._scope):
            return
        is_inner = isinstance(function, ast.Name) and function.id in inner
        is_read = is_inner or is_abort(function, self._scope)
        if not is_read and not find_envelope(function, self._scope):
            self.read_function(answer)

    def read_function(self, answer: ast.expr) -> None:
        """Take over what the function answers and raises of which an answer is a call."""
        function = constant_of(answer.func, self._scope) if isinstance(answer, ast.Call) else None
        if not isinstance(function, FunctionType | MethodType):
            self.unseen.append(f"what {shortened(answer)} answers")
        elif function.__code__ not in self._met:
            known = {}
            if isinstance(function, MethodType):
                known = {function.__code__.co_varnames[0]: function.__self__}
            found = statements_of(function, known, self._met)
            self.answers += found.answers
            self.raised += found.raised
            self.unseen += [found.unseen] if found.unseen else []


def nodes_of(tree: ast.AST, leaving_out: tuple[type[ast.AST], ...] = ()) -> Iterator[ast.AST]:
    """Yield the nodes in the order of their lines, without what is below those of some types."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not isinstance(child, leaving_out):
            yield from nodes_of(child, leaving_out)


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
