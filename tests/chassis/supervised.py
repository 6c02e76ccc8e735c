"""A service that is started with a listener of another process: `python -m tests.chassis.supervised`."""

import os

from quart_fleet.server import serve, start
from quart_fleet.web import Blueprint
from tests.chassis.services import make_service

bp = Blueprint("whoami", __name__)


@bp.get("/pid")
async def get_pid() -> dict[str, int]:
    return {"pid": os.getpid(), "parent": os.getppid()}


app = start(lambda: make_service(bp, {"SERVICE_NAME": "supervised-service"}))

if __name__ == "__main__":
    serve(app, "tests.chassis.supervised:app")
