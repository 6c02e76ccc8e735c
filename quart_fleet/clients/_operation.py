"""What a service can be asked for, and its answers opened into values or errors of the tree."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Generic, Literal, Protocol, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from quart_fleet.conventions import PREFIX
from quart_fleet.errors import (
    AlreadyExistsError,
    ConflictError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    ServiceError,
    UnauthorizedError,
    ValidationFailedError,
)

T = TypeVar("T")
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Outcome = Literal[
    "answered", "refused", "unexpected", "failed", "not sent", "late", "rejected", "cancelled"
]
"""What came of a call: a value; a refusal that the operation names; an answer that it does not;
none, one that says later, or an exception that nobody has foreseen; no connection; none in time; no attempt, since the circuit is open; the
caller's end."""

_UNSAFE_TO_REPEAT = ("POST", "PATCH")
_LOST = ("", ".", "..")
_NOT_FOUND = re.compile(r"(?!Endpoint )(.+) not found")
_ALREADY_EXISTS = re.compile(r"(.+) already exists")
_ALREADY_EXIST = re.compile(r"(.+) and (.+) already exist")


class Record(BaseModel):
    """Any record, of which nothing is asked but that there is one."""

    id: int


class CallFailedError(Exception):
    """An attempt that brought no value and no refusal; the line is for the log."""

    is_working: bool | None = False
    """Whether the service works; None where this does not tell."""
    retry_after = 0
    """Seconds after which the service asks to be called again."""
    outcome: Outcome = "failed"


class NotSentError(CallFailedError):
    """There was no connection: the service knows nothing of the call."""

    outcome = "not sent"


class LateError(CallFailedError):
    """No answer within the time that there was."""

    outcome = "late"


class RetryableStatusError(CallFailedError):
    """A status by which the service, or a proxy before it, says that it may answer later."""

    def __init__(self, line: str, status: int, retry_after: int) -> None:
        super().__init__(line)
        self.is_working = False if status >= 500 else None  # else it is this caller that is to wait
        self.retry_after = retry_after


class UnexpectedAnswerError(CallFailedError):
    """An answer that no other attempt would change: it is none of the contract."""

    outcome = "unexpected"


class UnexpectedRefusalError(UnexpectedAnswerError):
    """A refusal that the operation does not name: as a rule a mistake of this service, not of its client."""

    is_working = True


class OpensAnswers(Protocol):
    """An envelope of the fleet's own."""

    @classmethod
    def open(cls, body: bytes) -> bytes:
        """Return the JSON of `data`, `message` and `success`, or `errors`; raises what it may."""
        ...


class _Success(BaseModel, Generic[T]):
    data: T
    success: Literal[True]


class _Refusal(BaseModel):
    message: str = Field(max_length=1000)
    success: Literal[False]
    errors: dict[str, str] = Field(default_factory=dict)


_REFUSALS = TypeAdapter(_Refusal)


class Operation(Generic[T]):
    """One route of a service: declared once, called with values.

        _GET_USER = Operation("GET", "/users/{user_id}", UserDTO)

    Args:
        path: below `/api/v1`, with names in place of its variable parts.
        answer: the type of the answer's `data`: a model of pydantic, a list of them, `int`.
        attempts: how often a call is sent at most where it is not known whether it was carried out;
            by itself 3 times to get, once for all else. PUT and DELETE may be repeated where the
            service carries out two of them as one (RFC 9110, section 9.2.2); others never.
        raises: the refusals that are for the caller to know, which catches them or lets its own
            client have them, with the text and the names of the other service. All others are
            mistakes of this service: as `UnauthorizedError`, whose credentials are its own.
    """

    def __init__(
        self,
        method: Method,
        path: str,
        answer: type[T],
        attempts: int | None = None,
        *,
        raises: Iterable[type[ServiceError]] = (NotFoundError, ConflictError),
    ) -> None:
        if attempts not in (None, 1) and method in _UNSAFE_TO_REPEAT:
            raise ValueError(f"{method} {path} is sent once: it is not idempotent")
        self.method = method
        self.attempts = attempts or (3 if method == "GET" else 1)
        self.template = f"{PREFIX}{path}"
        self._raises = tuple(raises)
        self._answers: TypeAdapter[_Success[T]] = TypeAdapter(_Success[answer])  # type: ignore[valid-type]  # at run time it is one

    def __str__(self) -> str:
        return f"{self.method} {self.template}"

    def path(self, values: Mapping[str, object]) -> str:
        """Return the path with these values.

        Raises InvalidRequestError where one would leave its place: a part that is empty is lost on
        the way, and one of dots leads to another route (RFC 3986, section 5.2.4).
        """
        path = self.template.format_map({name: quote(str(one), "") for name, one in values.items()})
        for part, declared in zip(path.split("/"), self.template.split("/"), strict=True):
            if part in _LOST and part != declared:
                name = declared.strip("{}")
                raise InvalidRequestError(f"{name} must not be empty or dots alone")
        return path

    def open(self, status: int, body: bytes, envelope: type[OpensAnswers] | None = None) -> T:
        """Return the data of an answer, which is in the fleet's envelope.

        Raises what the service has refused, as an error of the tree where the operation names it,
        and UnexpectedAnswerError.
        """
        try:
            if envelope is not None:
                body = envelope.open(body)
        except Exception as error:
            raise UnexpectedAnswerError(
                f"{self} was answered {status}, which is no answer of this fleet: {error!r}"
            ) from None
        try:
            if 200 <= status < 300:
                return self._answers.validate_json(body, strict=True).data
            refusal = _REFUSALS.validate_json(body, strict=True)
        except ValidationError as error:
            first: Any = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"])) or "body"
            raise UnexpectedAnswerError(
                f"{self} was answered {status}, {place}: {first['msg']}"
            ) from None
        refused = _find_error(status, refusal)
        if isinstance(refused, self._raises):
            raise refused
        line = f"{self} was answered {status}: {refusal.message!r}"
        if refusal.errors:
            line += f", of {', '.join(map(repr, refusal.errors))}"
        if refused is not None:
            line += f", and raises no {type(refused).__name__}"
        raise UnexpectedRefusalError(line)


_REFUSED = {
    400: InvalidRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    409: ConflictError,
}


def _find_error(status: int, refusal: _Refusal) -> ServiceError | None:
    """Return what a service has raised, None where that is no refusal of the tree."""
    message = refusal.message
    if status == 422:
        return ValidationFailedError(refusal.errors)
    if status == 404 and (found := _NOT_FOUND.fullmatch(message)):
        return NotFoundError(found[1])
    if status == 400 and (found := _ALREADY_EXISTS.fullmatch(message)):
        return AlreadyExistsError(_field_of(found[1]))
    if status == 400 and (found := _ALREADY_EXIST.fullmatch(message)):
        return AlreadyExistsError(*map(_field_of, [*found[1].split(", "), found[2]]))
    return _REFUSED[status](message) if status in _REFUSED else None


def _field_of(said: str) -> str:
    """Return the name of a field from what AlreadyExistsError says of it."""
    return said.lower().replace(" ", "_")
