"""Files, terminals and file modes other than the usual ones: UTF-8, no byte order mark, umask 022."""

import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from tests.scaffold.commands import Completed, done, picture, refused, run, scaffold

ASCII_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""Files are opened and commands printed as ASCII, where nothing says otherwise."""

MARKS = "<<<<<<< HEAD\n{0}\n=======\n{0}\n>>>>>>> order\n"
TOLD = "Finish the merge: keep what is right of both sides, and delete the marks.\n"


@pytest.fixture
def whole(with_user_service: Path, fresh: Path) -> Path:
    """A workspace of the test's own, with a user service and all that `contracts` reads."""
    shutil.copytree(fresh / "shared", with_user_service / "shared", dirs_exist_ok=True)
    return with_user_service


def with_variables(folder: Path, variables: dict[str, str], *arguments: str) -> Completed:
    settings = [f"{name}={value}" for name, value in variables.items()]
    return run(folder, "env", *settings, sys.executable, "-m", "scaffold", *arguments)


def contracts(workspace: Path) -> Completed:
    return scaffold(workspace, "contracts")


def test_a_standard_file_that_is_closed_is_the_null_device(tmp_path: Path) -> None:
    script = (
        "import os, sys\nfrom quart_fleet.output import open_closed_files\nopen_closed_files()\n"
        "assert sys.stdin.read() == ''\nprint('unread', flush=True)\n"
        "numbers = [each.fileno() for each in (sys.stdin, sys.stdout, sys.stderr)]\n"
        "assert numbers == [0, 1, 2] and all(map(os.get_inheritable, numbers))\n"
        f"open({str(tmp_path / 'done')!r}, 'x')"
    )
    completed = run(
        *(tmp_path, "sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", script)
    )

    assert completed.returncode == 0
    assert (tmp_path / "done").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "sign"),
    [
        (ASCII_LOCALE, "Done: "),
        ({"PYTHONIOENCODING": "ascii"}, "Done: "),
        ({"PYTHONIOENCODING": "latin-1"}, "Done: "),
        ({"PYTHONIOENCODING": "utf-8"}, "✓ "),
    ],
)
def test_a_terminal_of_any_encoding_is_printed_to(
    tmp_path: Path, variables: dict[str, str], sign: str
) -> None:
    made = done(with_variables(tmp_path, variables, "init", "fleet"))
    generated = done(with_variables(tmp_path / "fleet", variables, "user-service", "8081"))
    listed = done(with_variables(tmp_path / "fleet", variables, "env"))

    assert made.startswith(f"{sign}fleet: ")
    assert generated.startswith(f"{sign}user-service is in services/user_service")
    assert "keep" in listed


@pytest.mark.slow
def test_what_a_terminal_cannot_print_is_escaped(with_user_service: Path) -> None:
    settings = with_user_service / "services/user_service/settings.py"
    text = settings.read_text().replace("    service_name", "    # ✓\n    service_name")
    settings.write_text(text, encoding="utf-8")

    fleet = with_user_service / "fleet.toml"
    fleet.write_text(fleet.read_text().replace("8081", "9000"))

    arguments = ("apply", "--diff")
    output = done(with_variables(with_user_service, {"PYTHONIOENCODING": "latin-1"}, *arguments))

    assert r"     # \u2713" in output


@pytest.mark.parametrize("variables", [ASCII_LOCALE, {"PYTHONIOENCODING": "latin-1"}])
def test_files_are_the_same_bytes_under_every_locale(
    tmp_path: Path, fresh: Path, variables: dict[str, str]
) -> None:
    done(with_variables(tmp_path, variables, "init", "fleet"))

    assert picture(tmp_path / "fleet") == picture(fresh)


@pytest.mark.slow
@pytest.mark.parametrize("umask", [0o077, 0o027, 0o022, 0o002])
def test_an_image_can_read_what_is_generated_under_any_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        done(scaffold(tmp_path, "init", "fleet"))
        done(scaffold(tmp_path / "fleet", "user-service", "8081"))
    finally:
        os.umask(before)

    modes = {
        path.relative_to(tmp_path / "fleet").as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in (tmp_path / "fleet").rglob("*")
    }
    assert modes.pop("services/user_service/.env") == 0o600
    assert modes.pop(".scaffold/undo.json") == 0o600
    assert modes.pop(".secrets") == 0o700
    secrets = [
        path
        for path in modes
        if path.startswith(".secrets/") and (tmp_path / "fleet" / path).is_file()
    ]
    assert {modes.pop(path) for path in secrets} == {0o444}
    write = 0o020 & ~umask  # a group that shares its files goes on sharing them
    assert set(modes.values()) <= {0o644 | write, 0o755 | write}
    assert stat.S_IMODE((tmp_path / "fleet").stat().st_mode) == 0o777 & ~umask


@pytest.mark.parametrize("arguments", [("order-service", "8082"), ("contracts",), ("env",)])
def test_conflict_marks_in_the_project_file_are_told_by_line(
    with_user_service: Path, arguments: tuple[str, ...]
) -> None:
    project = with_user_service / "pyproject.toml"
    project.write_text("[project]\nname = 'x'\n" + MARKS.format("version = '1'"))
    before = picture(with_user_service)

    message = refused(scaffold(with_user_service, *arguments))

    assert message == f"Error: Conflict marks in pyproject.toml: line 3. {TOLD}"
    assert picture(with_user_service) == before


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("compose.yaml", 1),
        ("services/compose.yaml", 1),
        ("services/user_service/.env", 1),
        ("services/user_service/settings.py", 1),
        ("shared/models/user.py", 1),
        ("db_manager/migrations/versions/3ef43f3fe70a_create_users.py", 1),
    ],
)
def test_conflict_marks_in_what_a_generation_reads_are_told(
    with_user_service: Path, file: str, line: int
) -> None:
    (with_user_service / file).write_text(MARKS.format("x"))
    before = picture(with_user_service)

    message = refused(scaffold(with_user_service, "order-service", "8082"))

    assert message == f"Error: Conflict marks in {file}: line {line}. {TOLD}"
    assert picture(with_user_service) == before


@pytest.mark.parametrize(
    "file",
    [
        "shared/models/user.py",
        "services/user_service/domain/entities/user.py",
        "services/user_service/requirements.txt",
    ],
)
def test_conflict_marks_in_a_file_are_one_line_of_contracts(whole: Path, file: str) -> None:
    path = whole / file
    text = path.read_text()
    path.write_text(text + MARKS.format("x = 1"))

    message = refused(contracts(whole))

    first = text.count("\n") + 1
    assert message == f"Error: Conflict marks in {file}: line {first}. {TOLD}"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[project]\nname = 'é'\n".encode("latin-1"), "The byte 0xe9, which is not UTF-8, in {0}: line 2"),
        ("[tool.scaffold]\n".encode("utf-16"), "UTF-16 instead of UTF-8 in {0}: line 1"),
        (b"[tool.scaffold]\n\nx = \n", "Syntax error in {0}: line 3"),
        (b"[tool.scaffold]\nx = [\n", "Syntax error in {0}: line 2"),
    ],
)  # fmt: skip
def test_an_unreadable_project_file_is_told_by_line(
    workspace: Path, content: bytes, told: str
) -> None:
    (workspace / "pyproject.toml").write_bytes(content)

    message = refused(scaffold(workspace, "user-service", "8081"))

    assert message.startswith(f"Error: {told.format('pyproject.toml')}")
    assert message.count("\n") == 1


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""])
@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
@pytest.mark.slow
def test_a_byte_order_mark_and_other_line_ends_are_read(
    workspace: Path, mark: bytes, newline: bytes
) -> None:
    for file in (
        "pyproject.toml",
        "services/compose.yaml",
        "compose.yaml",
        "shared/models/user.py",
    ):
        path = workspace / file
        path.write_bytes(mark + path.read_bytes().replace(b"\n", newline))

    done(scaffold(workspace, "user-service", "8081"))

    listed = (workspace / "services/compose.yaml").read_bytes()
    assert listed.startswith(mark + b"#")
    assert listed.endswith(b"- user_service/compose.yaml" + newline)
    assert (listed.count(b"\r\n") > 0) == (newline == b"\r\n")


@pytest.mark.slow
def test_other_folders_beside_the_services_are_left_alone(whole: Path) -> None:
    services = whole / "services"
    for file in (
        "frontend/package.json",
        "frontend/node_modules/node-gyp/gyp/gyp_main.py",
        "frontend/.env",
        "gateway/domain/main.go",
        "docs/index.md",
        "scripts/seed.py",
    ):
        (services / file).parent.mkdir(parents=True, exist_ok=True)
        (services / file).write_text("PORT=8081\n")

    assert done(contracts(whole)).endswith("rules hold in shared, user_service.\n")
    done(scaffold(whole, "order-service", "8082"))
    before = picture(whole)
    message = refused(scaffold(whole, "frontend", "8083"))
    assert "services/frontend is no service, and holds other files. Choose another" in message
    assert picture(whole) == before


@pytest.mark.slow
def test_services_may_be_a_link(whole: Path) -> None:
    services = whole / "services"
    services.rename(whole / "code")
    services.symlink_to("code")

    done(scaffold(whole, "order-service", "8082"))
    output = done(contracts(whole))

    assert output.endswith("rules hold in shared, order_service, user_service.\n")
    assert (whole / "code/order_service/app.py").is_file()
    with (services / "order_service/domain/entities/order.py").open("a") as entity:
        entity.write("\nimport quart\n")
    broken = contracts(whole)
    assert broken.returncode == 1
    assert broken.stdout.startswith("services/order_service/domain/entities/order.py:")
