"""What the demo says: how its steps go to stderr, what it found to stdout."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import click

from scaffold.demo.examination import Result
from scaffold.demo.fleet import Service


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a whole demo found."""

    services: Sequence[Service]
    results: Sequence[Result]
    seconds: float

    @property
    def failed(self) -> list[Result]:
        """The rows that were not as the contract has them."""
        return [result for result in self.results if not result.passed]


class Report(Protocol):
    """Who hears of results."""

    def check(self, result: Result) -> None:
        """Hear of one, as soon as it is there."""

    def outcome(self, outcome: Outcome) -> None:
        """Hear of the whole."""


class TextReport:
    """A line for each check, and a summary."""

    def check(self, result: Result) -> None:
        """Print its line; a failed one is followed by what was expected and what came."""
        mark = click.style("✓", fg="green") if result.passed else click.style("✗", fg="red")
        request = result.request
        where = f"{request.method:<7} {_shortened(request.path or '/'):<28} {result.status}"
        click.echo(
            f"{mark} {result.service:<20} {where}  {result.row}  {result.milliseconds:.1f} ms"
        )
        for fault in result.faults:
            click.echo(f"    {fault}")

    def outcome(self, outcome: Outcome) -> None:
        """Print where each service was, how its checks went, and which failed."""
        click.echo()
        for service in outcome.services:
            own = [result for result in outcome.results if result.service == service.name]
            passed = sum(result.passed for result in own)
            click.echo(f"{service.name:<20}  {service.url}  {passed} of {len(own)} checks passed")
        total = len(outcome.results)
        passed = total - len(outcome.failed)
        colour = "red" if outcome.failed else "green"
        line = f"{passed} of {total} checks passed in {outcome.seconds:.1f} s."
        click.echo(click.style(line, fg=colour, bold=True))


class JsonReport:
    """One object at the end."""

    def check(self, result: Result) -> None:
        """Wait for the whole."""

    def outcome(self, outcome: Outcome) -> None:
        """Print it."""
        services = [{"name": each.name, "url": each.url} for each in outcome.services]
        checks = [_as_json(result) for result in outcome.results]
        document = {
            "passed": not outcome.failed,
            "seconds": round(outcome.seconds, 1),
            "services": services,
            "checks": checks,
        }
        click.echo(json.dumps(document, indent=2))


@contextmanager
def step(title: str) -> Iterator[None]:
    """Say what is being done, then how long it took."""
    click.echo(f"{title} ... ", nl=False, err=True)
    began = time.perf_counter()
    try:
        yield
    except BaseException:
        click.echo(click.style("failed", fg="red"), err=True)
        raise
    click.echo(f"{time.perf_counter() - began:.1f} s", err=True)


def _as_json(result: Result) -> dict[str, object]:
    return {
        "service": result.service,
        "method": result.request.method,
        "path": result.request.path,
        "row": result.row,
        "passed": result.passed,
        "milliseconds": round(result.milliseconds, 1),
        "faults": list(result.faults),
    }


def _shortened(path: str) -> str:
    return path if len(path) <= 28 else f"{path[:25]}..."
