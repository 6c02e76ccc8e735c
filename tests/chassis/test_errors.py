"""Errors of a service: the status of each, by its place in the tree."""

import pytest
from quart import Blueprint

from quart_fleet.errors import (
    AlreadyExistsError,
    ConfigurationError,
    ConflictError,
    DatabaseUnavailableError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    ServiceError,
    UnauthorizedError,
    UnavailableError,
    ValidationFailedError,
)
from tests.chassis.services import make_service


class OutOfStockError(ConflictError):
    """An owner's, below one of the chassis."""


class PaymentError(ServiceError):
    """An owner's, with a status of its own."""


class CardRefusedError(PaymentError):
    """An owner's, below one of its own."""


class InvalidOrderError(ValidationFailedError):
    """An owner's, with details by field."""


class LostError(ServiceError):
    """An owner's, without a status."""


class QuotaError(ServiceError):
    """An owner's, that says when to come again."""

    retry_after = 60


INTERNAL: dict[str, object] = {"message": "Internal server error"}
ANSWERS: list[tuple[Exception, int, dict[str, object]]] = [
    (InvalidRequestError("Unclear"), 400, {"message": "Unclear"}),
    (AlreadyExistsError("user_name"), 400, {"message": "User name already exists"}),
    (UnauthorizedError(), 401, {"message": "Unauthorized"}),
    (ForbiddenError(), 403, {"message": "Forbidden"}),
    (NotFoundError("User"), 404, {"message": "User not found"}),
    (ConflictError("Already shipped"), 409, {"message": "Already shipped"}),
    (OutOfStockError("Sold out"), 409, {"message": "Sold out"}),
    (
        ValidationFailedError({"age": "Must be odd"}),
        422,
        {"message": "Validation failed", "errors": {"age": "Must be odd"}},
    ),
    (
        InvalidOrderError({"lines": "Must be few"}),
        422,
        {"message": "Validation failed", "errors": {"lines": "Must be few"}},
    ),
    (UnavailableError("Try later"), 503, {"message": "Try later"}),
    (DatabaseUnavailableError(), 503, {"message": "Database unavailable"}),
    (PaymentError("Pay first"), 402, {"message": "Pay first"}),
    (CardRefusedError("Card refused"), 402, {"message": "Card refused"}),
    (ConfigurationError("DATABASE_URL is wrong"), 500, INTERNAL),
    (LostError("Somewhere"), 500, INTERNAL),
    (ServiceError("Something"), 500, INTERNAL),
    (KeyError("a key"), 500, INTERNAL),
]


@pytest.mark.parametrize(("error", "status", "answer"), ANSWERS, ids=lambda value: repr(value)[:40])
async def test_an_error_has_the_status_of_its_nearest_base(
    error: Exception, status: int, answer: dict[str, object]
) -> None:
    bp = Blueprint("errors", __name__)

    @bp.get("/error")
    async def fail() -> str:
        raise error

    client = make_service(bp, statuses={PaymentError: 402}).test_client()

    response = await client.get("/api/v1/error")

    assert response.status_code == status
    assert await response.get_json() == {"success": False} | answer


@pytest.mark.parametrize(
    ("error", "seconds"),
    [(QuotaError("Wait"), "60"), (PaymentError("Wait"), "1"), (UnavailableError("Wait"), "1")],
)
async def test_an_error_of_too_many_requests_says_when_to_come_again(
    error: Exception, seconds: str
) -> None:
    bp = Blueprint("errors", __name__)

    @bp.get("/error")
    async def fail() -> str:
        raise error

    client = make_service(bp, statuses={QuotaError: 429, PaymentError: 429}).test_client()

    response = await client.get("/api/v1/error")

    assert response.headers["Retry-After"] == seconds
