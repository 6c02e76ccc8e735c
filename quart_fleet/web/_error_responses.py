"""The one place where errors become responses."""

import logging

from quart import Quart, Response, request
from werkzeug.exceptions import HTTPException

from quart_fleet.errors import (
    AlreadyExistsError,
    DatabaseUnavailableError,
    InvalidRequestError,
    NotFoundError,
    ServiceError,
    ValidationFailedError,
)
from quart_fleet.web._envelope import Envelope

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


def map_errors(app: Quart, envelope: type[Envelope]) -> None:
    """Have every error of `app` answered in the envelope."""
    responses = _ErrorResponses(envelope)
    app.register_error_handler(ValidationFailedError, responses.for_invalid_values)
    app.register_error_handler(ServiceError, responses.for_service_error)
    app.register_error_handler(HTTPException, responses.for_http_error)
    app.register_error_handler(Exception, responses.for_unexpected_error)


class _ErrorResponses:
    """Makes the response of each kind of error."""

    def __init__(self, envelope: type[Envelope]) -> None:
        self._envelope = envelope

    async def for_invalid_values(self, error: ValidationFailedError) -> Response:
        return self._envelope.validation_error(error.errors, error.message)

    async def for_service_error(self, error: ServiceError) -> Response:
        status = next((_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES), None)
        if status is None:
            return await self.for_unexpected_error(error)
        if status == 503:
            cause = error.__cause__ or error
            _log.warning(
                "%s %s: no answer from the database: %r", request.method, request.path, cause
            )
        return self._envelope.error(error.message, status)

    async def for_http_error(self, error: HTTPException) -> Response:
        status = error.code or 500
        response = self._envelope.error(_MESSAGES.get(status, error.name), status)
        for name, value in error.get_headers():
            if name.lower() != "content-type":
                response.headers[name] = value
        if status == 413 and request.http_version.startswith("1"):
            response.headers["Connection"] = "close"  # as it is, with the rest of the body unread
        return response

    async def for_unexpected_error(self, error: Exception) -> Response:
        _log.error("%s %s failed", request.method, request.path, exc_info=error)
        return self._envelope.error("Internal server error", 500)
