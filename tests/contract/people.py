"""The users in the database when a test begins, and how the contract spells them."""

import json

from quart_fleet.database._engine import Database
from scaffold.api.row import Records

ADA = (
    b'{"age":36,"created_at":"Fri, 02 Jan 2026 01:04:05 GMT","email":"ada@example.com",'
    b'"first_name":"Ada","id":1,"is_active":true,"last_name":"Lovelace",'
    b'"updated_at":"Sat, 03 Jan 2026 00:00:59 GMT","username":"ada"}'
)
BOB = (
    b'{"age":null,"created_at":"Sun, 08 Feb 2026 23:59:59 GMT","email":"bob@example.com",'
    b'"first_name":null,"id":2,"is_active":false,"last_name":null,'
    b'"updated_at":"Sun, 08 Feb 2026 23:59:59 GMT","username":"bob"}'
)
EVA = (
    b'{"age":-1,"created_at":"Mon, 23 Nov 2026 09:24:02 GMT","email":"\\u00e9va@example.com",'
    b'"first_name":"","id":3,"is_active":true,"last_name":"<O\'Neil> & \\"Co\\"",'
    b'"updated_at":"Mon, 23 Nov 2026 09:24:02 GMT","username":"\\u00c9va \\ud83d\\ude00\\ufffd"}'
)
ALL_USERS = b'{"data":[' + b",".join((ADA, BOB, EVA)) + b'],"message":"Success","success":true}\n'

NEXT_ID = 4
"""The id of the next user."""

_ARRIVAL = f"""
    DELETE FROM users;
    INSERT INTO users (id, username, email, first_name, last_name, age, is_active,
                       created_at, updated_at)
    VALUES
    (3, 'Éva 😀\ufffd', 'éva@example.com', '', '<O''Neil> & "Co"', -1, true,
     '2026-11-23 09:24:02Z', '2026-11-23 09:24:02Z'),
    (2, 'bob', 'bob@example.com', NULL, NULL, NULL, false,
     '2026-02-08 23:59:59.9Z', '2026-02-08 23:59:59.9Z'),
    (1, 'ada', 'ada@example.com', 'Ada', 'Lovelace', 36, true,
     '2026-01-02 03:04:05.678+02', '2026-01-03 00:00:59.999999Z');
    SELECT setval(pg_get_serial_sequence('users', 'id'), {NEXT_ID - 1})
"""
"""The youngest is stored first, so that an order must be asked for to be right."""


def make_records() -> Records:
    """Return the records that the contract's rows find in the table."""
    people = {"ada": ADA, "bob": BOB, "eva": EVA}
    return Records({name: json.loads(record) for name, record in people.items()}, NEXT_ID)


async def move_in(database: Database) -> None:
    """Have them, and no other users, in the table."""
    async with database.connect() as connection:
        await connection.execute(_ARRIVAL)
