"""The passwords of services behind a PgBouncer that asks for them, as CloudNativePG's does."""

from pathlib import Path

import asyncpg
import pytest

from db_manager.connection import open_target
from db_manager.manager import DatabaseManager
from quart_fleet.postgres import EmbeddedPostgres
from quart_fleet.settings import DatabaseSettings
from tests.contract.wire import TIMEOUT
from tests.pgbouncer.pooler import find_program, pooling


async def test_a_release_keeps_running_services_logged_in(tmp_path: Path) -> None:
    """The pooler opens connections by what a client proved at its login, before the release."""
    program = find_program()
    if program is None:
        pytest.skip("pgbouncer is not installed")
    async with (
        EmbeddedPostgres(tmp_path, durable=False) as server,
        open_target(DatabaseSettings.model_validate({"DATABASE_URL": server})) as target,
    ):
        manager = DatabaseManager(target, say=lambda _line: None)
        await manager.migrate(passwords={"user_service": "a-secret"})
        [rules] = tmp_path.rglob("pg_hba.conf")
        rules.write_text("local all user_service scram-sha-256\nlocal all all trust\n")
        admin = await asyncpg.connect(server)
        await admin.execute("SELECT pg_reload_conf()")
        await admin.close()
        async with pooling(program, server, asks=True) as pooler:
            url = pooler.url(server).replace("//postgres@", "//user_service:a-secret@")
            clients = [await asyncpg.connect(url, statement_cache_size=0) for _ in range(2)]

            await manager.migrate(passwords={"user_service": "a-secret"})

            for client in clients:  # the second has the pooler open another connection
                await client.execute("BEGIN; SELECT FROM users", timeout=TIMEOUT)
            for client in clients:
                await client.close()
