"""How a controller gets what the composition root has made."""

from collections.abc import Iterable
from typing import TypeVar

from quart import Quart, current_app

ProvidedT = TypeVar("ProvidedT")

_KEY = "quart_fleet.web._provision"


def provide(app: Quart, objects: Iterable[object]) -> None:
    """Keep one object of each type for the controllers of `app`; raises ValueError at two."""
    kept = app.extensions.setdefault(_KEY, {})
    for each in objects:
        if type(each) in kept:
            raise ValueError(f"two objects of one type are provided: {type(each).__name__}")
        kept[type(each)] = each


def provided(kind: type[ProvidedT]) -> ProvidedT:
    """Return the object of this type that the running application was given."""
    found: ProvidedT = current_app.extensions[_KEY][kind]
    return found
