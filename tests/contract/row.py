"""Rows of the contract, each asked on a connection of its own while Ada, Bob and Eva are stored."""

from quart_fleet.conventions import PREFIX
from scaffold.api.row import Records, Row
from scaffold.api.table import contract_of

from .people import ALL_USERS, make_records
from .wire import exchange, spell

CONTRACT = contract_of("user-service")


async def find_deviation(row: Row, port: int, records: Records | None = None) -> str | None:
    """Say how the service on this port departs from the row, None where it does not.

    Without `records` it holds the people; a request that is refused must have changed none of
    them.
    """
    stored = records or make_records()
    request = spell(row.method, PREFIX + stored.path_of(row), row.headers, row.body)
    faults = stored.find_faults(row, await exchange(port, request))
    if not faults and row.is_refused and records is None and not await nothing_written(port):
        return "the refused request changed what is stored"
    return "\n".join(faults) or None


async def nothing_written(port: int) -> bool:
    """Tell whether all people are as they were stored."""
    return (await exchange(port, spell("GET", f"{PREFIX}/users"))).body == ALL_USERS
