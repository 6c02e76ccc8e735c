"""What authors of controllers call: the envelope, the parsing of bodies and queries, the application."""

from quart_fleet.conventions import PREFIX
from quart_fleet.web._application import Dependency, StartCheck, build_app
from quart_fleet.web._envelope import Answer, Envelope
from quart_fleet.web._lists import find_list_query
from quart_fleet.web._parsing import parse_body, parse_patch, parse_query
from quart_fleet.web._routes import Blueprint

__all__ = [
    "PREFIX",
    "Answer",
    "Blueprint",
    "Dependency",
    "Envelope",
    "StartCheck",
    "build_app",
    "find_list_query",
    "parse_body",
    "parse_patch",
    "parse_query",
]
