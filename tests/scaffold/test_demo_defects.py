"""A demo of damaged services: each turns red at its own rows, and nowhere else."""

import re
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from scaffold.demo import command
from scaffold.demo.run import run_demo
from scaffold.errors import ScaffoldError

pytestmark = pytest.mark.slow

_CONTROLLERS = "infrastructure/web/controllers.py"
_LOSES_ALLOW = """
    @app.after_request
    async def lose(response):
        response.headers.pop("Allow", None)
        return response

    return app
"""


@pytest.fixture(scope="module")
def red() -> Result:
    """The demo of a fleet with a defect in each service."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "run_demo", partial(run_demo, prepare=_damage))
        return CliRunner().invoke(command.command, ["--no-install"])


def _damage(workspace: Path) -> None:
    """Slip five times: a message, a status, the form of a date, a reference, a header."""
    _edit(workspace, f"user_service/{_CONTROLLERS}", "User created", "User was created")
    _edit(workspace, f"product_service/{_CONTROLLERS}", 'successfully", 201', 'successfully"')
    dates = "order_service/application/dto/order_dto.py"
    iso = "Annotated[str, BeforeValidator(datetime.isoformat)]"
    _edit(workspace, dates, "import Field", "import BeforeValidator, Field")
    _edit(workspace, dates, "updated_at: datetime", f"updated_at: {iso}")
    directory = "order_service/infrastructure/adapters/product_directory.py"
    _edit(workspace, directory, "await self._client.missing(_GET, ids)", "set()")
    application = "notification_service/bootstrap.py"
    _edit(workspace, application, "    return app\n", _LOSES_ALLOW)


def _edit(workspace: Path, name: str, old: str, new: str) -> None:
    path = workspace / "services" / name
    text = path.read_text("utf-8")
    assert text.count(old) == 1, f"{name}: {old!r}"
    path.write_text(text.replace(old, new), "utf-8")


@pytest.mark.parametrize(
    ("service", "rows", "fault"),
    [
        (
            "user-service",
            [
                "POST /users 201 a user registers",
                "POST /users 201 nothing is trimmed, other keys are ignored",
                "POST /users 201 Ada registers",
                "POST /users 201 Bob registers",
                "POST /users 201 Eva registers",
                "POST /users 201 a user is created of a username and an email",
                "POST /users 201 a user is created of all fields",
                "POST /users 201 other keys are ignored in a creation",
            ],
            '"message":"User was created successfully"',
        ),
        (
            "product-service",
            [
                "POST /products 201 a new one is created",
                "POST /products 201 its name is enough",
                "POST /products 201 a lamp arrives",
                "POST /products 201 a desk arrives",
            ],
            "expected status 201, got 200",
        ),
        (
            "order-service",
            [
                "POST /orders 201 a user orders two products",
                "POST /orders 201 another user orders one",
                "GET /orders/1 200 an order is found by id",
                "GET /orders/code/A-1 200 an order is found by its code",
                "PUT /orders/1 200 an order goes to another user",
                "PATCH /orders/1 200 a patch replaces the lines",
                "POST /orders/1/pay 200 an order is paid",
                "POST /orders/1/cancel 200 a paid order is cancelled",
                "POST /orders/1/deactivate 200 an order is deactivated",
                "GET /orders/1 200 a deactivated order is still there",
                "GET /orders/active 200 the other order is active",
                "POST /orders 201 Ada's order arrives",
                "POST /orders 201 Bob's order arrives",
                "GET /orders/4 200 orders are read without the users",
                "GET /orders 200 the list holds all orders, oldest first",
                "GET /orders?buyer_id=39&count... 200 the orders of a user are counted",
                "GET /orders?sort=-code 200 orders are sorted",
                "GET /orders?limit=1 200 a page has as many orders as its limit",
                "POST /orders 422 a product that does not exist is named by its line",
                "POST /orders 422 what both other services miss is named at once",
                "PUT /orders/7 200 an update ignores the code and the status",
                "PATCH /orders/9 200 an empty patch changes nothing",
            ],
            '"updated_at":"<an HTTP date in UTC of now>"',
        ),
        (
            "notification-service",
            [
                "OPTIONS /health 200 OPTIONS of health tells its methods",
                *(
                    f"{method} /health 405 {method} is no method of /health"
                    for method in ("POST", "PUT", "PATCH", "DELETE", "TRACE")
                ),
                *(
                    f"{method} / 405 {method} is no method of /"
                    for method in ("POST", "PUT", "PATCH", "DELETE")
                ),
                "PATCH /notifications 405 PATCH is no method of /notifications",
                "POST /notifications/4 405 POST is no method of /notifications/{lamp}",
            ],
            "expected Allow: GET, HEAD, OPTIONS, got none",
        ),
    ],
    ids=["message", "status", "date and reference", "header"],
)
def test_a_defect_turns_its_rows_red(
    red: Result, service: str, rows: list[str], fault: str
) -> None:
    """And says what was expected and what came."""
    lines = [" ".join(line.split()) for line in red.output.splitlines()]
    marked = [line for line in lines if line.startswith(f"✗ {service} ")]

    assert [line.rsplit(" ", 2)[0] for line in marked] == [f"✗ {service} {row}" for row in rows]
    assert fault in "".join(red.output)


def test_a_defect_fails_the_whole_demo(red: Result) -> None:
    """With the number of red rows as its last word."""
    assert isinstance(red.exception, ScaffoldError)
    assert re.match(r"46 of \d+ checks failed\.", str(red.exception))
    assert red.exception.exit_code == 1
