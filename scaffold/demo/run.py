"""The demo from end to end: made, started, asked, stopped and removed."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from secrets import token_hex

from scaffold.demo.common_checks import check_common_routes
from scaffold.demo.database import OwnDatabase, stop_embedded_server
from scaffold.demo.examination import Examination, Result
from scaffold.demo.fleet import USUAL_PORTS, Service, generate, started
from scaffold.demo.interruption import Guard, guarded
from scaffold.demo.keeping import say_how_to_start, say_where, say_which_database
from scaffold.demo.ports import reserved_ports
from scaffold.demo.processes import Processes
from scaffold.demo.reaper import Reaper
from scaffold.demo.report import Outcome, Report, step
from scaffold.demo.resource_checks import check_resource
from scaffold.demo.sandbox import (
    Installation,
    Sandbox,
    borrow_interpreter,
    install,
    make_workspace,
)
from scaffold.demo.user_checks import check_users


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller chose."""

    install: bool = True
    keep: bool = False


@dataclass(slots=True)
class Demo:
    """One run; what it opens is closed by its stack."""

    options: Options
    report: Report
    prepare: Callable[[Path], None]
    guard: Guard
    stack: ExitStack = field(default_factory=ExitStack)
    kept: list[Callable[[], None]] = field(default_factory=list)
    """Words about what stays, for when nothing runs any more."""

    def run(self) -> tuple[list[Service], list[Result]]:
        """Do everything but the cleaning up; raises DemoError or Interrupted."""
        sandbox = self._open_sandbox()
        with step("Making a workspace"):
            make_workspace(sandbox)
        installation = self._install(sandbox)
        if self.options.keep:
            self.kept.append(partial(say_how_to_start, installation))
        meanwhile = installation.warming_up() if self.options.install else nullcontext()
        with reserved_ports(USUAL_PORTS.values()) as reserved:
            services = [Service(*pair) for pair in zip(USUAL_PORTS, reserved.ports, strict=True)]
            with step(f"Generating {', '.join(USUAL_PORTS)}"), meanwhile:
                generate(services, installation)
            installation = self._give_database(installation)
            with step("Setting up the database and migrating it"):
                installation.run("migrate", "-m", "db_manager", "migrate")
            self.prepare(sandbox.workspace)
            with step("Starting the services"):
                reserved.hand_over()
                self.stack.enter_context(started(services, installation))
        return services, self._ask(services)

    def close(self) -> None:
        """Stop everything, then remove it or say where it is kept."""
        try:
            with step("Stopping" if self.options.keep else "Stopping and removing everything"):
                self.stack.close()
        finally:
            for say in self.kept:
                say()

    def _open_sandbox(self) -> Sandbox:
        with self.guard.held():
            reaper = self.stack.enter_context(Reaper())
            sandbox = Sandbox.make(Processes(self.guard, reaper))
            self._at_the_end(sandbox.remove, partial(say_where, sandbox))
            if not self.options.keep:
                reaper.watch(sandbox.root)
        return sandbox

    def _install(self, sandbox: Sandbox) -> Installation:
        if self.options.install:
            with step("Installing it, with all it needs, into its own .venv"):
                return install(sandbox)
        return borrow_interpreter(sandbox)

    def _give_database(self, installation: Installation) -> Installation:
        # Services run as in production: compact JSON, and a secret that is not the sample.
        settings = {"DEBUG": "False", "SECRET_KEY": token_hex()}
        url = os.environ.get("DATABASE_URL")
        if not url:
            self.stack.callback(stop_embedded_server, installation)
            # Only development and tests may run on the embedded server.
            return installation.with_variables({**settings, "TESTING": "True"})
        with self.guard.held():
            database = OwnDatabase.create(url)
            self._at_the_end(database.drop, partial(say_which_database, database))
        return installation.with_variables({**settings, "DATABASE_URL": database.url})

    def _at_the_end(self, remove: Callable[[], None], say_kept: Callable[[], None]) -> None:
        if self.options.keep:
            self.kept.append(say_kept)
        else:
            self.stack.callback(remove)

    def _ask(self, services: Sequence[Service]) -> list[Result]:
        results: list[Result] = []

        def publish(result: Result) -> None:
            results.append(result)
            self.report.check(result)

        for service in services:
            with Examination(service, publish) as examination:
                check_common_routes(examination)
                check = check_users if service.resource == "user" else check_resource
                check(examination)
        return results


def run_demo(
    options: Options, report: Report, prepare: Callable[[Path], None] = lambda _: None
) -> Outcome:
    """Run it; `prepare` gets the workspace when it is generated, before the services start.

    Raises DemoError, or Interrupted; in any case nothing is left, unless it is to be kept.
    """
    began = time.perf_counter()
    with guarded() as guard:
        demo = Demo(options, report, prepare, guard)
        try:
            services, results = demo.run()
        finally:
            guard.hold()
            demo.close()
    outcome = Outcome(services, results, time.perf_counter() - began)
    report.outcome(outcome)
    return outcome
