"""The one error tree of the workspace; it knows no HTTP and imports nothing.

    ServiceError
    ├── ConfigurationError         settings that cannot be used: the process ends with its line
    ├── DatabaseUnavailableError   PostgreSQL cannot be reached, or has no free connection
    ├── NotFoundError              no such record
    ├── AlreadyExistsError         a unique value is taken
    ├── InvalidRequestError        a request that cannot be understood
    ├── ValidationFailedError      values that are refused, by field
    └── (db_manager adds its own)

`quart_fleet.web._error_responses` is the only module that maps it to responses. Every message is written
here or by the caller, never taken from a driver, so a stranger may read it.
"""

from collections.abc import Mapping


class ServiceError(Exception):
    """The root: whatever a service refuses or cannot do, said in one line."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ConfigurationError(ServiceError):
    """A setting is missing or wrong; the message names the variable."""


class DatabaseUnavailableError(ServiceError):
    """The database cannot be asked now; the same request may succeed later."""

    def __init__(self, message: str = "Database unavailable") -> None:
        super().__init__(message)


class NotFoundError(ServiceError):
    """No record answers to what was asked for."""

    def __init__(self, resource: str) -> None:
        super().__init__(f"{resource} not found")
        self.resource = resource


class AlreadyExistsError(ServiceError):
    """Another record holds this value of a unique field."""

    def __init__(self, field: str) -> None:
        super().__init__(f"{field.replace('_', ' ').capitalize()} already exists")
        self.field = field


class InvalidRequestError(ServiceError):
    """The request says too little, or not in a form that can be read."""


class ValidationFailedError(ServiceError):
    """Values were refused: `errors` says why, by the field's name."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("Validation failed")
        self.errors = dict(errors)
