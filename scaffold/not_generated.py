"""What the language says and the generator does not make yet: refused here, and only here."""

from scaffold.language import types
from scaffold.language.description import ResourceDescription
from scaffold.language.scanner import Scanner, listed

TYPES = [
    "items",
]


def refuse_not_generated(description: ResourceDescription) -> None:
    """Raise MisuseError for what no template has: a word leaves these lists with its generation."""
    for field in description.fields:
        scanner = Scanner(str(field))
        if field.type.name in TYPES:
            generated = [name for name in types.TYPES if name not in TYPES]
            problem = f"The type {field.type.name} is not generated yet"
            scanner.refuse(problem, f"Types: {listed(generated)}", len(field.name) + 1)
        if field.type.name == "many" and (field.shortest or 0) > 2:
            problem = "A many of three and more is not generated yet"
            scanner.refuse(problem, "Leave the length out.", scanner.text.index(":length") + 1)
    kinds = {field.type.name for field in description.fields}
    if not description.has_active and kinds <= {"many", "items"}:
        problem = "A resource whose table has no column of its own is not generated yet"
        Scanner("_active").refuse(problem, "Leave it out, or add a field that is no many.", 0)
    if any(field.secret for field in description.fields) and "field" in {
        field.name for field in description.fields
    }:
        problem = "A secret beside a field of the name 'field' is not generated yet"
        Scanner("field").refuse(problem, "Choose another name.", 0)
