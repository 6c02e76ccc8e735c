"""How a controller reaches what the bootstrap module has made."""

from typing import Any, Generic, TypeVar, get_args

from quart import Quart, current_app

T = TypeVar("T")

_EXTENSION = "quart_fleet.web.dependencies"


class Dependency(Generic[T]):
    """One object that each application has its own of; declared once, beside the blueprint.

        use_cases = Dependency[ProductUseCases]()          # controllers.py
        use_cases.bind(app, ProductUseCases(...))          # bootstrap.py
        found = await use_cases().list_page(after, limit)  # in a request

    The declaration holds no state: applications of one process share nothing through it.
    """

    def bind(self, app: Quart, value: T) -> None:
        """Make `value` what this dependency is in `app`; a second call replaces it, as in a test."""
        app.extensions.setdefault(_EXTENSION, {})[self] = value

    def __call__(self) -> T:
        """Return what is bound in the application of the current request.

        Raises RuntimeError where nothing is bound, or outside of an application's context.
        """
        try:
            value: T = current_app.extensions[_EXTENSION][self]
        except KeyError:
            raise RuntimeError(
                f"{self} is not bound in the application {current_app.name!r}:"
                " call its bind(app, value) in bootstrap.py, after build_app"
            ) from None
        return value

    def __repr__(self) -> str:
        declared: Any = getattr(self, "__orig_class__", None)  # set by typing, not promised
        names = [getattr(kind, "__name__", str(kind)) for kind in get_args(declared)]
        return f"Dependency[{', '.join(names)}]" if names else "Dependency"
