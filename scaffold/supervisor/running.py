"""A fleet from its first process to its last: started, told of, and ended."""

import asyncio
import os
import sys
import time
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from scaffold.errors import ScaffoldError
from scaffold.signals import Interrupted, not_ignored
from scaffold.supervisor import control, keys
from scaffold.supervisor.database import VARIABLES
from scaffold.supervisor.fleet import Fleet, Options
from scaffold.supervisor.journal import DATABASE
from scaffold.supervisor.page.server import page_of
from scaffold.supervisor.place import Place
from scaffold.supervisor.reaper import Reaper
from scaffold.supervisor.screen import Screen
from scaffold.supervisor.watching import watch
from scaffold.workspace import Service, Workspace


async def run(
    workspace: Workspace, services: Sequence[Service], options: Options, place: Place, lock: int
) -> None:
    """Have the services up until a signal; raises ScaffoldError, with nothing left running."""
    screen = Screen([DATABASE, *(each.called for each in services)])
    with Reaper(lock) as reaper:
        reaper.watch(place.folder)
        fleet = Fleet(workspace, options, place.folder, reaper, screen)
        for number in not_ignored():
            asyncio.get_running_loop().add_signal_handler(number, fleet.stop)
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
            fleet.say("Everything has ended.")


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
    """Say when all of them serve for the first time, and where; tell of pending revisions."""
    await fleet.until(lambda: fleet.is_settled(fleet.services))
    screen.is_silent = fleet.options.in_background
    if not fleet.is_ready:
        await fleet.look_at_revisions()
        await fleet.until(lambda: fleet.is_ready)
    services = list(fleet.services.values())
    count = "1 service" if len(services) == 1 else f"{len(services)} services"
    fleet.say(f"{count} ready in {time.monotonic() - began:.1f} s:")
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
    if not fleet.database.heads:
        await fleet.look_at_revisions()


def _actions(fleet: Fleet) -> dict[str, Callable[[], None]]:
    """Return what the keys do."""

    async def migrate() -> None:
        await fleet.migrate()

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
        "m": lambda: fleet.spawn(migrate()),
        "r": restart,
        "o": open_page,
        "q": fleet.stop,
    }
