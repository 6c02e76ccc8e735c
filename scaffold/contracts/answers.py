"""Whether every route says what it answers, and answers that: as the service's own document tells."""

import json
from collections.abc import Sequence

from scaffold.commands.openapi import COPY
from scaffold.commands.routes import ask
from scaffold.errors import ScaffoldError
from scaffold.workspace import SERVICES, Service


def find_undeclared(services: Sequence[Service]) -> list[str]:
    """Return a line for each route that does not say what it answers, or answers something else.

    Of a service that does not tell, it is why. A committed copy of the document is a line where it
    is not the present one.
    """
    lines = []
    for service, told in zip(services, ask(services, "--openapi"), strict=True):
        if isinstance(told, ScaffoldError):
            lines.append(str(told))
            continue
        copy = service.folder / COPY
        if copy.is_file() and copy.read_bytes() != told.encode():
            place = f"{SERVICES}/{service.package}/{COPY}"
            lines.append(
                f"{place} is not what the service answers now: python -m scaffold openapi --write"
            )
        for path, operations in json.loads(told)["paths"].items():
            for method, operation in operations.items():
                route = f"{service.called}: {method.upper()} {path}"
                if "x-undeclared" in operation:
                    lines.append(
                        f"{route} does not say what it answers: let its function return "
                        "Answer[...] of quart_fleet.web, or give the route a media_type."
                    )
                elif reason := operation.get("x-mismatch"):
                    lines.append(f"{route} declares another answer: {reason}.")
    return lines
