"""A page of a list, and where the next one is."""

from dataclasses import dataclass

from shared.utils.response import APIResponse
from shared.web.service import Service


@dataclass
class Thing:
    id: int


async def test_the_next_page_is_where_the_application_is_mounted(app: Service) -> None:
    async with app.test_request_context("/things", root_path="/below"):
        response = APIResponse.page([Thing(7), Thing(8)], limit=1)

    assert response.headers["Link"] == '</below/things?limit=1&after=7>; rel="next"'


async def test_the_last_page_names_no_other(app: Service) -> None:
    async with app.test_request_context("/things"):
        response = APIResponse.page([Thing(7)], limit=1)

    assert "Link" not in response.headers
