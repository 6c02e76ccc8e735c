"""Routes: which one a path names, what an id is, and which host an address shows."""

from importlib.metadata import version
from typing import cast

import pytest
from quart import url_for
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import RequestRedirect

from quart_fleet.asgi._application import LeanApplication, ServiceApplication
from quart_fleet.asgi._http import AnyHostMap


def make(kind: type[ServiceApplication]) -> ServiceApplication:
    app = kind(__name__, static_folder=None)
    app.add_url_rule("/users", "list", methods=["GET"])
    app.add_url_rule("/users", "create", methods=["POST"])
    app.add_url_rule("/shop/users", "list_of_shop", methods=["GET"])
    app.add_url_rule("/users/<id:record_id>", "get", methods=["GET"])
    app.add_url_rule("/numbers/<int:number>", "number", methods=["GET"])
    return app


@pytest.fixture(params=[LeanApplication, ServiceApplication])
def app(request: pytest.FixtureRequest) -> ServiceApplication:
    return make(request.param)


async def found(
    app: ServiceApplication, method: str, path: str
) -> tuple[str | None, dict[str, object]]:
    async with app.test_request_context(path, method=method) as context:
        if context.request.routing_exception is not None:
            raise context.request.routing_exception
        return context.request.endpoint, context.request.view_args or {}


async def test_a_route_is_the_same_the_second_time(app: ServiceApplication) -> None:
    for _ in range(2):
        assert await found(app, "GET", "/users") == ("list", {})
        assert await found(app, "POST", "/users") == ("create", {})
        assert await found(app, "GET", "/users/7") == ("get", {"record_id": 7})
        assert await found(app, "GET", "/users/8") == ("get", {"record_id": 8})


async def test_what_is_no_route_is_none_the_second_time_either(app: ServiceApplication) -> None:
    for _ in range(2):
        with pytest.raises(NotFound):
            await found(app, "GET", "/nowhere")
        with pytest.raises(MethodNotAllowed):
            await found(app, "PATCH", "/users")


async def test_only_routes_without_variables_are_remembered() -> None:
    app = make(LeanApplication)
    assert isinstance(app.url_map, AnyHostMap)
    for path in ("/users", "/users/1", "/users/2", "/users", "//users"):
        async with app.test_request_context(path):
            pass

    assert [path for path, _, _ in app.url_map.fixed] == ["/users"]


@pytest.mark.parametrize(
    ("digits", "number"),
    [("0", 0), ("00", 0), ("007", 7), ("0" * 5000 + "7", 7), (str(2**63 - 1), 2**63 - 1)],
)
async def test_an_id_is_read_from_digits(app: ServiceApplication, digits: str, number: int) -> None:
    assert await found(app, "GET", f"/users/{digits}") == ("get", {"record_id": number})


@pytest.mark.parametrize("digits", [str(2**63), "9" * 100, "9" * 5000, "1" + "0" * 5000])
async def test_an_id_past_bigint_is_one_that_no_bigint_holds(
    app: ServiceApplication, digits: str
) -> None:
    _, values = await found(app, "GET", f"/users/{digits}")

    assert cast("int", values["record_id"]) > 2**63 - 1


@pytest.mark.parametrize("text", ["-1", "+1", "1.5", "\u0661", "1_0", "x"])
async def test_what_is_not_all_ascii_digits_is_no_id(app: ServiceApplication, text: str) -> None:
    with pytest.raises(NotFound):
        await found(app, "GET", f"/users/{text}")


async def test_an_int_is_werkzeugs_own_and_is_not_cut(app: ServiceApplication) -> None:
    digits = "1234567890" * 10

    assert await found(app, "GET", f"/numbers/{digits}") == ("number", {"number": int(digits)})


async def test_an_address_for_other_hosts_shows_the_host_that_was_asked(
    app: ServiceApplication,
) -> None:
    async with app.test_request_context("/users", headers={"Host": "Shop.example:80"}):
        assert url_for("get", record_id=7) == "/users/7"
        assert url_for("get", record_id=7, _external=True) == "http://shop.example/users/7"


@pytest.mark.skipif(
    tuple(map(int, version("werkzeug").split("."))) < (3, 1, 8),
    reason="Werkzeug reads a Host header with invalid characters as empty from 3.1.8 on",
)
async def test_a_redirect_shows_a_host_only_where_it_is_one(app: ServiceApplication) -> None:
    for host, shown in (
        ("Shop.example:80", "http://shop.example/shop/users"),
        ("a/b?x", "http:///shop/users"),
    ):
        async with app.test_request_context("/shop//users", headers={"Host": host}) as context:
            redirect = context.request.routing_exception

        assert isinstance(redirect, RequestRedirect)
        assert redirect.new_url == shown
