"""The time that a caller leaves for a request, as the request says in its header."""

import asyncio

import pytest

from quart_fleet.asgi._application import LeanApplication, ServiceApplication
from quart_fleet.bounds import BOUND
from quart_fleet.errors import UnavailableError
from tests.chassis.serving import Serve, exchange, spell


@pytest.fixture(params=[LeanApplication, ServiceApplication], ids=["lean", "plain"])
def app(request: pytest.FixtureRequest) -> ServiceApplication:
    app: ServiceApplication = request.param(__name__, static_folder=None)
    app.config["REQUEST_TIMEOUT"] = 30

    @app.errorhandler(UnavailableError)
    async def answer(error: UnavailableError) -> tuple[str, int]:
        return error.message, 503

    @app.get("/left")
    async def tell() -> str:
        bound = BOUND.get()
        assert bound is not None
        return f"{bound.ends - bound.started:.1f}"

    @app.route("/slow", methods=["GET", "POST"])
    async def wait() -> str:
        await asyncio.sleep(20)
        return ""

    return app


@pytest.mark.parametrize(
    ("header", "left"),
    [
        ("Connect-Timeout-Ms: 1500", b"1.5"),
        ("connect-timeout-ms: 0001500", b"1.5"),
        ("Connect-Timeout-Ms: 9999999999", b"30.0"),
        ("Connect-Timeout-Ms: 99999999999", b"30.0"),
        ("Connect-Timeout-Ms: -1", b"30.0"),
        ("Connect-Timeout-Ms: 1.5", b"30.0"),
        ("Connect-Timeout-Ms: 1e3", b"30.0"),
        ("Connect-Timeout-Ms:", b"30.0"),
        ("X-Any: 1", b"30.0"),
    ],
)
async def test_it_shortens_the_time_of_a_request_and_nothing_else(
    app: ServiceApplication, serve: Serve, header: str, left: bytes
) -> None:
    async with serve(app) as port:
        answer = await exchange(port, spell("GET", "/left", header))

    assert answer.endswith(b"\r\n\r\n" + left), answer


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_ends_when_its_caller_waits_no_more(
    app: ServiceApplication, serve: Serve, method: str
) -> None:
    async with serve(app) as port, asyncio.timeout(15):
        answer = await exchange(port, spell(method, "/slow", "Connect-Timeout-Ms: 100"))

    assert answer.startswith(b"HTTP/1.1 503"), answer
    assert answer.endswith(b"Request timed out")
