"""The demo's output: its steps go to stderr, its results to stdout."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import click

from quart_fleet.output import mark
from scaffold.demo.checks import Result
from scaffold.demo.fleet import Service

_PATH_WIDTH = 28


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a whole demo found.

    Args:
        running: the workspace whose services go on running; None where they have been stopped.
    """

    services: Sequence[Service]
    results: Sequence[Result]
    seconds: float
    running: Path | None = None

    @property
    def failed(self) -> list[Result]:
        """The rows that were not as the contract has them."""
        return [result for result in self.results if not result.passed]

    def count(self, service: Service) -> tuple[int, int]:
        """Return how many of the service's rows passed, and how many there are."""
        own = [result for result in self.results if result.service == service.name]
        return sum(result.passed for result in own), len(own)


class Report(Protocol):
    """A form of the output."""

    def check(self, result: Result) -> None:
        """Take one result, as soon as it is there."""

    def outcome(self, outcome: Outcome) -> None:
        """Take all of them."""


class TextReport:
    """A line for each check, and a summary."""

    def check(self, result: Result) -> None:
        """Print its line; a failed one is followed by what was expected and what came."""
        sign = (
            click.style(mark("✓", "ok"), fg="green")
            if result.passed
            else click.style(mark("✗", "no"), fg="red")
        )
        path = result.path or "/"
        if len(path) > _PATH_WIDTH:
            path = f"{path[: _PATH_WIDTH - 3]}..."
        request = f"{result.row.method:<7} {path:<{_PATH_WIDTH}} {result.row.status}"
        title = f"{result.row.title}  {result.milliseconds:.1f} ms"
        click.echo(f"{sign} {result.service:<20} {request}  {title}")
        for fault in result.faults:
            click.echo(f"    {fault}")

    def outcome(self, outcome: Outcome) -> None:
        """Print how the checks of each service went, and its address while it answers there."""
        click.echo()
        for service in outcome.services:
            passed, total = outcome.count(service)
            address = f"{service.url}  " if outcome.running else ""
            click.echo(f"{service.name:<20}  {address}{passed} of {total} checks passed")
        total = len(outcome.results)
        passed = total - len(outcome.failed)
        colour = "red" if outcome.failed else "green"
        line = f"{passed} of {total} checks passed in {outcome.seconds:.1f} s."
        click.echo(click.style(line, fg=colour, bold=True))


class JsonReport:
    """One object at the end of the checks."""

    def check(self, result: Result) -> None:
        """Wait for the others."""

    def outcome(self, outcome: Outcome) -> None:
        """Print it; the workspace and the addresses are in it while the services run."""
        services = []
        for service in outcome.services:
            passed, total = outcome.count(service)
            place: dict[str, object] = {}
            if outcome.running:
                place = {"url": service.url, "metrics": service.metrics}
            counts = {"passed": passed, "checks": total}
            services.append({"name": service.name, "port": service.port, **counts, **place})
        checks = [
            {
                "service": result.service,
                "method": result.row.method,
                "path": result.path,
                "row": result.row.title,
                "passed": result.passed,
                "milliseconds": round(result.milliseconds, 1),
                "faults": list(result.faults),
            }
            for result in outcome.results
        ]
        document: dict[str, object] = {
            "passed": not outcome.failed,
            "seconds": round(outcome.seconds, 1),
            "services": services,
            "checks": checks,
        }
        if outcome.running:
            document["workspace"] = str(outcome.running)
        click.echo(json.dumps(document, indent=2))


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print what is being done, then how long it took."""
    click.echo(f"{title} ... ", nl=False, err=True)
    began = time.perf_counter()
    try:
        yield
    except BaseException:
        click.echo(click.style("failed", fg="red"), err=True)
        raise
    click.echo(f"{time.perf_counter() - began:.1f} s", err=True)
