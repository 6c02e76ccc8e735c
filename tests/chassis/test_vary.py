"""Origin joins what a response already varies by."""

import pytest
from quart import Response

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.web._application import make_cors


@pytest.mark.parametrize(
    ("own", "sent"),
    [
        (None, "Origin"),
        ("Accept-Encoding", "Accept-Encoding, Origin"),
        ("Origin", "Origin"),
        ("Cookie, origin", "Cookie, origin"),
    ],
)
async def test_origin_is_added_once_to_what_a_response_varies_by(
    app: ServiceApplication, own: str | None, sent: str
) -> None:
    app.after_request(make_cors(None))

    @app.get("/")
    async def index() -> Response:
        return Response("", headers={"Vary": own} if own else None)

    answer = await app.test_client().get("/", headers={"Origin": "https://app.example.com"})

    assert answer.headers.getlist("Vary") == [sent]
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
