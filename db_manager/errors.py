"""What the database manager refuses or cannot do, said in one or two lines.

ManagerError (a ServiceError of shared.errors)
├── UnreachableError       no connection; worth another try while a server starts
├── LockLostError          the connection that kept others away is gone
└── RevisionFailedError    a revision's statements were refused
"""

from shared.errors import ServiceError


class ManagerError(ServiceError):
    """The root: its message says what was wrong, where, and what to do next."""


class UnreachableError(ManagerError):
    """No PostgreSQL answers, or it is not ready yet."""


class LockLostError(ManagerError):
    """Another process may be migrating now."""


class RevisionFailedError(ManagerError):
    """The message names the revision, and says what is left of it: nothing, but where the
    connection was lost as it was committed, which nobody can tell then."""
