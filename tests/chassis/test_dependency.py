"""Dependencies: what a controller is given, by the application that runs it."""

from typing import assert_type

import pytest
from quart import Blueprint, Quart

from quart_fleet.web import Dependency
from tests.chassis.services import make_service


class Greeter:
    def __init__(self, greeting: str) -> None:
        self.greeting = greeting


greeter = Dependency[Greeter]()
other_greeter = Dependency[Greeter]()
bp = Blueprint("greetings", __name__)


@bp.get("/greeting")
async def greet() -> str:
    return greeter().greeting


@bp.get("/greetings")
async def greet_twice() -> str:
    return f"{greeter().greeting} {other_greeter().greeting}"


async def answer(app: Quart, path: str) -> str:
    response = await app.test_client().get(f"/api/v1{path}")
    return str(await response.get_data(as_text=True))


async def test_two_applications_of_one_process_share_nothing() -> None:
    one, two = make_service(bp), make_service(bp)
    greeter.bind(one, Greeter("Hello"))
    greeter.bind(two, Greeter("Good day"))

    answers = [await answer(app, "/greeting") for app in (one, two, one)]

    assert answers == ["Hello", "Good day", "Hello"]


async def test_two_dependencies_of_one_type_are_two() -> None:
    app = make_service(bp)
    greeter.bind(app, Greeter("Hello"))
    other_greeter.bind(app, Greeter("Good day"))

    assert await answer(app, "/greetings") == "Hello Good day"


async def test_what_is_bound_again_is_replaced() -> None:
    app = make_service(bp)
    greeter.bind(app, Greeter("Hello"))
    greeter.bind(app, Greeter("Good day"))

    assert await answer(app, "/greeting") == "Good day"


async def test_what_is_not_bound_names_itself_and_the_remedy() -> None:
    app = make_service(bp, {"SERVICE_NAME": "greeting-service"})
    other_greeter.bind(app, Greeter("Hello"))

    async with app.app_context():
        with pytest.raises(RuntimeError) as error:
            greeter()

    assert str(error.value) == (
        "Dependency[Greeter] is not bound in the application 'greeting-service': "
        "call its bind(app, value) in bootstrap.py, after build_app"
    )


def check_types(app: Quart) -> None:
    """For mypy, which reports an ignore that is not needed; never called."""
    assert_type(greeter(), Greeter)
    greeter.bind(app, "Hello")  # type: ignore[arg-type]  # it is no Greeter
