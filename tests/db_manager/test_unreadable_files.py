"""Files of the workspace that cannot be read end a command with one line that names them."""

import pytest

from tests.db_manager.workspace_copy import WorkspaceCopy

MARKS = "<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> order\n"


@pytest.mark.slow
@pytest.mark.parametrize("command", [("check",), ("revision", "-m", "x"), ("status",)])
def test_conflict_marks_in_a_model_are_one_line(
    copy: WorkspaceCopy, command: tuple[str, ...]
) -> None:
    copy.run("migrate")
    text = copy.user_model.read_text()
    copy.user_model.write_text(text + MARKS)

    outcome = copy.run(*command)

    line = text.count("\n") + 1
    assert outcome.code == 1
    assert outcome.err.startswith(f"Error: Conflict marks in shared/models/user.py: line {line}. ")
    assert outcome.err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("pyproject.toml", MARKS.encode(), "Conflict marks in pyproject.toml: line 1. "),
        ("pyproject.toml", "\n# é\n".encode("latin-1"), "The byte 0xe9, which is not UTF-8, in "),
        ("shared/config.py", MARKS.encode(), "Conflict marks in shared/config.py: line 1. "),
        ("shared/models/base.py", "x = 1\n".encode("utf-16"), "UTF-16 instead of UTF-8 in shared"),
    ],
)
def test_other_unreadable_files_are_told(
    copy: WorkspaceCopy, file: str, content: bytes, told: str
) -> None:
    (copy.folder / file).write_bytes(content)

    outcome = copy.run("check")

    assert outcome.code == 1
    assert outcome.err.startswith(f"Error: {told}")
    assert outcome.err.count("\n") == 1
