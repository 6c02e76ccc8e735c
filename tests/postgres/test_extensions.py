"""The extensions that the page on troubleshooting says the wheel's PostgreSQL has, and lacks."""

import re

from tests.postgres.owner import ROOT, get_wheel

PAGE = ROOT / "docs/troubleshooting.md"


def test_the_page_names_what_the_wheel_has_and_what_it_lacks() -> None:
    [told] = re.findall(r"The wheel's PostgreSQL has (.*?)\n- ", PAGE.read_text(), re.DOTALL)
    has, _, lacks = told.partition(",\n  not ")
    package, _ = get_wheel()
    there = {path.stem for path in package.rglob("*.control")}

    named, missing = (set(re.findall(r"`([\w-]+)`", text)) for text in (has, lacks.split(":")[0]))

    assert len(named) >= 3
    assert named <= there
    assert len(missing) >= 5
    assert missing.isdisjoint(there)
