"""A page of a list, and where the next one is."""

from dataclasses import dataclass

from quart_fleet.asgi._application import Service
from quart_fleet.web._envelope import Envelope


@dataclass
class Thing:
    id: int


async def test_the_next_page_is_where_the_application_is_mounted(app: Service) -> None:
    async with app.test_request_context("/things", root_path="/below"):
        response = Envelope.page([Thing(7), Thing(8)], limit=1)

    assert response.headers["Link"] == '</below/things?limit=1&after=7>; rel="next"'


async def test_the_last_page_names_no_other(app: Service) -> None:
    async with app.test_request_context("/things"):
        response = Envelope.page([Thing(7)], limit=1)

    assert "Link" not in response.headers
