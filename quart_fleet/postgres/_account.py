"""The user that PostgreSQL runs as, because it refuses to run as root."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from quart_fleet.postgres._errors import EmbeddedPostgresError

# Present on practically every system; the first is made for it.
_ORDINARY = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """A user, and whether its processes must be started by changing to it."""

    uid: int
    gid: int
    borrowed: bool

    @classmethod
    def for_data(cls, data: Path) -> Self:
        """Ourselves; as root, whoever owns the data, or will."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), borrowed=False)
        if data.exists() and data.stat().st_uid != 0:
            return cls(data.stat().st_uid, data.stat().st_gid, borrowed=True)
        entry = _get_ordinary()
        return cls(entry.pw_uid, entry.pw_gid, borrowed=True)


def _get_ordinary() -> pwd.struct_passwd:
    for name in _ORDINARY:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid > 0:
            return entry
    raise EmbeddedPostgresError(
        "PostgreSQL does not run as root, and this system has neither a user postgres nor nobody.\n"
        "Run as an ordinary user, or set DATABASE_URL."
    )
