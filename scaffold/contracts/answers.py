"""Whether every route says what it answers, and answers that: as the service's own document tells."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from scaffold.applications import ask
from scaffold.errors import ScaffoldError
from scaffold.workspace import DOCUMENT, SERVICES, Service


@dataclass(frozen=True, slots=True)
class Answers:
    """What routes answer, a line for each that is not as it declares."""

    mismatched: list[str] = field(default_factory=list)
    """Routes that answer something else, services that do not tell, and committed copies of the
    document that are not the present one."""
    undeclared: list[str] = field(default_factory=list)
    """Routes that do not say what they answer, as controllers of before 0.4.0, or not in a way that
    their source shows: served as ever."""


def check_answers(services: Sequence[Service]) -> Answers:
    """Compare what each route declares with what it is seen to answer."""
    found = Answers()
    for service, told in zip(services, ask(services, "--openapi"), strict=True):
        if isinstance(told, ScaffoldError):
            found.mismatched.append(str(told))
            continue
        copy = service.folder / DOCUMENT
        if copy.is_file() and copy.read_bytes() != told.encode():
            place = f"{SERVICES}/{service.package}/{DOCUMENT}"
            found.mismatched.append(
                f"{place} is not what the service answers now: python -m scaffold openapi --write"
            )
        for path, operations in json.loads(told)["paths"].items():
            for method, operation in operations.items():
                route = f"{service.called}: {method.upper()} {path}"
                if "x-undeclared" in operation:
                    found.undeclared.append(
                        f"{route} does not say what it answers: let its function return "
                        "Answer[...] of quart_fleet.web, or give the route a media_type."
                    )
                elif reason := operation.get("x-mismatch"):
                    found.mismatched.append(f"{route} declares another answer: {reason}.")
                elif unseen := operation.get("x-unseen"):
                    found.undeclared.append(
                        f"{route} may answer what its document lacks, since its source does not show "
                        f"{unseen}: write statuses as numbers, in its function or one that it calls."
                    )
    return found
