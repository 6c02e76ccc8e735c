"""What may name a field."""

import keyword
import re

from scaffold.language.scanner import Scanner

LONGEST_NAME = 40
"""Characters of a field's name: constraints are named after its table and it, in 63 at most."""

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_BASE_COLUMNS = ("id", "created_at", "updated_at", "is_active")
_PARAMETERS = ("limit", "after", "sort", "q", "count")
_OF_GENERATED_CODE = (
    *("str", "int", "bool", "float", "dt", "true", "func", "mapped_column", "uuid4", "utc_now"),
    *("update", "deactivate", "ensure_valid"),
)
"""What a class body of the generated code calls or has as a method."""


def check_name(scanner: Scanner, name: str) -> None:
    """Raise MisuseError for what cannot name a field."""
    if not NAME.fullmatch(name):
        scanner.refuse(
            f"{name or scanner.text[:1]!r} cannot name a field"
            if name or scanner.text
            else "A field has no name",
            "A name is in snake case: letters from a to z, digits, single underscores, as in unit_price.",
            0,
        )
    reasons = {
        f"a name of {len(name)} characters is too long": len(name) > LONGEST_NAME,
        f"{name!r} is a keyword of Python": keyword.iskeyword(name),
        f"{name!r} is a column of every table": name in _BASE_COLUMNS,
        f"{name!r} is a parameter of every list": name in _PARAMETERS,
        f"{name!r} is a word of the generated code": name in _OF_GENERATED_CODE,
    }
    for reason, holds in reasons.items():
        if holds:
            allowed = f"Choose another word, of at most {LONGEST_NAME} characters."
            scanner.refuse(f"This cannot name a field, since {reason}", allowed, 0)
