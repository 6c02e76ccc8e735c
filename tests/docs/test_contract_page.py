"""The page of the contract names every message and limit that the contract's table has."""

import re
from pathlib import Path

from quart_fleet.settings import ServiceSettings
from quart_fleet.web import _application
from scaffold.api.table import contract_of

PAGE = " ".join((Path(__file__).parents[2] / "docs/contract.md").read_text().split())


def test_the_page_names_every_message() -> None:
    rows = contract_of("user-service").rows
    messages = {row.document["message"] for row in rows if isinstance(row.document, dict)}

    assert len(messages) >= 15
    assert {message for message in messages if message not in PAGE} == set()


def test_the_page_names_every_route() -> None:
    routes = set(contract_of("user-service").table)
    named = {
        re.sub(r"<(id|int)>", "<int>", route.partition("?")[0])
        for route in re.findall(r"`((?:GET|POST|PUT|DELETE) /[^`]*)`", PAGE)
    }

    assert {route for route in routes if "/" in route} <= named


def test_the_page_names_the_limits() -> None:
    assert ServiceSettings.model_fields["max_content_length"].default == 1024 * 1024
    assert "1 MiB" in PAGE
    methods = sorted(_application.ALLOWED_METHODS)
    assert f"{', '.join(methods[:-1])} and {methods[-1]}" in PAGE
