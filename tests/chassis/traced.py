"""A service for the tests of traces, with a database and spans of its own."""

import asyncio
import logging
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from quart import Blueprint, Quart, abort, current_app
from sqlalchemy import BigInteger, bindparam, column, select, table, text

from quart_fleet.database import Database, Statement, Transaction
from quart_fleet.errors import NotFoundError, UnavailableError
from quart_fleet.observation import find_trace
from quart_fleet.server import serve, start
from quart_fleet.settings import ServiceSettings
from quart_fleet.web import build_app

if without := os.environ.get("TRACED_WITHOUT"):
    cast("dict[str, Any]", sys.modules)[without] = None  # as if it were not installed
VALUE = "a-bound-value"
READ = Statement(
    select(column("relname"))
    .select_from(table("pg_class", column("oid")))
    .where(column("oid") == bindparam("id", type_=BigInteger))
)
blueprint = Blueprint("things", __name__)
folder = Path(os.environ["TRACED_FOLDER"])
config = ServiceSettings.load(folder)
database = Database(config)


async def run(sql: str, **values: object) -> None:
    async with Transaction(database) as work:
        await work.execute(Statement(text(sql)), values)


@blueprint.get("/things/<id:thing_id>")
async def get(thing_id: int) -> dict[str, object]:
    await run("SELECT relname FROM pg_class WHERE oid = CAST(:id AS bigint)", id=thing_id)
    return {"trace": find_trace(), "process": os.getpid()}


@blueprint.get("/read/<id:thing_id>")
async def read(thing_id: int) -> dict[str, object]:
    async with Transaction(database) as work:
        row = await work.fetch_first(READ, {"id": thing_id})
    return {"found": row is not None}


@blueprint.post("/things")
async def create() -> str:
    async with Transaction(database) as work:
        await work.begin()
        await work.execute(Statement(text("CREATE TEMPORARY TABLE IF NOT EXISTS kept (id text)")))
        await work.execute(Statement(text("INSERT INTO kept VALUES (:value)")), {"value": VALUE})
        await work.commit()
    return "made"


@blueprint.get("/imported")
async def imported() -> dict[str, object]:
    return {"imported": [*sys.modules]}


@blueprint.get("/own")
async def own() -> str:
    # What a service without traces does not import is imported where there are some.
    tracer = import_module("opentelemetry.trace").get_tracer("of the owner")
    with tracer.start_as_current_span("reckon"):
        logging.getLogger("of.the.owner").info("reckoning")
        await run("SELECT 1 FROM pg_class")
        async with asyncio.TaskGroup() as group:
            group.create_task(run("SELECT 2 FROM pg_type"))
    return "reckoned"


@blueprint.get("/later")
async def later() -> str:
    async def work() -> None:
        await asyncio.sleep(0.05)
        await run("SELECT 3 FROM pg_proc")

    current_app.add_background_task(work)
    return "later"


@blueprint.get("/literals")
async def literals() -> str:
    await run(
        "SELECT 'a-literal', E'it\\'s a-literal', $$a-literal$$, 4711.25, oid /* a-literal */ "
        'FROM pg_class WHERE "relname" = :name -- a-literal',
        name=VALUE,
    )
    return "done"


@blueprint.get("/refused")
async def refused() -> str:
    kept = Statement(text("INSERT INTO kept_once VALUES (:value)"))
    async with Transaction(database) as work:
        await work.execute(
            Statement(text("CREATE TEMPORARY TABLE kept_once (id text PRIMARY KEY)"))
        )
        for _ in range(2):
            await work.execute(kept, {"value": VALUE})
    return "never"


@blueprint.get("/fails")
async def fails() -> str:
    try:
        await run("SELECT CAST(CAST(:value AS text) AS integer)", value=VALUE)
    except Exception as error:
        raise RuntimeError("the cause is below") from error  # password=of-a-source-line
    return "never"


@blueprint.get("/status/<int:status>")
async def answer(status: int) -> str:
    if status == 404:
        raise NotFoundError("Thing")
    if status == 503:
        raise UnavailableError("Nothing works")
    abort(status)


def create_app() -> Quart:
    if os.environ.get("TRACED_PROVIDER"):
        sdk = import_module("opentelemetry.sdk.trace")
        export = import_module("opentelemetry.sdk.trace.export")
        provider = sdk.TracerProvider()
        provider.add_span_processor(export.SimpleSpanProcessor(export.ConsoleSpanExporter()))
        import_module("opentelemetry.trace").set_tracer_provider(provider)
    app = build_app(config, database, folder=folder, blueprints=[blueprint])

    @app.before_serving
    async def begin() -> None:
        async def work() -> None:
            await run("SELECT 4 FROM pg_am")
            if "opentelemetry" in sys.modules:
                tracer = import_module("opentelemetry.trace").get_tracer("of the owner")
                with tracer.start_as_current_span("begin"):
                    logging.getLogger("of.the.owner").info("begun")

        app.add_background_task(work)

    return app


app = start(create_app)

if __name__ == "__main__":
    serve(app, "tests.chassis.traced:app")
