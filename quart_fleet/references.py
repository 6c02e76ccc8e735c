"""References to what another service keeps, of which no foreign key knows."""

from collections.abc import Mapping, Set
from typing import Protocol

from quart_fleet.errors import ValidationFailedError, no_such


class Directory(Protocol):
    """Knows which records another service keeps."""

    async def missing(self, ids: Set[int]) -> Set[int]:
        """Return those of the ids that no record has; asked once for all ids of a request."""
        ...


async def ensure_known(*asked: tuple[Directory, Mapping[str, int | None]]) -> None:
    """Raise ValidationFailedError, which names each key whose id is of nothing.

    Called before a transaction opens, which would else wait for the other services.

    Args:
        *asked: the directory of each other service, and ids by their keys in JSON, as `buyer_id`;
            None is no id.
    """
    errors = dict[str, str]()
    for directory, ids in asked:
        given = {each for each in ids.values() if each is not None}
        missing = await directory.missing(given) if given else set[int]()
        errors |= {key: no_such(key) for key, each in ids.items() if each in missing}
    if errors:
        raise ValidationFailedError(errors)
