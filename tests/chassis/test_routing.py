"""Routes, found once and then known."""

import pytest
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import RequestRedirect

from quart_fleet.asgi._application import Service
from quart_fleet.asgi._routing import AnyHostMap


@pytest.fixture
def app() -> Service:
    app = Service(__name__, static_folder=None)
    app.add_url_rule("/users", "list", methods=["GET"])
    app.add_url_rule("/users", "create", methods=["POST"])
    app.add_url_rule("/shop/users", "list_of_shop", methods=["GET"])
    app.add_url_rule("/users/<int:number>", "get", methods=["GET"])
    return app


async def found(app: Service, method: str, path: str) -> tuple[str | None, dict[str, object]]:
    async with app.test_request_context(path, method=method) as context:
        if context.request.routing_exception is not None:
            raise context.request.routing_exception
        return context.request.endpoint, context.request.view_args or {}


async def test_a_route_is_the_same_the_second_time(app: Service) -> None:
    for _ in range(2):
        assert await found(app, "GET", "/users") == ("list", {})
        assert await found(app, "POST", "/users") == ("create", {})
        assert await found(app, "GET", "/users/7") == ("get", {"number": 7})
        assert await found(app, "GET", "/users/8") == ("get", {"number": 8})


async def test_what_is_no_route_is_none_the_second_time_either(app: Service) -> None:
    for _ in range(2):
        with pytest.raises(NotFound):
            await found(app, "GET", "/nowhere")
        with pytest.raises(MethodNotAllowed):
            await found(app, "PATCH", "/users")


async def test_only_routes_without_variables_are_remembered(app: Service) -> None:
    assert isinstance(app.url_map, AnyHostMap)
    for path in ("/users", "/users/1", "/users/2", "/users", "//users"):
        async with app.test_request_context(path):
            pass

    assert [path for path, _, _ in app.url_map.fixed] == ["/users"]


async def test_a_redirect_shows_a_host_only_where_it_is_one(app: Service) -> None:
    for host, shown in (
        ("Shop.example:80", "http://shop.example/shop/users"),
        ("a/b?x", "http:///shop/users"),
    ):
        async with app.test_request_context("/shop//users", headers={"Host": host}) as context:
            redirect = context.request.routing_exception

        assert isinstance(redirect, RequestRedirect)
        assert redirect.new_url == shown
