"""The demo from end to end: made, started, asked, stopped and removed."""

import os
import shlex
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_hex

import click

from scaffold.api.row import Records
from scaffold.demo.checks import Result, check, check_metrics
from scaffold.demo.fleet import (
    USUAL_PORTS,
    RunningService,
    Service,
    await_exits,
    generate,
    started,
)
from scaffold.demo.report import Outcome, Report, step
from scaffold.demo.workspace import (
    Installation,
    Sandbox,
    TemporaryDatabase,
    borrow_interpreter,
    install,
    make_workspace,
)
from scaffold.signals import Interrupted
from scaffold.supervisor.ports import ANY, reserved_ports
from scaffold.supervisor.processes import Processes, SignalGuard, guarded
from scaffold.supervisor.reaper import Reaper


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
    guard: SignalGuard
    stack: ExitStack = field(default_factory=ExitStack)
    kept: list[str] = field(default_factory=list)
    """Lines about what stays, printed when nothing runs any more."""

    def run(self) -> Outcome:
        """Do everything but the cleanup; raises ScaffoldError or Interrupted."""
        began = time.perf_counter()
        sandbox = self._open_sandbox()
        with step("Making a workspace"):
            make_workspace(sandbox)
        if self.options.install:
            with step("Installing it, with all it needs, into its own .venv"):
                installation = install(sandbox)
        else:
            installation = borrow_interpreter(sandbox)
        running = self._start(installation)
        services = [each.service for each in running]
        results: list[Result] = []

        def publish(result: Result) -> None:
            results.append(result)
            self.report.check(result)

        paused = sandbox.processes.paused
        processes = {each.service.name: each.process for each in running}
        records = Records()
        for service in services:
            check(service, publish, records, lambda name: paused(processes[name]))
            publish(check_metrics(service))
        outcome = Outcome(services, results, time.perf_counter() - began)
        if self.options.keep:
            self.report.outcome(replace(outcome, running=sandbox.workspace))
            with suppress(Interrupted):  # from the moment that the way to end it is printed
                _say(
                    f"The services answer until Ctrl-C (or: kill {os.getpid()}). "
                    f"To try one: curl {services[0].url}users\n"
                    f"Their workspace is {sandbox.workspace}, their logs are in {sandbox.logs}; "
                    "both stay on disk."
                )
                await_exits(running, _say)
        return outcome

    def close(self) -> None:
        """Stop everything, then remove it or say where it is kept."""
        try:
            with step("Stopping" if self.options.keep else "Stopping and removing everything"):
                self.stack.close()
        finally:
            self.stack.close()  # still open where the terminal is gone and the step not printed
            for line in self.kept:
                _say(line)

    def _open_sandbox(self) -> Sandbox:
        with self.guard.deferred():
            reaper = self.stack.enter_context(Reaper())
            sandbox = Sandbox.make(Processes(self.guard, reaper))
            if self.options.keep:
                self.kept.append(
                    f"Kept: {sandbox.workspace}, with its logs in {sandbox.logs}\n"
                    f"To remove it: rm -r {shlex.quote(str(sandbox.root))}"
                )
            else:
                self.stack.callback(sandbox.remove)
                reaper.watch(sandbox.root)
        return sandbox

    def _start(self, installation: Installation) -> Sequence[RunningService]:
        if self.options.keep:
            self.kept.append(
                "To start a service again:\n"
                f"  cd {shlex.quote(str(installation.sandbox.workspace))}\n"
                f"  {installation.command_line('services/user_service/app.py')}"
            )
        compilation = installation.compiling() if self.options.install else nullcontext()
        wanted = (*USUAL_PORTS.values(), *[ANY] * len(USUAL_PORTS))
        with reserved_ports(wanted) as reserved:
            ports, metrics = reserved.ports[: len(USUAL_PORTS)], reserved.ports[len(USUAL_PORTS) :]
            services = list(map(Service, USUAL_PORTS, ports, metrics))
            with step(f"Generating {', '.join(USUAL_PORTS)}"), compilation:
                generate(services, installation)
            addresses = {each.variable: f"http://127.0.0.1:{each.port}" for each in services}
            installation = self._open_database(installation).with_variables(addresses)
            with step("Setting up the database and migrating it"):
                installation.run("migrate", "-m", "db_manager", "migrate")
            self.prepare(installation.sandbox.workspace)
            with step("Starting the services"):
                reserved.hand_over()
                return self.stack.enter_context(started(services, installation))

    def _open_database(self, installation: Installation) -> Installation:
        """Return the installation with the settings of services in production."""
        settings = {"DEBUG": "False", "SECRET_KEY": token_hex()}
        url = os.environ.get("DATABASE_URL")
        if not url:
            self.stack.callback(installation.stop_embedded_server)
            # The embedded server is for development and tests.
            return installation.with_variables({**settings, "TESTING": "True"})
        with self.guard.deferred():
            database = TemporaryDatabase.create(url)
            if self.options.keep:
                self.kept.append(
                    f"Its data stays in the database {database.name} on the server of "
                    "DATABASE_URL: name it there to go on, drop it when you are done."
                )
            else:
                self.stack.callback(database.drop)
        libpq = {name: value for name, value in os.environ.items() if name.startswith("PG")}
        return installation.with_variables({**libpq, **settings, "DATABASE_URL": database.url})


def run_demo(
    options: Options, report: Report, prepare: Callable[[Path], None] = lambda _: None
) -> Outcome:
    """Run it; `prepare` gets the workspace when it is generated, before the services start.

    With `options.keep` it returns when a signal has come, or when no service runs any more.
    Raises ScaffoldError, or Interrupted; in any case nothing runs afterwards, and nothing is left
    on disk unless it is to be kept.
    """
    began = time.perf_counter()
    with guarded() as guard:
        demo = Demo(options, report, prepare, guard)
        try:
            outcome = demo.run()
        finally:
            guard.ignore()
            demo.close()
    if not options.keep:
        outcome = replace(outcome, seconds=time.perf_counter() - began)
        report.outcome(outcome)
    return outcome


def _say(line: str) -> None:
    click.echo(line, err=True)
