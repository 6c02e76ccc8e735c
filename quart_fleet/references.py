"""References to what another service keeps, of which no foreign key knows."""

from collections.abc import Mapping, Set
from typing import Protocol

from quart_fleet.errors import ValidationFailedError


class Directory(Protocol):
    """Knows which records another service keeps."""

    async def missing(self, ids: Set[int]) -> Set[int]:
        """Return those of the ids that no record has; asked once for all ids of a request."""
        ...


async def ensure_known(directory: Directory, ids: Mapping[str, int | None]) -> None:
    """Raise ValidationFailedError, which names each key whose id is of nothing.

    Called before a transaction opens, which would else wait for the other service.

    Args:
        directory: of the other service.
        ids: by their keys in JSON, as `buyer_id`; None is no id.
    """
    given = {each for each in ids.values() if each is not None}
    missing = await directory.missing(given) if given else set[int]()
    errors = {
        key: f"No such {key.rpartition('.')[2].removesuffix('_id').replace('_', ' ')}"
        for key, each in ids.items()
        if each in missing
    }
    if errors:
        raise ValidationFailedError(errors)
