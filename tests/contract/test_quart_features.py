"""What Quart promises of an application, of a real service that starts anywhere.

tests/chassis/test_quart_promises.py has all of it, without a server.
"""

import os
import shutil
from pathlib import Path

import pytest

from .service import running
from .wire import Answer, exchange, spell

CONTROLLERS = """
from quart import Blueprint, render_template, session, url_for

admin = Blueprint("admin", __name__, url_prefix="/admin")


@admin.get("/page")
async def page() -> str:
    session["visits"] = session.get("visits", 0) + 1
    return await render_template("page.html", visits=session["visits"])


@admin.get("/where")
async def where() -> str:
    return url_for(".page") + " " + url_for("static", filename="a.txt")
"""


@pytest.fixture(scope="module")
def extended(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose user service has pages, a session, and files of its own."""
    ignored = shutil.ignore_patterns("__pycache__")
    root = tmp_path_factory.mktemp("features") / "workspace"
    shutil.copytree(workspace, root, ignore=ignored, symlinks=True)
    home = root / "services/user_service"
    controllers = home / "infrastructure/web/controllers.py"
    controllers.write_text(controllers.read_text() + CONTROLLERS)
    bootstrap = home / "bootstrap.py"
    text, blueprints = bootstrap.read_text(), "blueprints=[controllers.bp]"
    assert blueprints in text
    bootstrap.write_text(text.replace(blueprints, "blueprints=[controllers.bp, controllers.admin]"))
    for name, content in {"templates/page.html": "visit {{ visits }}", "static/a.txt": "A"}.items():
        (home / name).parent.mkdir()
        (home / name).write_text(content)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("plain", ["0", "1"])
async def test_pages_sessions_and_files_are_served_wherever_it_starts(
    plain: str, extended: Path, database_url: str, tmp_path: Path
) -> None:
    mode = {"QUART_FLEET_PLAIN": plain}

    async with running(
        extended, database_url, tmp_path / "log", mode, folder=Path(os.sep)
    ) as service:

        async def get(path: str, cookie: str = "") -> Answer:
            headers = {"Cookie": cookie} if cookie else {}
            return await exchange(service.port, spell("GET", path, headers))

        first = await get("/api/v1/admin/page")
        cookie = str(first.find("Set-Cookie")).partition(";")[0]
        second = await get("/api/v1/admin/page", cookie)
        where, file = await get("/api/v1/admin/where"), await get("/static/a.txt")
        users, page = await get("/api/v1/users"), await get("/api/v1/page")

    assert (first.status, first.body, second.body) == (200, b"visit 1", b"visit 2")
    assert where.body == b"/api/v1/admin/page /static/a.txt"
    assert file.body == b"A"
    assert (users.status, page.status) == (200, 404)
