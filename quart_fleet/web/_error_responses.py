"""The one place where errors become responses."""

import logging
from collections.abc import Mapping

from quart import Quart, Response, has_request_context, request, websocket
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from quart_fleet.database.explanations import driver_error
from quart_fleet.database.refusals import find_refusal
from quart_fleet.errors import (
    AlreadyExistsError,
    ConflictError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    ServiceError,
    UnauthorizedError,
    UnavailableError,
    ValidationFailedError,
)
from quart_fleet.logs import MOST_OF_A_PATH, CountedWarnings, escape
from quart_fleet.observation import REQUEST
from quart_fleet.web._envelope import Envelope

_log = logging.getLogger(__name__)

STATUSES: Mapping[type[ServiceError], int] = {
    InvalidRequestError: 400,
    AlreadyExistsError: 400,
    UnauthorizedError: 401,
    ForbiddenError: 403,
    NotFoundError: 404,
    ConflictError: 409,
    ValidationFailedError: 422,
    UnavailableError: 503,
}
"""The status of each error, and of every class derived from it; all others are a 500."""

MESSAGES = {
    308: "Moved permanently",
    404: "Endpoint not found",
    405: "Method not allowed",
    413: "Request body too large",
    415: "Content-Type must be application/json",
    500: "Internal server error",
}


class ErrorResponses:
    """Makes the response of each kind of error, in the service's envelope.

    Args:
        statuses: what an application adds to `STATUSES`, or maps otherwise.
    """

    EXTENSION = "quart_fleet.web.error_responses"
    """Where an application keeps its own."""

    def __init__(
        self, envelope: type[Envelope], statuses: Mapping[type[ServiceError], int]
    ) -> None:
        self.envelope = envelope
        self._statuses = {**STATUSES, **statuses}
        self._warnings = CountedWarnings(_log)

    def register(self, app: Quart) -> None:
        """Have every error of `app` answered here."""
        app.extensions[self.EXTENSION] = self

        @app.after_serving
        async def tell_what_was_counted() -> None:
            self._warnings.tell()

        app.register_error_handler(ServiceError, self.for_service_error)
        app.register_error_handler(HTTPException, self.for_http_error)
        app.register_error_handler(Exception, self.for_unexpected_error)

    def find_status(self, kind: type[ServiceError]) -> int | None:
        """Return that of the nearest base class which has one."""
        known = self._statuses
        return next((known[each] for each in kind.__mro__ if each in known), None)

    async def for_service_error(self, error: ServiceError) -> Response:
        """Answer with the status of the error's nearest base class that has one."""
        status = self.find_status(type(error))
        if status is None:
            return await self.for_unexpected_error(error)
        if isinstance(error, ValidationFailedError):
            return self.envelope.error(error.message, status, error.errors)
        response = self.envelope.error(error.message, status)
        if status == 503:
            cause = driver_error(error.__cause__ or error)
            kind = (type(cause).__name__, getattr(cause, "sqlstate", None), error.message)
            line = f"{_asked()}: {escape(error.message)}: {escape(repr(cause))}"
            self._warnings.warn(kind, line)
        if status in (429, 503):
            seconds = getattr(error, "retry_after", UnavailableError.retry_after)
            response.headers["Retry-After"] = str(seconds)
        return response

    async def for_http_error(self, error: HTTPException) -> Response:
        """Answer with the status and the headers of Quart's own error: 404, 405, 413 and others.

        What was said to `abort` besides is the message: `abort(409, "Booked already")`.
        """
        status = error.code or 500
        said = vars(error).get("description")  # not the one of its class
        message = str(said) if said else MESSAGES.get(status, error.name)
        response = self.envelope.error(message, status)
        for name, value in error.get_headers():
            if name.lower() != "content-type":
                response.headers[name] = value
        if isinstance(error, RequestRedirect):
            response.location = error.new_url
        if status == 413 and has_request_context() and request.http_version.startswith("1"):
            response.headers["Connection"] = "close"  # the rest of the body stays unread
        return response

    async def for_unexpected_error(self, error: Exception) -> Response:
        """Answer what PostgreSQL has refused by its kind, and all else 500, without the cause.

        The cause is logged.
        """
        cause = driver_error(error)
        if refusal := find_refusal(cause):
            refusal.__cause__ = cause
            if not isinstance(refusal, UnavailableError):
                reason = str(cause).partition("\n")[0]  # what follows holds values
                _log.info("%s: %s", _asked(), escape(reason))
            return await self.for_service_error(refusal)
        if (observed := REQUEST.get()) is not None:
            observed.error = error
        _log.error("%s failed", _asked(), exc_info=error)
        return self.envelope.error("Internal server error", 500)


def _asked() -> str:
    """Return what was asked for, as the log says it: a WebSocket has no request."""
    if has_request_context():
        return escape(f"{request.method} {request.path}", MOST_OF_A_PATH)
    return escape(f"WebSocket {websocket.path}", MOST_OF_A_PATH)
