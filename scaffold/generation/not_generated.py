"""What the language says and the generator does not make yet: refused here, and only here."""

from scaffold.generation.samples import distinct_samples
from scaffold.language.description import FieldDescription, ResourceDescription
from scaffold.language.scanner import Scanner


def refuse_not_generated(description: ResourceDescription) -> None:
    """Raise MisuseError for what no template has: a word leaves these lists with its generation."""
    for field in (field for each in (description, *description.parts) for field in each.fields):
        scanner = Scanner(str(field))
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
    _refuse_parts(description)


def _refuse_parts(description: ResourceDescription) -> None:
    """Raise MisuseError for what parts have not yet."""
    parts = {part.name: part for part in description.parts}
    for field in (field for part in description.parts for field in part.fields):
        if field.secret:
            scanner = Scanner(str(field))
            problem = "A secret of a part is not generated yet"
            scanner.refuse(problem, "Leave it out.", scanner.text.index(":secret") + 1)
        if field.type.name == "many":
            problem = f"The type {field.type} is not generated in parts yet"
            Scanner(str(field)).refuse(problem, "Make the part a resource.", len(field.name) + 1)
    for field in description.fields:
        scanner = Scanner(str(field))
        part = parts.get(field.type.target)
        if field.type.name == "items" and part:
            _refuse_too_few(field, part)
    states = {action.field for action in description.actions}
    changed = [one for one in description.fields if not (one.fixed or one.name in states)]
    if changed and not description.has_active and all(one.type.name == "items" for one in changed):
        problem = f"{description.name} changes by its items alone, which is not generated yet"
        Scanner(description.name).refuse(problem, "Give it another field, or is_active.", 0)


def _refuse_too_few(items: FieldDescription, part: ResourceDescription) -> None:
    """Raise MisuseError where the generated tests have not as many values as parts have to differ."""
    fields = {field.name: field for field in part.fields}
    wanted = max(items.shortest or 0, 2)
    count = wanted if items.longest is None else min(wanted, items.longest)
    for names in [*((field.name,) for field in part.fields if field.unique), *part.unique]:
        if all(len(distinct_samples(fields[name], count)) < count for name in names):
            problem = f"{count} items that differ in {' and '.join(names)} are not generated yet"
            scanner = Scanner(str(items))
            at = scanner.text.find(":length") + 1 or len(items.name) + 1
            scanner.refuse(problem, "Want fewer of them, or let more values differ.", at)
