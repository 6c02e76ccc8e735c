"""Where a fleet that is up is found, and what kind of folder its workspace is in."""

import asyncio
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from scaffold.errors import ScaffoldError
from scaffold.supervisor.journal import Changes
from scaffold.supervisor.place import Place, SilentError
from scaffold.supervisor.watching import find_remote, watch
from scaffold.workspace import Workspace


def test_a_workspace_has_one_place_by_whatever_path_it_is_reached(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    (tmp_path / "link").symlink_to(one)

    assert Place.of(one) == Place.of(tmp_path / "link") != Place.of(other)
    assert len(os.fsencode(Place.of(tmp_path / ("x" * 200)).socket)) < 104


def test_a_place_is_held_by_one_and_what_a_killed_one_left_is_gone(tmp_path: Path) -> None:
    place = Place(tmp_path / "fleet")
    (place.folder / "live").mkdir(parents=True)
    place.folder.chmod(0o700)
    (place.folder / "0").touch()
    with place.held():
        assert [*place.folder.iterdir()] == []
        assert not place.is_up()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place.socket))
            listener.listen()
            assert place.is_up()
            with pytest.raises(ScaffoldError, match="up already"), place.held():
                pass
    assert not place.folder.exists()


def test_a_supervisor_that_takes_no_call_is_said_to_be_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scaffold.supervisor.place.ANSWER_TIMEOUT", 0.2)
    place = Place(tmp_path / "fleet")
    with place.held(), socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place.socket))
        listener.listen(0)
        called = place.find_connection()
        assert called is not None
        with called, pytest.raises(SilentError, match="up, but its process does not answer"):
            place.is_up()


def test_a_signal_before_the_reaper_knows_of_a_place_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path / "fleet")
    with pytest.raises(KeyboardInterrupt), place.held():
        raise KeyboardInterrupt
    assert not place.folder.exists()

    def interrupt(*_: object) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "lstat", interrupt)  # when it has been made
    with pytest.raises(KeyboardInterrupt), place.held():
        pass
    assert not place.folder.exists()


def test_the_folder_of_a_fleet_is_this_users_alone(tmp_path: Path) -> None:
    place = Place(tmp_path / "fleet")
    assert not place.is_up()
    place.folder.mkdir(mode=0o755)
    place.folder.chmod(0o755)
    with pytest.raises(ScaffoldError, match="is not a folder of this user alone"):
        place.is_up()
    with pytest.raises(ScaffoldError, match="is not a folder of this user alone"), place.held():
        pass
    place.folder.rmdir()
    place.folder.symlink_to(tmp_path)
    with pytest.raises(ScaffoldError, match="is not a folder of this user alone"), place.held():
        pass


def test_a_network_folder_is_known_by_its_file_system(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/sda1 / ext4 rw 0 0\nserver:/home /home/my\\040files nfs4 rw 0 0\n"
        "tmpfs /home/my\\040files/tmp tmpfs rw 0 0\n"
    )
    found = [
        find_remote(Path(each), mounts)
        for each in ("/work", "/home/my files/fleet", "/home/my files/tmp/fleet")
    ]
    assert found == ["", "nfs4", ""]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "Too many open files, of which "),
        (OverflowError("bind(): port must be 0-65535."), "OverflowError: bind(): port must be "),
    ],
)
def test_a_look_that_fails_is_told_and_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    (tmp_path / "services/user_service").mkdir(parents=True)
    told = list[str]()
    fleet = SimpleNamespace(
        workspace=Workspace(tmp_path), is_ending=False, holds_back=False,
        database=SimpleNamespace(pending=(), state="ready"),
        tell=lambda *news: told.append(news[1]),
        look_wanted=asyncio.Event(), looks_begun=0, looks_done=Changes(),
    )  # fmt: skip
    looks = 0

    def refuse(_path: Path, _pattern: str) -> Iterator[Path]:
        nonlocal looks
        looks += 1
        if looks < 3:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return iter(())

    async def refuse_change(*_: object) -> None:
        fleet.is_ending = looks > 6
        raise error

    monkeypatch.setattr(Path, "glob", refuse)
    monkeypatch.setattr("scaffold.supervisor.watching._Looks.take_up", refuse_change)
    asyncio.run(watch(cast("Any", fleet)))

    assert looks == 8  # two of each, before files are looked at and behind
    assert len(told) == 2
    assert told[0].startswith(f"A change is not taken up: {said}")
