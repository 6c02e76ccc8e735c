"""A service that is followed: it asks its database, and where it is said, another one of its kind."""

import os

from pydantic import BaseModel
from quart import Quart
from sqlalchemy import bindparam, text

from quart_fleet.clients import Clients, Operation
from quart_fleet.database import Database
from quart_fleet.database._statement import Statement
from quart_fleet.database._transaction import Transaction
from quart_fleet.dto import ResponseDTO
from quart_fleet.server import serve, start
from quart_fleet.settings import ServiceSettings
from quart_fleet.web import Answer, Blueprint, Envelope, build_app

ASKED = Statement(text("SELECT count(*) AS n FROM pg_class WHERE relname <> 'a literal' AND relname <> :name"
                       ).bindparams(bindparam("name", "a parameter")))  # fmt: skip
FAILED = Statement(text("SELECT 'a secret'::int"))


class Thing(ResponseDTO):
    id: int


class Called(BaseModel):
    id: int


GET = Operation("GET", "/things/{record_id}", Called)


def make_app() -> Quart:
    config = ServiceSettings()
    database = Database(config)
    bp = Blueprint("things", __name__, url_prefix="/things")
    app = build_app(config, database, blueprints=[])
    other = os.environ.get("OTHER_URL")
    client = Clients(app, config).of("other-service", other) if other else None

    @bp.get("/<int:thing_id>")
    async def get_thing(thing_id: int) -> Answer[Thing]:
        async with Transaction(database) as transaction:
            await transaction.fetch(ASKED, {"name": "a parameter"})
        if client is not None:
            await client.call(GET, {"record_id": thing_id})
        return Envelope.success(Thing(id=thing_id))

    @bp.get("/failed")
    async def fail() -> Answer[Thing]:
        async with Transaction(database) as transaction:
            await transaction.fetch(FAILED)
        return Envelope.success(Thing(id=1))

    app.register_blueprint(bp, url_prefix="/api/v1/things")
    return app


app = start(make_app)

if __name__ == "__main__":
    serve(app, "tests.chassis.followed:app")
