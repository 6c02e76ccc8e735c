"""What a measurement needs of a service and no service has: a route that takes its time."""

from benchmarks.workspace import Workspace

SLOW = "/api/v1/slow"
_ROUTE = '''

@bp.get("/slow/<int:milliseconds>")
async def slow(milliseconds: int) -> Response:
    """Answer after a while."""
    await asyncio.sleep(milliseconds / 1000)
    return APIResponse.success()
'''


def add_slow_route(workspace: Workspace) -> None:
    """Give the generated service a route that answers after so many milliseconds."""
    path = workspace.service / "infrastructure" / "web" / "controllers.py"
    text = path.read_text()
    path.write_text(
        text.replace("from quart import", "import asyncio\n\nfrom quart import", 1) + _ROUTE
    )
