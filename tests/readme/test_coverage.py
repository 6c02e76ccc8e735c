"""No command is on a page that nothing runs, and what is said to run one does."""

import ast
import re
from pathlib import Path

import pytest

from scaffold.demo.fleet import ORDERS
from scaffold.language.fleet import parse_fleet
from tests.readme.guide import (
    COOKBOOK,
    GUIDE,
    PAGES,
    README,
    UPGRADING,
    commands,
    listed,
    mentioned,
    section,
)
from tests.readme.proofs import IN_CI, IN_TESTS, TABLE
from tests.workspace import FRAMEWORK


def on_the_pages() -> set[str]:
    """Return every command that the pages tell their reader to type."""
    texts = [page.read_text() for page in PAGES]
    return {line for text in texts for line in (*commands(text), *mentioned(text))} | {*listed()}


def pasted() -> set[str]:
    """Return those that are run as they stand."""
    pages = (GUIDE, COOKBOOK, UPGRADING)
    return {line for page in pages for line in commands(page.read_text())} | {
        *commands(section("Quick start"))
    }


def source(place: str) -> str:
    """Return a function, named as in `tests/a.py::b`."""
    path, _, name = place.partition("::")
    text = Path(FRAMEWORK, path).read_text()
    functions = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
    ]
    assert len(functions) == 1, f"{path} has {len(functions)} functions {name}"
    return ast.get_source_segment(text, functions[0]) or ""


def test_every_command_of_the_pages_is_run() -> None:
    assert on_the_pages() - pasted() - {*TABLE, *IN_CI, *IN_TESTS} == set()


def test_what_is_fenced_is_no_command() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    kinds = re.findall(r"^```(.*)\n(?:.*\n)*?```$", text, re.MULTILINE)

    assert set(kinds) == {"python", "text", "toml"}


def test_the_fleet_of_the_first_page_can_be_generated() -> None:
    [block] = re.findall(r"^```toml\n(.*?)```$", README.read_text(), re.MULTILINE | re.DOTALL)
    others = "".join(
        f'[{name}-service]\nport = {port}\n[{name}-service.{name}]\nname = "str"\n'
        for name, port in (("user", 8081), ("product", 8082))
    )

    fleet = parse_fleet(f"{others}[order-service]\nport = 8083\n{block}")

    order = fleet.services[0].resources[0]
    assert [part.name for part in order.parts] == ["line"]
    assert block.strip() == ORDERS.strip()  # which the demo shows at work


def test_every_proof_is_of_a_command_of_the_pages() -> None:
    assert {*TABLE, *IN_CI, *IN_TESTS} - on_the_pages() == set()


@pytest.mark.parametrize("command", IN_CI)
def test_ci_runs_what_it_is_said_to_run(command: str) -> None:
    assert command in (FRAMEWORK / ".ci/run").read_text().splitlines()


@pytest.mark.parametrize("command", IN_TESTS)
def test_a_test_runs_what_it_is_said_to_run(command: str) -> None:
    place, words = IN_TESTS[command]

    assert words in source(place)
