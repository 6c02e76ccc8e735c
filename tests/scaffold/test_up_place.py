"""Where a fleet that is up is found, and what kind of folder its workspace is in."""

import os
import socket
from pathlib import Path

import pytest

from scaffold.errors import ScaffoldError
from scaffold.supervisor.place import Place
from scaffold.supervisor.watching import find_remote


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
    assert place.is_free()
    with place.held():
        assert [*place.folder.iterdir()] == []
        assert not place.is_free()
        assert not place.is_up()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place.socket))
            listener.listen()
            assert place.is_up()
            with pytest.raises(ScaffoldError, match="up already"), place.held():
                pass
    assert place.is_free()


def test_the_folder_of_a_fleet_is_this_users_alone(tmp_path: Path) -> None:
    place = Place(tmp_path / "fleet")
    assert not place.is_up()
    place.folder.mkdir(mode=0o755)
    place.folder.chmod(0o755)
    with pytest.raises(ScaffoldError, match="is not a folder of this user alone"):
        place.is_up()
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
