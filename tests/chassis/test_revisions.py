"""The revisions as files: what Alembic would read of them, and why it could not."""

from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from quart_fleet.revisions import History

VERSIONS = Path(__file__).parents[2] / "db_manager/migrations/versions"
FIRST = 'revision = "aaa"\ndown_revision = None\n'


def alembic_of(versions: Path) -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(versions.parent))
    config.set_main_option("version_locations", str(versions))
    config.set_main_option("path_separator", "newline")
    return ScriptDirectory.from_config(config)


def write(folder: Path, **texts: str | bytes) -> Path:
    for name, text in texts.items():
        content = text if isinstance(text, bytes) else text.encode()
        (folder / f"{name}.py").write_bytes(content)
    return folder


def fault_of(folder: Path, **texts: str | bytes) -> str:
    [fault] = History.read(write(folder, **texts)).faults
    return fault


def test_heads_are_those_of_alembic(tmp_path: Path) -> None:
    write(
        tmp_path,
        a=FIRST,
        b='revision: str = "b"\ndown_revision: str | None = "aaa"',
        c='revision = "c"\ndown_revision = "aaa"\nbranch_labels = ("shop",)',
        d='revision = "d"\ndown_revision = ("b", "c")\nbranch_labels = depends_on = None',
        e='revision = "e"\ndown_revision = ["c"]\ndepends_on = ["b", "shop"]',
        __init__="",
    )
    (tmp_path / ".#a.py").symlink_to("user@host.1234")  # a lock of Emacs

    history = History.read(tmp_path)

    assert (history.heads, history.faults) == (("d", "e"), ())
    assert set(alembic_of(tmp_path).get_heads()) == set(history.heads)


def test_heads_of_this_workspace_are_those_of_alembic() -> None:
    assert set(alembic_of(VERSIONS).get_heads()) == set(History.read(VERSIONS).heads)


def test_tables_are_what_revisions_create_or_rename(tmp_path: Path) -> None:
    steps = (
        'def upgrade():\n    op.create_table("users")\n    op.create_table("jobs", schema="x")\n'
        '    op.rename_table("users", "members")\n'
    )

    assert History.read(write(tmp_path, a=FIRST + steps)).tables == {"users", "jobs", "members"}


def test_a_missing_parent_is_told_by_file_and_id(tmp_path: Path) -> None:
    child = 'revision = "bbb"\ndown_revision = "deadbeef0000"'
    assert fault_of(tmp_path, a=FIRST, b=child) == (
        f"{tmp_path}: b.py (revision bbb) follows revision deadbeef0000, which no file here holds: "
        "restore its file, or correct the id."
    )


def test_a_missing_parent_of_a_merge_is_told(tmp_path: Path) -> None:
    child = 'revision = "bbb"\ndown_revision = ("aaa", "ccc")'
    assert "b.py (revision bbb) follows revision ccc, " in fault_of(tmp_path, a=FIRST, b=child)


def test_a_missing_dependency_is_told(tmp_path: Path) -> None:
    child = 'revision = "bbb"\ndown_revision = "aaa"\ndepends_on = "ccc"'
    assert "b.py (revision bbb) depends on revision ccc, " in fault_of(tmp_path, a=FIRST, b=child)


def test_two_files_of_one_id_are_told_by_both_names(tmp_path: Path) -> None:
    assert fault_of(tmp_path, a=FIRST, a_copy=FIRST) == (
        f"{tmp_path}: a.py and a_copy.py are both revision aaa: "
        "delete one of them, or give it an id of its own."
    )


@pytest.mark.parametrize("parent", ["aaa", "bbb"])
def test_revisions_in_a_circle_are_told(tmp_path: Path, parent: str) -> None:
    texts = {"a": f'revision = "aaa"\ndown_revision = "{parent}"'}
    if parent == "bbb":
        texts["b"] = 'revision = "bbb"\ndown_revision = "aaa"'

    assert f": {', '.join(f'{name}.py' for name in texts)}: these" in fault_of(tmp_path, **texts)


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (f"{FIRST}<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> b\n", 3, "Conflict marks"),
        (f"{FIRST}x = 'é'\n".encode("latin-1"), 3, "The byte 0xe9, which is not UTF-8,"),
        (FIRST.encode("utf-16"), 1, "UTF-16 instead of UTF-8"),
        (f"{FIRST}\n\n\nx = (\n", 6, "Syntax error"),
        ("from alembic import op\n", 1, "No revision's id"),
        ("import uuid\nrevision = uuid.uuid4().hex\n", 2, "A computed revision"),
        (f"{FIRST}depends_on = [1]\n", 3, "A computed depends_on"),
    ],
)
def test_an_unreadable_revision_is_told_by_file_and_line(
    tmp_path: Path, content: str | bytes, line: int, words: str
) -> None:
    child = 'revision = "bbb"\ndown_revision = "aaa"'

    fault = fault_of(tmp_path, a=content, b=child)

    assert fault.startswith(f"{words} in {tmp_path}/a.py: line {line}. ")
    assert "\n" not in fault


@pytest.mark.parametrize(
    "content",
    [
        FIRST.encode("utf-8-sig"),
        FIRST.replace("\n", "\r\n").encode(),
        b"# -*- coding: latin-1 -*-\n# \xe9\n" + FIRST.encode(),
        f'"""Create users.\n\nNotes\n=======\n<<<<<<< quoted\n"""\n{FIRST}'.encode(),
        rf'{FIRST}_ = "\d"'.encode(),
    ],
    ids=["mark", "crlf", "coding", "quoted", "escape"],
)
def test_a_revision_that_python_reads_is_read(tmp_path: Path, content: bytes) -> None:
    history = History.read(write(tmp_path, a=content))

    assert (history.heads, history.faults) == (("aaa",), ())


def test_an_editors_lock_is_no_revision_and_a_link_to_nothing_is_told(tmp_path: Path) -> None:
    versions = write(tmp_path, a=FIRST)
    (versions / ".#a.py").symlink_to("ada@host.1")

    assert History.read(versions).faults == ()

    (versions / "b.py").symlink_to("nowhere")

    assert History.read(versions).faults == (
        f"{versions}/b.py cannot be read: No such file or directory.",
    )
