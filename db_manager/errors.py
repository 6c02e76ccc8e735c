"""What the database manager refuses or cannot do, said in one or two lines.

ManagerError (a ServiceError of quart_fleet.errors)
├── UnreachableError       no connection; worth another try while a server starts
├── LoginRefusedError      a service's role may only come with the first migration
└── RevisionFailedError    a revision's statements were refused
    └── LockedError        for a lock that others hold; worth another try
"""

from pathlib import Path

from quart_fleet.errors import ServiceError

ACCEPT = "A comment accepts it: # accept RULE: REASON"
"""What may be done about a finding of lint."""


class ManagerError(ServiceError):
    """The root: its message says what was wrong, where, and what to do next."""


class UnreachableError(ManagerError):
    """No PostgreSQL answers, or it is not ready yet."""


class LoginRefusedError(ManagerError):
    """PostgreSQL knows no such role, another password of it, or no right of it to connect."""


class RevisionFailedError(ManagerError):
    """The database is at the revision before the one that the message names.

    Unless the connection was lost at its commit, which may have been done or not, or the revision
    had committed a part of itself already: that is said.
    """

    half_done: tuple[Path, str] | None = None
    """The file that was committed in part, and its way: upgrade or downgrade."""
    is_taken_back: bool = False
    """Whether that part was taken back."""


class LockedError(RevisionFailedError):
    """A statement waited for a lock for as long as the revision's lock_timeout lets it."""
