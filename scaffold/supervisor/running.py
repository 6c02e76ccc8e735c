"""A fleet from its first process to its last: started, told of, and ended."""

import asyncio
import os
import signal
import sys
import time
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, suppress

from scaffold.errors import ScaffoldError
from scaffold.signals import Interrupted, not_ignored
from scaffold.supervisor import control, keys
from scaffold.supervisor.database import VARIABLES
from scaffold.supervisor.fleet import Fleet, Options
from scaffold.supervisor.journal import DATABASE, FLEET
from scaffold.supervisor.page.server import page_of
from scaffold.supervisor.place import Place
from scaffold.supervisor.reaper import Reaper
from scaffold.supervisor.screen import Output, Screen
from scaffold.supervisor.service import SLOW_TIME
from scaffold.supervisor.watching import watch
from scaffold.workspace import Service, Workspace

_ENDED = "Everything has ended."


async def run(
    workspace: Workspace, services: Sequence[Service], options: Options, place: Place, lock: int
) -> None:
    """Have the services up until a signal; raises ScaffoldError, with nothing left running."""
    files = sys.stdout.fileno(), sys.stderr.fileno()
    with Output(*files) as output, ExitStack() as last, Reaper(lock) as reaper:
        screen = Screen([DATABASE, *(each.called for each in services)], output.write)
        reaper.watch(place.folder)
        fleet = Fleet(workspace, options, place.folder, reaper, screen)

        def end(number: signal.Signals) -> None:
            # Of a closed terminal the shell tells, and the kernel once more: that is no hurry.
            if not (number == signal.SIGHUP and fleet.is_ending):
                fleet.stop()

        for number in not_ignored():
            asyncio.get_running_loop().add_signal_handler(number, end, number)
        if Interrupted.is_raised:
            fleet.stop()
        async with control.serving(fleet, place):
            async with AsyncExitStack() as stack:
                stack.push_async_callback(fleet.end)
                for each in services:
                    fleet.add(each)
                await _prepare_database(fleet)
                if not fleet.is_ending:
                    await _serve(fleet, screen, stack)
            fleet.journal.add_news(FLEET, _ENDED)
        last.callback(screen.say, _ENDED)  # by when the reaper has ended too


async def _prepare_database(fleet: Fleet) -> None:
    """Start the embedded server where there is no other one, migrate, and store rows."""
    database, options = fleet.database, fleet.options
    if options.isolated:
        for name in VARIABLES:
            fleet.environment.pop(name, None)
    if options.isolated or not (database.named or {}).get("DATABASE_URL"):
        await database.start()
    if options.isolated:
        database.named = {"DATABASE_URL": database.url}
    is_migrated = options.migrates == "never" or fleet.is_ending or not await database.migrate()
    if not (is_migrated or fleet.is_ending):
        raise ScaffoldError(
            "The database is not migrated, and no service was started. Mend what it says, or leave "
            "the database as it is: --no-migrate"
        )
    if options.seed and not fleet.is_ending and await database.seed() and not fleet.is_ending:
        raise ScaffoldError(
            "The rows to begin with are not stored, and no service was started. Mend what it says, "
            "or start without --seed."
        )


async def _serve(fleet: Fleet, screen: Screen, stack: AsyncExitStack) -> None:
    began = time.monotonic() - (time.time() - fleet.since)
    fleet.keys = not fleet.options.in_background and keys.has_keys()
    for service in list(fleet.services.values()):
        fleet.start(service)
    if fleet.database.is_embedded:
        fleet.spawn(fleet.keep_database())
    await stack.enter_async_context(page_of(fleet))
    if fleet.keys:
        await stack.enter_async_context(keys.pressed(_actions(fleet)))
    tasks = [_announce(fleet, screen, began), *([watch(fleet)] if fleet.options.reload else [])]
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(each) for each in tasks]
        await fleet.ended()
        for task in running:
            task.cancel()
    fleet.say("Stopping ... (once more ends what still runs at once)")


async def _announce(fleet: Fleet, screen: Screen, began: float) -> None:
    """Say where the fleet is, even where a service does not start, and when all of them serve."""

    def count(number: int) -> str:
        return "1 service" if number == 1 else f"{number} services"

    with suppress(TimeoutError):
        async with asyncio.timeout(SLOW_TIME):
            await fleet.until(lambda: fleet.is_settled(fleet.services))
    services, is_ready = list(fleet.services.values()), fleet.is_ready
    ready = "{} ready in {:.1f} s"
    if is_ready:
        fleet.say(f"{ready.format(count(len(services)), time.monotonic() - began)}:")
    else:
        missing = count(sum(each.state != "ready" for each in services))
        fleet.say(f"{count(len(services))}, without {missing} so far:")
    for each in services:
        fleet.say(f"  {each.url}  {each.name}")
    if fleet.options.isolated:
        fleet.say(f"  their database: the embedded PostgreSQL in {fleet.workspace.postgres_folder}")
    if fleet.page:
        fleet.say(f"  {fleet.page}  the page, and all of them behind one address")
    if fleet.keys:
        page = "o open the page, " if fleet.page else ""
        fleet.say(f"Keys: m migrate, r restart all, {page}q quit.")
    else:
        ends = "python -m scaffold stop" if fleet.options.in_background else "Ctrl-C"
        fleet.say(f"{ends} ends them.")
    await fleet.until(lambda: fleet.is_settled(fleet.services))
    screen.is_silent = fleet.options.in_background
    await fleet.look_at_revisions()
    if not is_ready:
        await fleet.until(lambda: fleet.is_ready)
        fleet.say(f"{ready.format(count(len(fleet.services)), time.monotonic() - began)}.")


def _actions(fleet: Fleet) -> dict[str, Callable[[], None]]:
    """Return what the keys do."""

    def migrate() -> None:
        fleet.spawn(fleet.migrate())

    def restart() -> None:
        for each in fleet.services.values():
            each.want_another()

    def open_page() -> None:
        has_windows = sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & {*os.environ}
        if fleet.page and has_windows:  # else a browser would take this terminal
            asyncio.get_running_loop().run_in_executor(None, webbrowser.open, fleet.page)
        elif fleet.page:
            fleet.say(f"The page is at {fleet.page}")

    return {
        "m": migrate,
        "r": restart,
        "o": open_page,
        "q": fleet.stop,
    }
