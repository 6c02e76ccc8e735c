"""How the values of a column become those of another type, and what may be lost by it."""

from dataclasses import dataclass

from scaffold.language.description import Type

_UNLIMITED = 1 << 30
_WIDTHS = {"email": 320, "url": _UNLIMITED, "text": _UNLIMITED, "enum": 63}
"""Characters that a column holds; those of a str are its own."""
_DIGITS = {"int": (10, 0), "bigint": (19, 0), "ref": (19, 0), "float": (15, 0)}
"""Digits before the point, and behind it; those of a decimal are its own, of a float all count."""
_SQL = (
    {
        "int": "integer",
        "bigint": "bigint",
        "ref": "bigint",
        "float": "double precision",
        "bool": "boolean",
    }
    | {"date": "date", "time": "time", "datetime": "timestamptz"}
    | {"duration": "interval", "uuid": "uuid", "json": "jsonb"}
)
_ANEW = "PostgreSQL writes the table anew, and requests wait meanwhile"
_OTHERS = {
    ("bool", "int"): ("{}::integer", _ANEW),
    ("int", "bool"): ("{}::integer::boolean", "what is not 0 is true"),
    ("date", "datetime"): ("{}::timestamp AT TIME ZONE 'UTC'", "at midnight in UTC"),
    ("datetime", "date"): (
        "({} AT TIME ZONE 'UTC')::date",
        "the times of day are lost, of the days in UTC",
    ),
}


@dataclass(frozen=True, slots=True)
class Conversion:
    """From one type of column to another; it can be done again on what is converted already."""

    using: str | None
    """An expression of SQL with `{}` for the column; None where PostgreSQL needs none."""
    warning: str
    """What the user has to know, after "price is": empty where nothing is lost and the table is not
    written anew."""


def convert(old: Type, new: Type) -> Conversion | None:
    """Return the conversion, None where there is none: its values would have to be made up."""
    if _width(old) or _width(new):
        return _with_texts(old, new)
    if (digits := _digits(old)) and (room := _digits(new)):
        return _of_numbers(old, digits, new, room)
    using, change = _OTHERS.get((old.name, new.name), ("", ""))
    return Conversion(using, f"converted from {old} to {new}: {change}") if using else None


def _with_texts(old: Type, new: Type) -> Conversion:
    before, after = _width(old), _width(new)
    if before and after:
        # A cast would cut what is too long, an assignment refuses it.
        refused = f"narrowed to {new}: a longer value keeps the revision from being applied"
        return Conversion(None, refused if after < before else "")
    if after:
        return Conversion("{}::text", f"converted from {old} to {new}: {_ANEW}")
    refused = "a text that is none keeps the revision from being applied"
    return Conversion(f"{{}}::{_sql(new)}", f"converted from {old} to {new}: {refused}")


def _of_numbers(old: Type, digits: tuple[int, int], new: Type, room: tuple[int, int]) -> Conversion:
    if old.name == new.name and digits[1] == room[1] and digits[0] <= room[0]:
        return Conversion(None, "")  # only the catalogue changes
    is_exact = digits[0] <= room[0] and digits[1] <= room[1]
    if new.name == "float":
        is_exact = sum(digits) <= room[0]
    if is_exact and old.name != "float":
        return Conversion(None, f"widened to {new}: {_ANEW}")
    lost = "values are rounded, and one that is too great keeps the revision from being applied"
    return Conversion(f"{{}}::{_sql(new)}", f"converted from {old} to {new}: {lost}")


def _width(of: Type) -> int:
    """Return how many characters a type of texts holds, 0 for another type."""
    return of.width if of.name == "str" else _WIDTHS.get(of.name, 0)


def _digits(of: Type) -> tuple[int, int] | None:
    """Return the digits of a type of numbers before and behind the point, none for another type."""
    decimal = (of.precision - of.scale, of.scale)
    return decimal if of.name == "decimal" else _DIGITS.get(of.name)


def _sql(of: Type) -> str:
    decimal = f"numeric({of.precision}, {of.scale})"
    return decimal if of.name == "decimal" else _SQL[of.name]
