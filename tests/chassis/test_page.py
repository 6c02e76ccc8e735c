"""A page of a list, and where the next one is."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

import pytest
from quart import request

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.web import Envelope


@dataclass
class Thing:
    id: int


THINGS = [Thing(7), Thing(8)]


async def test_the_next_page_is_where_the_application_is_mounted(app: ServiceApplication) -> None:
    async with app.test_request_context("/things", root_path="/below"):
        response = Envelope.page(THINGS, limit=1)

    assert response.headers["Link"] == '</below/things?limit=1&after=7>; rel="next"'


async def test_the_last_page_names_no_other(app: ServiceApplication) -> None:
    async with app.test_request_context("/things"):
        response = Envelope.page([Thing(7)], limit=1)

    assert "Link" not in response.headers
    assert "Access-Control-Expose-Headers" not in response.headers


async def test_scripts_of_other_origins_may_read_where_the_next_page_is(
    app: ServiceApplication,
) -> None:
    async with app.test_request_context("/things"):
        response = Envelope.page(THINGS, limit=1)

    assert response.headers["Access-Control-Expose-Headers"] == "Link"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("limit=1", ""),
        ("limit=1&after=3", ""),
        ("colour=red&limit=1&size=l&after=3&colour=blue", "colour=red&size=l&colour=blue&"),
        ("q=a%26b%3Dc+d%20e%25&limit=1", "q=a%26b%3Dc+d%20e%25&"),
        ("q=%C3%A9&q=%FF&limit=1", "q=%C3%A9&q=%FF&"),
        ("flag&empty=&limit=1&&", "flag&empty=&"),
        ("%6Cimit=1&aft%65r=3&limits=5", "limits=5&"),
    ],
)
async def test_the_next_page_keeps_the_other_parameters(
    app: ServiceApplication, sent: str, kept: str
) -> None:
    async with app.test_request_context("/", root_path="/below"):
        request.query_string = sent.encode()
        response = Envelope.page(THINGS, limit=1)

    assert response.headers["Link"] == f'</below/?{kept}limit=1&after=7>; rel="next"'


@pytest.mark.parametrize("sent", ['q=">;x', "q=é", "q=a b", "q=\x7f", "q=<a>"])
async def test_nothing_that_is_sent_ends_the_address(app: ServiceApplication, sent: str) -> None:
    async with app.test_request_context("/"):
        request.path, request.query_string = "/th\n>é", sent.encode()
        response = Envelope.page(THINGS, limit=1)

    link = response.headers["Link"]
    address = urlsplit(link[1 : link.index(">")])
    assert link == f'<{address.geturl()}>; rel="next"'
    assert link.isascii()
    assert link.isprintable()
    assert address.path == "/th%0A%3E%C3%A9"
    assert dict(parse_qsl(address.query))["q"] == sent.removeprefix("q=")
