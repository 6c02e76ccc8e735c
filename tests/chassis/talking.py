"""A service that logs what it is asked to, in all the ways in which a process can."""

import asyncio
import logging
import os
import sys
import threading
import warnings
from collections.abc import AsyncIterator

import structlog
from quart import Blueprint, request

from quart_fleet.server import serve, start
from tests.chassis.services import make_service

bp = Blueprint("talking", __name__)
log = logging.getLogger("talking.stdlib")
structured = structlog.get_logger("talking.structlog")
tasks = set[asyncio.Task[None]]()


@bp.post("/say")
async def say() -> str:
    text = str(await request.get_data(as_text=True))
    log.info("%s", text, extra={text: text, "nested": {text: [text]}})
    structured.info("%d %s", text)
    structured.info(text, **{text: text}, nested=[{text: text}])
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("%s", text)
        structured.exception(text)
    logging.getLogger("sqlalchemy.engine").warning("%s", text)
    logging.getLogger("uvicorn.error").warning("%s", text)
    logging.getLogger("hypercorn.error").warning("%s", text)
    logging.getLogger(text).warning("of such a name")
    return ""


@bp.post("/count")
async def count_parts() -> str:
    return str(sum([len(part) async for part in request.body]))


@bp.get("/task/<int:number>")
async def begin_task(number: int) -> str:
    async def go_on() -> None:
        await asyncio.sleep(0.05)
        log.info("task %s", number)

    task = asyncio.create_task(go_on())
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    await asyncio.to_thread(log.info, "thread %s", number)
    return ""


@bp.get("/fail")
async def fail() -> str:
    raise RuntimeError("postgresql://app:hunter2@db/shop cannot be reached")


@bp.get("/lost")
async def lose_task() -> str:
    async def fail_unseen() -> None:
        raise RuntimeError("unseen")

    asyncio.create_task(fail_unseen())  # noqa: RUF006 - is to be lost
    await asyncio.sleep(0.01)
    return ""


@bp.get("/other")
async def other() -> str:
    warnings.warn("of warnings\nforged", stacklevel=1)

    def fail() -> None:
        raise RuntimeError("in a thread")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    return ""


@bp.get("/stream")
async def stream() -> AsyncIterator[bytes]:
    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1000
            await asyncio.sleep(0.01)

    return parts()


@bp.get("/torn")
async def tear() -> AsyncIterator[bytes]:
    async def parts() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        raise RuntimeError("torn")

    return parts()


@bp.get("/wait")
async def wait() -> str:
    await asyncio.sleep(3)
    return ""


@bp.get("/silence")
async def close_stderr() -> str:
    sys.stderr.close()
    return ""


@bp.get("/much/<int:count>")
async def say_much(count: int) -> str:
    for number in range(count):
        log.info("%s %s", number, "x" * 900)
    return ""


NAMES = ("LOG_LEVEL", "LOG_FORMAT", "SERVICE_PORT", "DEBUG", "SERVICE_NAME", "TRUSTED_PROXIES")
settings = {name: os.environ[name] for name in NAMES if name in os.environ}
app = start(lambda: make_service(bp, settings))
app.config["BODY_TIMEOUT"] = float(os.environ.get("BODY_TIMEOUT", "60"))

if __name__ == "__main__":
    serve(app, "tests.chassis.talking:app")
