"""The one error tree of the workspace; it knows no HTTP and imports only the standard library.

    ServiceError
    ├── ConfigurationError         settings that cannot be used: the process ends with its line
    ├── InvalidRequestError        a request that cannot be understood
    ├── UnauthorizedError          the caller is not known
    ├── ForbiddenError             the caller is known, and not allowed to do this
    ├── NotFoundError              no such record
    ├── AlreadyExistsError         a unique value is taken
    ├── ConflictError              the record's state does not allow this
    ├── ValidationFailedError      values that are refused, by field
    ├── UnavailableError           something outside of the service cannot be used now
    │   └── DatabaseUnavailableError   PostgreSQL cannot be reached, or has no free connection
    └── (db_manager adds its own)

A service derives its own errors from these: `class OutOfStockError(ConflictError)`. The module
`quart_fleet.web._error_responses` alone maps the tree to responses; an error that derives from
ServiceError directly is a 500 there, unless `build_app` is given a status for it. Every message is
written here or by the code that raises, never taken from a driver, so that clients may read it.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol


class ServiceError(Exception):
    """The root: what a service refuses or cannot do; `message` says it in one line."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ConfigurationError(ServiceError):
    """A setting is missing or wrong; the message names the variable."""


class InvalidRequestError(ServiceError):
    """The request lacks something, or has a form that cannot be read."""


class UnauthorizedError(ServiceError):
    """The caller is not known: no credentials, or none that are valid."""

    def __init__(self, message: str = "Unauthorized") -> None:
        super().__init__(message)


class ForbiddenError(ServiceError):
    """The caller is known, and not allowed to do this."""

    def __init__(self, message: str = "Forbidden") -> None:
        super().__init__(message)


class NotFoundError(ServiceError):
    """There is no such record; `resource` is its kind, as in `User`."""

    def __init__(self, resource: str) -> None:
        super().__init__(f"{resource} not found")
        self.resource = resource


class AlreadyExistsError(ServiceError):
    """Another record holds this value of a unique field, or these of several that are unique together.

    Args:
        field: the field's name.
        others: the names of the other fields.
    """

    def __init__(self, field: str, *others: str) -> None:
        *first, last = (name.replace("_", " ") for name in (field, *others))
        said = f"{', '.join(first)} and {last} already exist" if first else f"{last} already exists"
        super().__init__(said.capitalize())
        self.field = field
        self.others = others


class ConflictError(ServiceError):
    """The request is right in itself, and the record's present state does not allow it."""


class ValidationFailedError(ServiceError):
    """Values were refused: `errors` says why, by the field's name."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("Validation failed")
        self.errors = dict(errors)


class UnavailableError(ServiceError):
    """Something that the service needs cannot be used now; the same request may succeed later."""

    retry_after = 1
    """Seconds after which another try makes sense."""


class DatabaseUnavailableError(UnavailableError):
    """The database cannot be reached, or has no free connection."""

    def __init__(self, message: str = "Database unavailable") -> None:
        super().__init__(message)


class Checked(Protocol):
    """A part of an entity, with rules of its own."""

    def ensure_valid(self) -> None:
        """Raise ValidationFailedError, which names each value that breaks a rule."""
        ...


def no_such(field: str) -> str:
    """Return what is said of an id of nothing: "No such buyer" of `lines.0.buyer_id`."""
    return f"No such {field.rpartition('.')[2].removesuffix('_id').replace('_', ' ')}"


def broken_rules(field: str, parts: Iterable[Checked]) -> dict[str, str]:
    """Return what the parts of an entity refuse, each value by its place: `lines.0.quantity`."""
    errors = dict[str, str]()
    for number, part in enumerate(parts):
        try:
            part.ensure_valid()
        except ValidationFailedError as refused:
            errors |= {f"{field}.{number}.{name}": why for name, why in refused.errors.items()}
    return errors


def find_duplicates(field: str, parts: Iterable[object], *names: str) -> dict[str, str]:
    """Return the parts with the values of an earlier one in all these attributes.

    Each is named by the last of them, as `lines.1.product_id`; None equals no other value.
    """
    seen, errors = set[tuple[object, ...]](), dict[str, str]()
    for number, part in enumerate(parts):
        key = tuple(getattr(part, name) for name in names)
        if key in seen and None not in key:
            errors[f"{field}.{number}.{names[-1]}"] = "Is a duplicate"
        seen.add(key)
    return errors
