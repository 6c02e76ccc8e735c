"""A peer in another language is left out, with the reason, where its programs are missing."""

import pytest

from benchmarks import competitors
from benchmarks.competitors import Competitor
from benchmarks.languages import Build

UNBUILDABLE = Build("none", {"no-such-compiler": "its-package"}, (), ("server",), {})


def test_a_missing_program_is_named_with_the_package_that_has_it() -> None:
    missing = UNBUILDABLE.find_missing()

    assert missing == "no-such-compiler is not there; Debian's package is its-package"


def test_a_peer_that_cannot_be_built_is_left_out_and_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    peer = Competitor("none", "Some other language", build=UNBUILDABLE)
    monkeypatch.setattr(competitors, "IN_OTHER_LANGUAGES", (peer,))

    assert competitors.available() == competitors.PYTHON_ALONE
    assert "left out: Some other language (no-such-compiler is not" in capsys.readouterr().err
