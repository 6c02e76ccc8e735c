"""The one place where errors become responses."""

import logging

from quart import Quart, Response, request
from werkzeug.exceptions import HTTPException

from shared.errors import (
    AlreadyExistsError,
    DatabaseUnavailableError,
    InvalidRequestError,
    NotFoundError,
    ServiceError,
    ValidationFailedError,
)
from shared.utils.response import APIResponse

_log = logging.getLogger(__name__)

_STATUSES: dict[type[ServiceError], int] = {
    NotFoundError: 404,
    AlreadyExistsError: 400,
    InvalidRequestError: 400,
    DatabaseUnavailableError: 503,
}
_MESSAGES = {
    404: "Endpoint not found",
    405: "Method not allowed",
    413: "Request body too large",
    415: "Content-Type must be application/json",
}


def map_errors(app: Quart) -> None:
    """Have every error of `app` answered in the envelope."""
    app.register_error_handler(ValidationFailedError, _answer_invalid_values)
    app.register_error_handler(ServiceError, _answer_service_error)
    app.register_error_handler(HTTPException, _answer_http_error)
    app.register_error_handler(Exception, _answer_unexpected)


async def _answer_invalid_values(error: ValidationFailedError) -> Response:
    return APIResponse.validation_error(error.errors, error.message)


async def _answer_service_error(error: ServiceError) -> Response:
    status = next((_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES), None)
    if status is None:
        return await _answer_unexpected(error)
    if status == 503:
        cause = error.__cause__ or error
        _log.warning("%s %s: no answer from the database: %r", request.method, request.path, cause)
    return APIResponse.error(error.message, status)


async def _answer_http_error(error: HTTPException) -> Response:
    status = error.code or 500
    response = APIResponse.error(_MESSAGES.get(status, error.name), status)
    for name, value in error.get_headers():
        if name.lower() != "content-type":
            response.headers[name] = value
    if status == 413 and request.http_version.startswith("1"):
        response.headers["Connection"] = "close"  # as it is, with the rest of the body unread
    return response


async def _answer_unexpected(error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.path, exc_info=error)
    return APIResponse.error("Internal server error", 500)
