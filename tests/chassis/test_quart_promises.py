"""What Quart's documentation promises of an application, kept by `build_app`, lean and plain."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from quart import (
    Blueprint,
    Quart,
    Response,
    abort,
    after_this_request,
    current_app,
    flash,
    g,
    make_response,
    redirect,
    render_template,
    render_template_string,
    request,
    send_file,
    send_from_directory,
    session,
    stream_with_context,
    url_for,
    websocket,
)
from quart.datastructures import FileStorage
from quart.typing import ResponseTypes
from quart.typing import TestClientProtocol as Client
from quart.views import MethodView

from quart_fleet.database import Database
from quart_fleet.web import build_app
from tests.chassis.services import NO_DATABASE, SECRET, make_service
from tests.chassis.settings_of_service import Settings


@pytest.fixture(autouse=True, params=["lean", "plain"])
def serving(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The classes that answer."""
    kind: str = request.param
    monkeypatch.setenv("QUART_FLEET_PLAIN", str(int(kind == "plain")))
    return kind


async def text(response: Response) -> str:
    return str(await response.get_data(as_text=True))


async def got(app: Quart, path: str) -> str:
    response = await app.test_client().get(path)
    assert response.status_code == 200, await text(response)
    return await text(response)


def service_at(folder: Path, *blueprints: Blueprint) -> Quart:
    """An application whose folder is this one."""
    config = Settings.model_validate({"SECRET_KEY": SECRET, "DATABASE_URL": NO_DATABASE})
    return build_app(config, Database(config), folder=folder, blueprints=blueprints)


def answering(path: str, *, url_prefix: str | None = None, name: str = "pages") -> Blueprint:
    """A blueprint with one route, which says its own address."""
    bp = Blueprint(name, __name__, url_prefix=url_prefix)

    @bp.get(path)
    async def where() -> str:
        return url_for(".where")

    return bp


@pytest.mark.parametrize(
    ("url_prefix", "path"),
    [
        (None, "/api/v1/here"),
        ("", "/api/v1/here"),
        ("/", "/api/v1/here"),
        ("/admin", "/api/v1/admin/here"),
        ("admin", "/api/v1/admin/here"),
        ("/admin/", "/api/v1/admin/here"),
        ("/shops/<int:shop>", "/api/v1/shops/<int:shop>/here"),
        ("/api/v1", "/api/v1/here"),
        ("/api/v1/admin", "/api/v1/admin/here"),
        ("/api/v10", "/api/v1/api/v10/here"),
    ],
)
def test_a_blueprint_keeps_its_prefix(url_prefix: str | None, path: str) -> None:
    app = make_service(answering("/here", url_prefix=url_prefix))

    assert path in {rule.rule for rule in app.url_map.iter_rules()}


async def test_nested_blueprints_keep_theirs() -> None:
    admin = answering("/here", url_prefix="/admin", name="admin")
    staff = answering("/here", url_prefix="/staff", name="staff")
    staff.register_blueprint(answering("/here", name="plain"))
    admin.register_blueprint(staff)
    app = make_service(admin)

    assert await got(app, "/api/v1/admin/here") == "/api/v1/admin/here"
    assert "/api/v1/admin/staff/here" in await got(app, "/api/v1/admin/staff/here")


async def test_a_route_of_a_subdomain_is_found_there() -> None:
    bp = Blueprint("pages", __name__, subdomain="shop", url_prefix="/pages")

    @bp.get("/here")
    async def here() -> str:
        return url_for(".here")

    app = make_service(bp)
    app.subdomain_matching = True
    app.config["SERVER_NAME"] = "example.com"
    client = app.test_client()

    found = await client.get("/api/v1/pages/here", headers={"Host": "shop.example.com"})
    elsewhere = await client.get("/api/v1/pages/here", headers={"Host": "example.com"})

    assert (found.status_code, elsewhere.status_code) == (200, 404)


async def test_a_class_of_views_and_a_rule_added_by_hand_are_routes() -> None:
    bp = Blueprint("pages", __name__)

    class Page(MethodView):
        async def get(self, number: int) -> str:
            return f"page {number}"

    bp.add_url_rule("/pages/<int:number>", view_func=Page.as_view("page"))
    app = make_service(bp)
    app.add_url_rule("/elsewhere", "elsewhere", lambda: "elsewhere")

    assert await got(app, "/api/v1/pages/3") == "page 3"
    assert await got(app, "/elsewhere") == "elsewhere"


async def test_functions_of_a_blueprint_run_for_its_requests_alone() -> None:
    bp, other = answering("/here"), answering("/there", name="others")
    seen: list[str] = []

    @bp.before_request
    async def before() -> None:
        g.place = "here"

    @bp.after_request
    async def after(response: Response) -> Response:
        response.headers["X-Place"] = g.place
        return response

    @bp.teardown_request
    async def teardown(_error: BaseException | None) -> None:
        seen.append("teardown")

    @bp.before_app_request
    async def before_all() -> None:
        seen.append("before")

    bp.register_blueprint(other)
    app = make_service(bp)
    app.register_blueprint(answering("/nowhere", name="outside"))
    client = app.test_client()

    here = await client.get("/api/v1/here")
    outside = await client.get("/nowhere")

    assert (here.headers.get("X-Place"), outside.headers.get("X-Place")) == ("here", None)
    assert seen == ["before", "teardown", "before"]


async def test_error_handlers_of_a_blueprint_come_before_the_envelope() -> None:
    bp = Blueprint("pages", __name__)

    @bp.get("/missing")
    async def missing() -> str:
        return dict[str, str]()["nothing"]

    @bp.get("/gone")
    async def gone() -> str:
        abort(410)

    @bp.errorhandler(KeyError)
    async def say_key(error: KeyError) -> tuple[str, int]:
        return f"no {error.args[0]}", 418

    @bp.app_errorhandler(404)
    async def say_nowhere(_error: Exception) -> tuple[str, int]:
        return "nowhere", 404

    client = make_service(bp).test_client()

    answers = [await client.get(f"/api/v1/{path}") for path in ("missing", "gone", "unknown")]

    assert [answer.status_code for answer in answers] == [418, 410, 404]
    assert await text(answers[0]) == "no nothing"
    assert (await answers[1].get_json())["success"] is False
    assert await text(answers[2]) == "nowhere"


async def test_what_abort_is_told_is_answered() -> None:
    bp = Blueprint("pages", __name__)

    @bp.get("/response")
    async def response() -> str:
        abort(Response("as it stands", 402))

    @bp.get("/words")
    async def words() -> str:
        abort(409, "Booked already")

    @bp.get("/code")
    async def code() -> str:
        abort(409)

    client = make_service(bp).test_client()

    stands, told, bare = [
        await client.get(f"/api/v1/{path}") for path in ("response", "words", "code")
    ]

    assert (stands.status_code, await text(stands)) == (402, "as it stands")
    assert await told.get_json() == {"message": "Booked already", "success": False}
    assert await bare.get_json() == {"message": "Conflict", "success": False}


async def test_templates_are_found_wherever_the_process_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/page.html").write_text("Hello {{ name }}, {{ url_for('pages.page') }}")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    bp = Blueprint("pages", __name__)

    @bp.get("/page")
    async def page() -> str:
        return await render_template("page.html", name="<Ann>")

    app = service_at(tmp_path, bp)

    assert await got(app, "/api/v1/page") == "Hello &lt;Ann&gt;, /api/v1/page"


async def test_what_lies_beside_the_settings_is_found_without_a_word(tmp_path: Path) -> None:
    app = make_service(Blueprint("pages", __name__))
    config = Settings.model_validate({"SECRET_KEY": SECRET, "DATABASE_URL": NO_DATABASE})

    assert Path(build_app(config, Database(config)).root_path) == Path(__file__).parent
    assert Path(app.instance_path) == Path(app.root_path) / "instance"


async def test_a_folder_of_static_files_is_served(tmp_path: Path) -> None:
    (tmp_path / "static").mkdir()
    (tmp_path / "static/style.css").write_text("body {}")
    (tmp_path / "notes").write_text("noted")

    async def read() -> str:
        async with await current_app.open_resource("notes", "r") as notes:
            return str(await notes.read())

    app = service_at(tmp_path)
    app.add_url_rule("/notes", "notes", read)

    assert await got(app, "/static/style.css") == "body {}"
    assert await got(app, "/notes") == "noted"
    async with app.test_request_context("/"):
        assert url_for("static", filename="style.css") == "/static/style.css"


async def test_without_such_a_folder_there_is_no_such_route(tmp_path: Path) -> None:
    response = await service_at(tmp_path).test_client().post("/static/style.css")

    assert response.status_code == 404


async def test_a_blueprint_has_templates_and_static_files_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets/a.txt").write_text("an asset")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/admin.html").write_text("{{ word|shout }} {{ place }}")
    bp = Blueprint(
        "admin",
        __name__,
        url_prefix="/admin",
        static_folder=str(tmp_path / "assets"),
        static_url_path="/assets",
        template_folder=str(tmp_path / "pages"),
    )

    @bp.app_template_filter("shout")
    def shout(word: str) -> str:
        return word.upper()

    @bp.context_processor
    async def place() -> dict[str, Any]:
        return {"place": "in the office"}

    @bp.get("/")
    async def admin() -> str:
        return await render_template("admin.html", word="hello")

    app = make_service(bp)

    assert await got(app, "/api/v1/admin/assets/a.txt") == "an asset"
    assert await got(app, "/api/v1/admin/") == "HELLO in the office"


async def test_a_session_and_flashed_messages_are_kept_for_the_next_request() -> None:
    bp = Blueprint("pages", __name__)

    @bp.get("/visit")
    async def visit() -> str:
        session["visits"] = session.get("visits", 0) + 1
        await flash(f"visit {session['visits']}")
        return "visited"

    @bp.get("/messages")
    async def messages() -> str:
        return await render_template_string("{{ get_flashed_messages() }} {{ session.visits }}")

    client = make_service(bp).test_client()
    for _ in range(2):
        assert (await client.get("/api/v1/visit")).status_code == 200
    async with client.session_transaction() as kept:
        kept["visits"] += 1

    first, second = [await text(await client.get("/api/v1/messages")) for _ in range(2)]

    assert (first.endswith("] 3"), second) == (True, "[] 3")
    assert "visit 1" in first
    assert "visit 2" in first


async def test_files_are_sent_with_what_caches_need(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a file")
    bp = Blueprint("pages", __name__)

    @bp.get("/file")
    async def file() -> Response:
        return await send_file(tmp_path / "a.txt", conditional=True)

    @bp.get("/files/<path:name>")
    async def files(name: str) -> Response:
        return await send_from_directory(tmp_path, name)

    @bp.get("/report")
    async def report() -> Response:
        return await send_file(
            BytesIO(b"of bytes"), "text/plain", as_attachment=True, attachment_filename="r.txt"
        )

    client = make_service(bp).test_client()
    whole, part = (
        await client.get("/api/v1/file"),
        await client.get("/api/v1/file", headers={"Range": "bytes=2-"}),
    )
    again = await client.get("/api/v1/file", headers={"If-None-Match": whole.headers["ETag"]})
    report_ = await client.get("/api/v1/report")

    assert (await text(whole), await text(part)) == ("a file", "file")
    assert (part.status_code, again.status_code) == (206, 304)
    assert (await client.get("/api/v1/files/../a.txt")).status_code == 404
    assert await text(await client.get("/api/v1/files/a.txt")) == "a file"
    assert report_.headers["Content-Disposition"] == "attachment; filename=r.txt"


async def test_every_form_of_answer_is_one() -> None:
    bp = Blueprint("pages", __name__)

    def answer(path: str, function: Callable[[], object]) -> None:
        bp.add_url_rule(f"/{path}", path, function)  # type: ignore[arg-type]  # all that Quart takes

    async def stream() -> AsyncGenerator[bytes, None]:
        @stream_with_context
        async def parts() -> AsyncGenerator[bytes, None]:
            yield request.path.encode()
            yield b"!"

        return parts()  # type: ignore[no-any-return]

    async def later() -> Response:
        @after_this_request
        async def add(response: ResponseTypes) -> ResponseTypes:
            response.headers["X-Later"] = "yes"
            return response

        response = await make_response("later")
        response.set_cookie("k", "v")
        return response  # type: ignore[return-value]

    answer("sync", lambda: request.path)
    answer("dict", lambda: {"b": 1, "a": 2})
    answer("list", lambda: [1, 2])
    answer("tuple", lambda: ("made", 201, {"X-Made": "yes"}))
    answer("redirect", lambda: redirect(url_for("pages.sync"), 303))
    answer("parts", lambda: (part for part in ("a", "b")))
    answer("stream", stream)
    answer("later", later)
    client = make_service(bp).test_client()

    answers = {
        path: await client.get(f"/api/v1/{path}")
        for path in ("sync", "dict", "list", "tuple", "redirect", "parts", "stream", "later")
    }

    assert await text(answers["sync"]) == "/api/v1/sync"
    assert await answers["dict"].get_json() == {"a": 2, "b": 1}
    assert await answers["list"].get_json() == [1, 2]
    assert (answers["tuple"].status_code, answers["tuple"].headers["X-Made"]) == (201, "yes")
    assert (answers["redirect"].status_code, answers["redirect"].location) == (303, "/api/v1/sync")
    assert await text(answers["parts"]) == "ab"
    assert await text(answers["stream"]) == "/api/v1/stream!"
    assert answers["later"].headers["X-Later"] == "yes"
    assert "k=v" in answers["later"].headers["Set-Cookie"]


async def test_forms_files_and_json_are_read() -> None:
    bp = Blueprint("pages", __name__)

    @bp.post("/form")
    async def form() -> dict[str, object]:
        values = await request.values
        return {"form": (await request.form).to_dict(), "values": values.to_dict()}

    @bp.post("/files")
    async def files() -> str:
        return str((await request.files)["f"].read(), "ascii")

    @bp.post("/json")
    async def json() -> dict[str, object]:
        return {"sent": await request.get_json()}

    client = make_service(bp).test_client()
    sent = FileStorage(BytesIO(b"a file"), filename="a.txt")

    assert await (await client.post("/api/v1/form?q=1", form={"a": "b"})).get_json() == {
        "form": {"a": "b"},
        "values": {"a": "b", "q": "1"},
    }
    assert await text(await client.post("/api/v1/files", files={"f": sent})) == "a file"
    assert await (await client.post("/api/v1/json", json=[1])).get_json() == {"sent": [1]}


def talkative() -> Blueprint:
    """Websockets: one that answers, and one that fails."""
    bp = Blueprint("talk", __name__, url_prefix="/talk")

    @bp.before_websocket
    async def before() -> None:
        g.greeting = "hello"

    @bp.websocket("/echo")
    async def echo() -> None:
        session["seen"] = True
        await websocket.send(f"{g.greeting} {websocket.path}")
        await websocket.send(await websocket.receive())

    @bp.websocket("/fails")
    async def fails() -> None:
        raise ZeroDivisionError

    @bp.websocket("/refuses")
    async def refuses() -> None:
        abort(403, "Not here")

    return bp


async def test_websockets_talk() -> None:
    client = make_service(talkative()).test_client()

    async with client.websocket("/api/v1/talk/echo") as talk:
        assert await talk.receive() == "hello /api/v1/talk/echo"
        await talk.send("and back")
        assert await talk.receive() == "and back"


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("talk/fails", 500, "Internal server error"),
        ("talk/refuses", 403, "Not here"),
        ("nowhere", 404, "Endpoint not found"),
    ],
)
async def test_a_websocket_that_is_refused_gets_the_envelope(
    path: str, status: int, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    from quart.testing import WebsocketResponseError  # noqa: PLC0415 - of this test alone

    client = make_service(talkative()).test_client()

    with pytest.raises(WebsocketResponseError) as refused:
        async with client.websocket(f"/api/v1/{path}") as talk:
            await talk.receive()

    response: Response = refused.value.response
    assert (response.status_code, (await response.get_json())["message"]) == (status, message)
    logged = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.getMessage() for record in logged] == (
        [f"WebSocket /api/v1/{path} failed"] if status == 500 else []
    )


async def test_an_application_begins_ends_and_works_in_the_background() -> None:
    bp = Blueprint("pages", __name__)
    seen: list[str] = []
    worked = asyncio.Event()

    @bp.get("/work")
    async def work() -> str:
        async def later() -> None:
            seen.append(current_app.name)
            worked.set()

        current_app.add_background_task(later)
        return "begun"

    app = make_service(bp)

    @app.before_serving
    async def before() -> None:
        seen.append("before")

    @app.while_serving
    async def during() -> AsyncGenerator[None, None]:
        seen.append("during")
        yield
        seen.append("ended")

    @app.after_serving
    async def after() -> None:
        seen.append("after")

    async with app.test_app() as running:
        client: Client = running.test_client()
        assert await text(await client.get("/api/v1/work")) == "begun"
        await worked.wait()

    assert sorted(seen) == sorted(["before", "during", "service", "ended", "after"])


def test_commands_of_the_application_and_of_a_blueprint_run() -> None:
    bp = Blueprint("pages", __name__)

    @bp.cli.command("greet")
    def greet() -> None:
        print("hello of the blueprint")

    app = make_service(bp)

    @app.cli.command("greet")
    def greet_too() -> None:
        print("hello of the application")

    runner = app.test_cli_runner()

    assert runner.invoke(args=["pages", "greet"]).output == "hello of the blueprint\n"
    assert runner.invoke(args=["greet"]).output == "hello of the application\n"
