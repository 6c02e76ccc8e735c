"""Which paths a service answers, read from its controllers without importing them."""

import ast
from pathlib import Path

from quart_fleet.conventions import PREFIX
from scaffold.errors import ScaffoldError

_METHODS = frozenset({"get", "post", "put", "patch", "delete", "route", "websocket"})


def read_paths(service: Path) -> list[str]:
    """Return the first segments below the API's prefix, as in `/api/v1/users`, sorted."""
    modules = sorted((service / "infrastructure" / "web").rglob("*.py"))
    rules = [rule for module in modules for rule in _rules(module)]
    segments = {rule.strip("/").split("/")[0] for rule in rules}
    return [f"{PREFIX}/{each}" for each in sorted(segments) if each and not each.startswith("<")]


def _rules(module: Path) -> list[str]:
    """Return what the decorators of blueprints say: `@bp.get("/users")`."""
    try:
        tree = ast.parse(module.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise ScaffoldError(f"{module} is no Python that can be read ({error}).") from None
    return [
        str(call.args[0].value)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for call in function.decorator_list
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in _METHODS
        and call.args
        and isinstance(call.args[0], ast.Constant)
    ]
