"""What is made of a description, read without a workspace."""

import pytest

from scaffold.errors import MisuseError
from scaffold.generation.fleet import Fleet
from scaffold.generation.services import render_service
from scaffold.language.fleet import parse_fleet

LAMP = """
[lamp-service]
port = 8081

[lamp-service.lamp]
"""


def lamp_tests(fields: str) -> dict[str, str]:
    """Return the tests of a resource with some fields, by the names of their files."""
    [service] = Fleet.of(parse_fleet(f"{LAMP}{fields}\n")).services
    files = render_service(service, "fleet", "python")
    return {path.name: text for path, text in files.items() if path.parent.name == "tests"}


def test_a_list_is_asked_for_what_it_has_not() -> None:
    of_a_name = lamp_tests('name = "str(9):index"')["test_lamp_api.py"]
    of_a_colour = lamp_tests('colour = "str(9):index"')["test_lamp_api.py"]

    assert '"{PATH}?colour=red"' in of_a_name
    assert '"{PATH}?no-colour=red"' in of_a_colour
    assert '== ["no-colour"]' in of_a_colour


def test_a_list_is_sorted_once_by_a_field_with_indexes_of_both_orders() -> None:
    fields = 'code = "int:index"\nsize = "int"\n_index = ["-code", "-size", "size, code"]'

    assert (
        "for sort in ['id', 'created_at', 'code', 'size']:"
        in lamp_tests(fields)["test_lamp_api.py"]
    )


def test_any_number_of_rows_has_null_where_others_are_unique() -> None:
    tests = lamp_tests('twin = "ref(lamp)?:unique"')

    assert "if getattr(entity, name) is not None and any(" in tests["fakes.py"]
    assert "twin_id_is_taken_once" not in tests["test_lamp_use_cases.py"]
    assert "is not None" not in lamp_tests('code = "str(9):unique"')["fakes.py"]


def test_a_secret_is_sought_where_no_other_value_is_like_it() -> None:
    key = 'key = "email:secret"\ncode = "str(9):secret"'

    assert "SECRETS = ('key', 'code')" in lamp_tests(key)["test_lamp_secrets.py"]
    tests = lamp_tests(f'{key}\nmail = "email"')["test_lamp_secrets.py"]
    assert "SECRETS = ('code',)" in tests
    alone = lamp_tests('key = "email:secret"\nmail = "email"')["test_lamp_secrets.py"]
    assert "SECRETS" not in alone
    short = lamp_tests(
        "pin = 'str:secret:pattern(/[0-9]{4}/)'\nletter = 'str(1):secret:pattern(/[a-z]/)'"
    )
    assert "SECRETS" not in short["test_lamp_secrets.py"]


@pytest.mark.parametrize(("rule", "is_read"), [("", False), (", cascade", True)])
def test_what_refers_to_a_deleted_row_has_a_name_where_it_is_looked_at(
    rule: str, is_read: bool
) -> None:
    text = lamp_tests(f'code = "int"\ntwin = "ref(lamp{rule})?"')["test_lamp_api.py"]

    assert 'await created(client, OTHER_BODY | {"twin_id": target_id})' in text
    assert ("referring = " in text) is is_read


def test_more_rows_than_are_found_to_differ_are_refused() -> None:
    part = '\n[lamp-service.lamp.line]\nx = "bool"\ny = "bool"\nz = "bool"\nu = "bool"'
    pairs = '"x, y", "x, z", "x, u", "y, z", "y, u", "z, u"'
    lines = f'lines = "items(line):length({{}})"\n{part}\n_unique = [{pairs}]'

    assert lamp_tests(lines.format(2))
    with pytest.raises(MisuseError, match=r"4 lines were not found whose unique values differ:"):
        lamp_tests(lines.format(4))
