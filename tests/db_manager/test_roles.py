"""Least privilege: a service's role may use the tables of its own models, and nothing else."""

import asyncio
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from db_manager.connection import open_target
from db_manager.manager import DatabaseManager
from quart_fleet.settings import DatabaseSettings
from tests.db_manager.conftest import Run
from tests.db_manager.outcome import execute, fetch
from tests.db_manager.workspace_copy import WorkspaceCopy

ORDERS = """
from sqlalchemy import Column, Integer, Sequence, Table
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import BaseModel


class OrderModel(BaseModel):
    __tablename__ = "orders"
    __table_args__ = {"info": {"service": "order-service"}}

    total: Mapped[int] = mapped_column(Integer)


Table(
    "order_numbers",
    BaseModel.metadata,
    Column("number", Integer, Sequence("numbers"), primary_key=True, server_default=Sequence("numbers").next_value()),
    Column("asked", Integer, Sequence("asked")),
    info={"service": "order-service"},
)
"""


@pytest.fixture
def roles(fresh_database_url: str) -> dict[str, str]:
    """The addresses of two services' roles, on a server that other tests use too."""
    names = ("user_service", "order_service")
    for name in names:
        with suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
            execute(fresh_database_url, f"CREATE ROLE {name} LOGIN")
    return {name: logged_in(fresh_database_url, name) for name in names}


def logged_in(url: str, role: str) -> str:
    """Return the address with another user."""
    return url.replace("//postgres@", f"//{role}@")


@pytest.fixture
def shop(copy: WorkspaceCopy, roles: dict[str, str]) -> WorkspaceCopy:
    """A workspace with tables of two services, whose roles were granted them."""
    copy.add_model("order", ORDERS)
    made = copy.run("create-tables")
    line = "Granting DELETE, INSERT, SELECT, UPDATE on table orders to order_service\n"
    assert line in made.err, made.err
    return copy


def refused(url: str, statement: str) -> bool:
    """Say whether the server refuses a statement for want of a right."""
    try:
        fetch(url, statement)
    except asyncpg.InsufficientPrivilegeError:
        return True
    return False


def test_a_service_uses_its_own_tables_alone(shop: WorkspaceCopy, roles: dict[str, str]) -> None:
    own = roles["order_service"]

    execute(
        own,
        "INSERT INTO orders (total) VALUES (1)",
        "INSERT INTO order_numbers DEFAULT VALUES",
        "UPDATE orders SET total = 2",
        "DELETE FROM orders WHERE total = 3",
    )

    assert fetch(own, "SELECT total FROM orders") == [(2,)]
    assert fetch(own, "SELECT count(*) FROM alembic_version") == [(1,)]
    assert fetch(own, "SELECT nextval('asked')") == [(1,)]  # as SQLAlchemy would at an INSERT
    for statement in (
        "SELECT * FROM users",
        "DELETE FROM users",
        "TRUNCATE orders",
        "UPDATE alembic_version SET version_num = 'x'",
        "CREATE TABLE mine (id int)",
        "DROP TABLE orders",
        "COPY orders FROM PROGRAM 'true'",
        "CREATE ROLE mine",
    ):
        assert refused(own, statement), statement


def test_a_second_migration_grants_nothing(shop: WorkspaceCopy) -> None:
    assert shop.run("migrate").err == ""


def test_a_role_of_another_database_of_the_server_lacks_nothing(
    shop: WorkspaceCopy, roles: dict[str, str]
) -> None:
    """Where a database was migrated before there were roles, as by tests that make them."""
    execute(shop.url, "REVOKE ALL ON orders, alembic_version FROM order_service")

    told = shop.run("status")

    assert (told.code, told.err) == (0, "")


@pytest.mark.slow
def test_rights_that_a_service_lacks_are_told_and_granted(
    shop: WorkspaceCopy, roles: dict[str, str]
) -> None:
    """As after a way back that made a table anew while no model had it."""
    execute(shop.url, "REVOKE ALL ON orders FROM order_service")

    told = shop.run("status")

    assert told.code == 1
    assert "Rights of services are missing (order_service lacks DELETE, INSERT" in told.err
    assert "Run: python -m db_manager migrate" in told.err
    assert shop.run("check").code == 0
    shop.run("migrate")

    assert not refused(roles["order_service"], "SELECT * FROM orders")
    assert shop.run("status").code == 0


@pytest.mark.slow
def test_a_table_that_changes_its_service_changes_hands(
    shop: WorkspaceCopy, roles: dict[str, str]
) -> None:
    shop.add_model("order", ORDERS.replace("order-service", "user-service", 1))

    shop.run("migrate")

    assert refused(roles["order_service"], "SELECT * FROM orders")
    assert not refused(roles["user_service"], "SELECT * FROM orders")


@pytest.mark.slow
def test_a_table_without_a_service_is_the_owners_alone(
    shop: WorkspaceCopy, roles: dict[str, str]
) -> None:
    shop.add_model("order", ORDERS.replace('"service": "order-service"', "", 1))

    shop.run("migrate")

    assert refused(roles["order_service"], "SELECT * FROM orders")


def test_what_was_granted_by_hand_on_an_own_table_stays(
    shop: WorkspaceCopy, roles: dict[str, str]
) -> None:
    execute(
        shop.url,
        "GRANT TRUNCATE ON orders TO order_service",
        "GRANT SELECT ON SEQUENCE numbers TO order_service",
    )

    assert shop.run("migrate").err == ""

    execute(roles["order_service"], "TRUNCATE orders")


@pytest.mark.slow
def test_what_was_granted_by_hand_on_anothers_table_goes(
    shop: WorkspaceCopy, roles: dict[str, str]
) -> None:
    """Also a column, what was handed on, and where a table of the service is not there yet."""
    pending = """
Table("later", BaseModel.metadata, Column("id", Integer), info={"service": "order-service"})
"""
    shop.add_model("order", ORDERS + pending)
    execute(
        shop.url,
        "GRANT SELECT (email) ON users TO order_service",
        "GRANT DELETE ON users TO order_service WITH GRANT OPTION",
    )
    execute(roles["order_service"], "GRANT DELETE ON users TO PUBLIC")

    migrated = shop.run("migrate")

    assert migrated.err == "Revoking DELETE, SELECT on table users from order_service\n"
    assert refused(roles["order_service"], "SELECT email FROM users")
    assert refused(roles["order_service"], "DELETE FROM users")


def test_where_no_model_says_its_service_nothing_is_taken(
    shop: WorkspaceCopy, roles: dict[str, str]
) -> None:
    """As in a workspace of an earlier version, whose services may have roles made by hand."""
    shop.add_model("order", "")
    shop.user_model.write_text(shop.user_model.read_text().replace('"service"', '"of"'))
    app = shop.folder / "services/order_service/app.py"
    app.parent.mkdir(parents=True)
    app.touch()
    execute(shop.url, "GRANT SELECT ON users TO order_service")

    assert shop.run("migrate").err == ""

    assert not refused(roles["order_service"], "SELECT * FROM users")


@pytest.mark.slow
def test_a_table_that_is_left_out_is_neither_granted_nor_taken(
    shop: WorkspaceCopy, roles: dict[str, str]
) -> None:
    shop.set_in_project('unmanaged = ["order_numbers"]')
    execute(
        shop.url,
        "REVOKE INSERT ON order_numbers FROM order_service",
        "GRANT SELECT ON order_numbers TO user_service",
    )

    assert shop.run("migrate").err == ""


@pytest.mark.slow
def test_going_back_grants_what_is_made_anew(shop: WorkspaceCopy, roles: dict[str, str]) -> None:
    anew = 'op.execute("CREATE TABLE anew (LIKE orders); DROP TABLE orders; ALTER TABLE anew RENAME TO orders")'
    shop.add_revision("aaaa", shop.heads()[0], 'op.execute("SELECT 1")')
    [revision] = shop.versions.glob("aaaa_*.py")
    statements = anew.replace("; ", '")\n    op.execute("')
    revision.write_text(revision.read_text().replace("    pass", f"    {statements}"))
    shop.run("migrate")

    reverted = shop.run("downgrade", "-1", "--yes")

    assert "Granting DELETE, INSERT, SELECT, UPDATE on table orders" in reverted.err, reverted
    assert not refused(roles["order_service"], "SELECT * FROM orders")


@pytest.mark.slow
def test_revisions_run_where_no_role_is(copy: WorkspaceCopy) -> None:
    model = copy.user_model.read_text().replace('"user-service"', '"nowhere-service"')
    copy.user_model.write_text(model)

    migrated = copy.run("migrate")

    assert (migrated.code, "Granting" in migrated.err) == (0, False)


@pytest.mark.slow
def test_an_owner_with_the_name_of_a_service_keeps_every_table(
    shop: WorkspaceCopy, roles: dict[str, str]
) -> None:
    execute(
        shop.url,
        "ALTER TABLE users OWNER TO order_service",
        "ALTER TABLE orders OWNER TO order_service",
        "GRANT ALL ON SCHEMA public TO order_service",
    )

    shop.run("migrate")

    assert not refused(roles["order_service"], "SELECT * FROM users")


@pytest.mark.slow
def test_a_role_waits_for_the_migration_that_admits_it(
    shop: WorkspaceCopy, roles: dict[str, str]
) -> None:
    waiting = WorkspaceCopy.__new__(WorkspaceCopy)
    waiting.folder, waiting.url = shop.folder, roles["order_service"]
    execute(shop.url, "REVOKE ALL ON alembic_version FROM order_service")

    early = waiting.run("wait", "--timeout", "0")
    shop.run("migrate")
    late = waiting.run("wait", "--timeout", "0")

    assert early.code == 1
    assert early.err == (
        "Error: It was not migrated in time. Its revision cannot be read yet "
        "(permission denied for table alembic_version).\n"
    )
    assert (late.code, late.err) == (0, "")


@pytest.mark.slow
def test_a_database_that_is_closed_to_all_is_opened_to_its_services(
    shop: WorkspaceCopy, roles: dict[str, str]
) -> None:
    """Also to one without a table; which waits for it."""
    shop.add_model("order", "")
    app = shop.folder / "services/order_service/app.py"
    app.parent.mkdir(parents=True)
    app.touch()
    [(name,)] = fetch(shop.url, "SELECT current_database()")
    execute(
        shop.url,
        f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
    )
    waiting = WorkspaceCopy.__new__(WorkspaceCopy)
    waiting.folder, waiting.url = shop.folder, roles["order_service"]

    early = waiting.start("wait", "--timeout", "60")
    migrated = shop.run("migrate")
    _, err = early.communicate(timeout=60)

    assert f"Granting CONNECT on database {name} to order_service\n" in migrated.err
    assert (early.returncode, err) == (0, "")
    assert not refused(roles["order_service"], "SELECT * FROM alembic_version")


def test_a_role_that_is_not_there_yet_is_waited_for(run: Run, fresh_database_url: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", logged_in(fresh_database_url, "late_service"))

        refused_at_once = run("status")
        waited = run("wait", "--timeout", "0.3")

    assert 'role "late_service" does not exist' in refused_at_once.err
    assert waited.code == 1
    assert 'role "late_service" does not exist' in waited.err


async def test_a_migration_that_grants_is_waited_for(fresh_database_url: str) -> None:
    """Between its last revision and its grants, a service could not use a new table."""
    config = DatabaseSettings.model_validate({"DATABASE_URL": fresh_database_url})
    async with open_target(config) as target:
        manager = DatabaseManager(target, say=lambda _line: None)
        await manager.migrate()
        connection = await asyncpg.connect(fresh_database_url)
        await connection.execute(
            "SELECT pg_advisory_lock(hashtextextended('db_manager:' || current_database(), 0))"
        )

        waiting = asyncio.create_task(manager.wait(seconds=60))
        done, _ = await asyncio.wait({waiting}, timeout=0.5)
        await connection.close()
        await waiting

    assert not done


@pytest.mark.slow
def test_an_owner_that_may_makes_the_roles_of_a_folder(copy: WorkspaceCopy, tmp_path: Path) -> None:
    passwords = tmp_path / "roles"
    passwords.mkdir()
    name = f"svc_{copy.url.partition('/test_')[2].partition('?')[0]}"[:60]
    (passwords / name).write_text("a-secret\n")
    (passwords / "..data").mkdir()  # as Kubernetes mounts them
    owner = f"owner_{name}"[:60]
    execute(
        copy.url,
        f'CREATE ROLE "{owner}" LOGIN',
        f'GRANT CREATE ON SCHEMA public TO "{owner}"',
    )
    admin, copy.url = copy.url, logged_in(copy.url, owner)
    try:
        forbidden = copy.run("migrate", "--roles", str(passwords))
        execute(admin, f'ALTER ROLE "{owner}" CREATEROLE')
        made = copy.run("migrate", "--roles", str(passwords))
        stored = f"SELECT rolpassword FROM pg_authid WHERE rolname = '{name}'"
        secret = fetch(admin, stored)
        again = copy.run("migrate", "--roles", str(passwords))
        same_secret = fetch(admin, stored)
        execute(copy.url, f'GRANT SELECT ON users TO "{name}"')
        gone = copy.run("migrate")
        kept = fetch(
            admin,
            f"SELECT rolcanlogin, rolsuper, rolcreaterole FROM pg_roles WHERE rolname = '{name}'",
        )
    finally:
        execute(
            admin,
            f'DROP OWNED BY "{owner}" CASCADE',
            f'DROP ROLE IF EXISTS "{name}"',
            f'DROP ROLE "{owner}"',
        )

    assert forbidden.code == 1
    assert f"The role {name}: it cannot be made (permission denied to create role)" in forbidden.err
    assert "a-secret" not in forbidden.err
    assert (made.code, again.code) == (0, 0), made.err + again.err
    assert kept == [(True, False, False)]
    assert str(secret[0][0]).startswith("SCRAM-SHA-256$4096:")
    assert same_secret == secret  # else a PgBouncer logs in no more for those who are connected
    assert gone.err == f"Revoking SELECT on table users from {name}\n"  # its service is gone


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines", "p\u00e4ss".encode()])
def test_a_password_that_cannot_be_used_is_refused(
    run: Run, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "user_service").write_bytes(content)

    outcome = run("migrate", "--roles", str(tmp_path))

    assert outcome.code == 1
    assert outcome.err == (
        f"Error: {tmp_path / 'user_service'} holds no password that can be used: "
        "one line of ASCII.\n"
    )
