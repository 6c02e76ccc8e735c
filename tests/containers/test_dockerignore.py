"""What reaches a build: code, and neither secrets nor what only this machine needs."""

from pathlib import Path, PurePosixPath

import pytest

from tests.containers.ignored import build_context


def test_only_what_services_run_on_is_sent(lived_in: Path) -> None:
    context = build_context(lived_in)

    assert {path.parts[0] for path in context} == {
        *("db_manager", "pyproject.toml", "requirements.lock", "services", "shared", "vendor")
    }
    assert {path.parts[1] for path in context if path.parts[0] == "db_manager"} == {"migrations"}
    assert PurePosixPath("services/user_service/app.py") in context
    assert PurePosixPath("db_manager/migrations/versions/3ef43f3fe70a_create_users.py") in context


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        ".env.local",
        ".secrets",
        ".git",
        ".venv",
        ".postgres",
        "__pycache__",
        "tests",
        "seeds.py",
    ],
)
def test_no_secret_and_no_trace_of_work_is_sent(name: str, lived_in: Path) -> None:
    assert list(lived_in.rglob(name)), "the test has nothing to find"

    assert [path for path in build_context(lived_in) if name in path.parts] == []
