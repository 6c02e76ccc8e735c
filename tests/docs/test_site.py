"""The pages as a site: each of them is built, links lead somewhere, no other host is asked."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.requirement import require_module

ROOT = Path(__file__).parents[2]
LOADING = ("src", "srcset", "poster", "data", "action")
"""Attributes whose address a browser asks for by itself; `href` is one for <link> only."""
ASKING = ('class="mermaid"', "glightbox", 'data-md-component="source"', "data-md-playground")
"""What the theme's script loads more for, from other hosts, where a page has it."""


class Addresses(HTMLParser):
    """Gathers what a page loads, and where its links lead."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in LOADING or (tag == "link" and name == "href"):
                self.loaded.append(value or "")
            elif name == "href":
                self.linked.append(value or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site of a copy, into build/site of that."""
    root = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", root / "docs")
    shutil.copy(ROOT / "mkdocs.yml", root)
    built = build(root)
    assert built.returncode == 0, built.stdout + built.stderr
    return root / "build/site"


def build(root: Path) -> "subprocess.CompletedProcess[str]":
    """Run what `make docs` runs."""
    require_module("zensical")
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def site_page(site: Path, page: Path) -> Path:
    """Return what a page of docs/ becomes."""
    name = page.relative_to(ROOT / "docs").with_suffix(".html")
    return site / (name.with_name("index.html") if name.stem == "README" else name)


def is_foreign(address: str) -> bool:
    """Whether a browser asks another host for it."""
    return bool(urlsplit(address).netloc)


def test_every_page_is_built(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        assert site_page(site, page).exists()


def test_every_block_of_code_is_a_block_of_its_page(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        assert "```" not in site_page(site, page).read_text(), page.name


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    loaded = {address for page in pages for address in Addresses(page).loaded}

    assert any(address.endswith(".css") for address in loaded)
    assert {address for address in loaded if is_foreign(address)} == set()
    for page in pages:
        assert [word for word in ASKING if word in page.read_text()] == []


def test_no_stylesheet_loads_anything_from_another_host(site: Path) -> None:
    sheets = list(site.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        text = sheet.read_text()
        addresses = re.findall(r"""url\(\s*["']?(?!data:)([^)"']+)|@import\s+["']([^"']+)""", text)
        assert [each for pair in addresses for each in pair if is_foreign(each)] == []


def test_every_link_of_the_site_leads_to_one_of_its_files(site: Path) -> None:
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # written for the root of a server
            continue
        for address in Addresses(page).linked + Addresses(page).loaded:
            path = unquote(urlsplit(address).path)
            if not is_foreign(address) and path not in ("", "."):
                assert (page.parent / path).exists(), f"{page.name}: {address}"


@pytest.mark.slow
def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path) -> None:
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("# A page\n\n[Another](nowhere.md)\n")

    built = build(tmp_path)

    assert built.returncode != 0
    assert "page does not exist" in built.stdout + built.stderr
