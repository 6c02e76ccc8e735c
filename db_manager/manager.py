"""The operations of the database manager, each a method that returns what it did."""

from alembic import command

from db_manager.connection import Target
from db_manager.lock import migration_lock
from db_manager.runner import Say, run


class DatabaseManager:
    """Reads and changes the schema of one database.

    Args:
        target: the database.
        say: takes a line for the user while an operation runs.
    """

    def __init__(self, target: Target, say: Say) -> None:
        self._target = target
        self._say = say

    async def migrate(self, revision: str = "head") -> list[str]:
        """Bring the database up to `revision`; return the ids of what was applied."""
        async with migration_lock(self._target, self._say):
            return await self._upgrade(revision)

    async def _upgrade(self, revision: str) -> list[str]:
        return await run(self._target, lambda config: command.upgrade(config, revision), self._say)
