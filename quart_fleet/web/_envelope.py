"""The envelope of every answer: `data`, `message` and `success`, or `errors` in place of data."""

from collections.abc import AsyncIterator, Mapping, Sequence

from quart import Response, jsonify, request

from quart_fleet.paging import CHUNK, Numbered
from quart_fleet.web._streaming import stream_list


class Envelope:
    """Makes the responses of the contract; `data` is whatever the JSON provider can write."""

    @classmethod
    def success(cls, data: object = None, message: str = "Success", status: int = 200) -> Response:
        """Answer a request that did what it was asked for."""
        return _respond({"data": data, "message": message, "success": True}, status)

    @classmethod
    def page(cls, found: Sequence[Numbered], limit: int) -> Response:
        """Answer the first `limit` of what was found; one more means that there is a next page.

        The next page's address is in the Link header (RFC 8288).
        """
        data = found[:limit]
        response = cls.success(data)
        if len(found) > limit:
            place = f"{request.script_root}{request.path}"
            following = f"{place}?limit={limit}&after={data[-1].id}"
            response.headers["Link"] = f'<{following}>; rel="next"'
        return response

    @classmethod
    async def stream(cls, chunks: AsyncIterator[Sequence[object]]) -> Response:
        """Answer a list of any length, of which no more than a chunk is held at a time."""
        first = await anext(chunks)
        if len(first) < CHUNK:
            return cls.success(first)
        if request.http_version == "1.0":  # knows no length in parts, which uvicorn sends it
            rest = [each async for chunk in chunks for each in chunk]
            return cls.success([*first, *rest])
        return stream_list(first, chunks)

    @classmethod
    def error(
        cls, message: str, status: int = 400, errors: Mapping[str, str] | None = None
    ) -> Response:
        """Answer a request that was refused or failed; `errors` are details by field."""
        payload: dict[str, object] = {"message": message, "success": False}
        if errors:
            payload["errors"] = errors
        return _respond(payload, status)

    @classmethod
    def not_found(cls, message: str = "Resource not found") -> Response:
        """Answer 404."""
        return cls.error(message, 404)

    @classmethod
    def unauthorized(cls, message: str = "Unauthorized") -> Response:
        """Answer 401: nobody is known to ask."""
        return cls.error(message, 401)

    @classmethod
    def forbidden(cls, message: str = "Forbidden") -> Response:
        """Answer 403: whoever asks may not."""
        return cls.error(message, 403)

    @classmethod
    def validation_error(
        cls, errors: Mapping[str, str], message: str = "Validation failed"
    ) -> Response:
        """Answer 422 with the reason for each refused field."""
        return cls.error(message, 422, errors)


def _respond(payload: dict[str, object], status: int) -> Response:
    response = jsonify(payload)
    if status != response.status_code:
        response.status_code = status
    return response
