"""What the language says and the generator does not make yet: refused here, and only here."""

from scaffold.language.description import ResourceDescription
from scaffold.language.scanner import Scanner

MODIFIERS = [
    "index",
]
OPTIONS = [
    "_index",
    "_unique",
    "_active",
    "_plural",
]


def refuse_not_generated(description: ResourceDescription) -> None:
    """Raise MisuseError for what no template has: a word leaves these lists with its generation."""
    for field in description.fields:
        scanner = Scanner(str(field))
        for modifier in MODIFIERS:
            if getattr(field, modifier):
                problem = f"The modifier {modifier} is not generated yet"
                place = scanner.text.index(f":{modifier}") + 1
                scanner.refuse(problem, "Leave it out.", place)
    used = {
        "_index": bool(description.index),
        "_unique": bool(description.unique),
        "_active": not description.has_active,
        "_plural": description.plural is not None,
    }
    for option in OPTIONS:
        if used[option]:
            Scanner(option).refuse(f"The option {option} is not generated yet", "Leave it out.", 0)
