"""Which paths lead to which service: as its application answers them, however they were written."""

from pathlib import Path

import pytest

from scaffold.deploy.routes import lead
from scaffold.errors import ScaffoldError
from tests.deploy.documents import build, of_kind
from tests.scaffold.commands import done, refused, scaffold

CONTROLLERS = "services/user_service/infrastructure/web/controllers.py"
BOOTSTRAP = "services/user_service/bootstrap.py"
INGRESS = "deploy/k8s/base/ingress.yaml"


def leads(**rules: list[str]) -> dict[str, str]:
    found, _ = lead(rules)
    return {route.path: route.service for route in found}


@pytest.mark.parametrize(
    ("rules", "paths"),
    [
        (["/api/v1/users", "/api/v1/users/<id:record_id>"], ["/api/v1/users"]),
        (["/api/v1/admin/users", "/api/v1/admin/teams"], ["/api/v1/admin"]),
        (["/static/<path:filename>"], ["/static"]),
        (["/login", "/api/v1/login"], ["/api/v1/login", "/login"]),
        (["/api/v1/users/"], ["/api/v1/users"]),
        (["/api/v10/users"], ["/api"]),
    ],
)
def test_a_first_segment_leads_to_its_service(rules: list[str], paths: list[str]) -> None:
    assert leads(users=rules) == dict.fromkeys(paths, "users")


@pytest.mark.parametrize("rule", ["/", "/<name>", "/api/v1/<name>", "/api/v1/v<int:version>/x"])
def test_a_rule_without_a_fixed_segment_is_told(rule: str) -> None:
    assert lead({"users": [rule, "/api/v1/users"]})[1] == [f"{rule} of users"]


def test_services_share_a_segment_where_a_longer_path_tells_them_apart() -> None:
    assert leads(
        users=["/api/v1/admin/users", "/api/v1/admin/users/<int:number>", "/api/v1/users"],
        orders=["/api/v1/admin/orders", "/api/v1/admin"],
        files=["/api/v1/admin/files/<path:name>/old", "/api/v1/admin/files/new"],
    ) == {
        "/api/v1/admin": "orders",
        "/api/v1/admin/users": "users",
        "/api/v1/admin/orders": "orders",
        "/api/v1/admin/files": "files",
        "/api/v1/users": "users",
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/api/v1/teams", "/api/v1/teams"),
        ("/api/v1/admin/<int:number>", "/api/v1/admin/<name>/x"),
        ("/static/<path:filename>", "/static/<path:filename>"),
    ],
)
def test_one_path_of_two_services_is_refused(one: str, other: str) -> None:
    with pytest.raises(ScaffoldError, match=r"belongs to users and to orders"):
        lead({"users": [one], "orders": [other]})


def add(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_routes_are_read_from_the_application(workspace: Path) -> None:
    add(
        workspace / CONTROLLERS,
        """
from quart import Blueprint
from quart.views import MethodView

TEAMS = "/teams"
nested = Blueprint("nested", __name__, url_prefix="/admin")


@bp.get(TEAMS)
async def list_teams() -> str: ...


@nested.get("/people")
async def list_people() -> str: ...


class Clubs(MethodView):
    async def get(self) -> str: ...


for place in ("rooms", "halls", "docs"):
    bp.add_url_rule(f"/{place}", place, list_teams)
bp.add_url_rule("/clubs", view_func=Clubs.as_view("clubs"))
bp.register_blueprint(nested)


@bp.websocket("/talk")
async def talk() -> None: ...


@bp.get("/<anything>")
async def find_anything(anything: str) -> str: ...
""",
    )
    bootstrap = workspace / BOOTSTRAP
    bootstrap.write_text(
        bootstrap.read_text().replace(
            "    return app\n",
            '    app.add_url_rule("/login", "login", lambda: "log in")\n    return app\n',
        )
    )

    completed = scaffold(workspace, "deploy", "k8s")

    done(completed)
    text = (workspace / INGRESS).read_text()
    names = ("admin", "clubs", "docs", "halls", "rooms", "talk", "teams", "users")
    for path in ("/login", *(f"/api/v1/{name}" for name in names)):
        assert f'- path: "{path}"\n' in text
    assert text.count("- path: ") == 9
    assert "No path of the fleet leads to /api/v1/<anything> of user-service" in completed.stderr


@pytest.mark.slow
def test_an_application_that_cannot_be_made_is_told_by_its_reason(workspace: Path) -> None:
    add(workspace / CONTROLLERS, "\nimport nothing_of_this_name\n")
    line = len((workspace / CONTROLLERS).read_text().splitlines())

    message = refused(scaffold(workspace, "deploy", "k8s"))

    assert message.splitlines() == [
        "Error: services/user_service/app.py does not tell its routes: "
        f"ModuleNotFoundError: No module named 'nothing_of_this_name' ({CONTROLLERS}:{line}).",
        "Mend it until this works: DEBUG=True python services/user_service/app.py --routes",
    ]
    assert not (workspace / "deploy").exists()


@pytest.mark.slow
def test_a_setting_that_is_missing_is_told_by_its_name(workspace: Path) -> None:
    add(workspace / "services/user_service/settings.py", "    stripe_key: str\n")

    message = refused(scaffold(workspace, "deploy", "k8s"))

    assert "STRIPE_KEY: " in message


@pytest.mark.slow
def test_services_may_be_a_link(workspace: Path) -> None:
    (workspace / "services").rename(workspace / "elsewhere")
    (workspace / "services").symlink_to("elsewhere")

    done(scaffold(workspace, "deploy", "k8s"))
    done(scaffold(workspace, "team-service", "8082"))
    done(scaffold(workspace, "deploy", "k8s"))

    [ingress] = of_kind(build(workspace / "deploy/k8s/overlays/dev"), "Ingress")
    paths = [each["path"] for each in ingress["spec"]["rules"][0]["http"]["paths"]]
    assert paths == ["/api/v1/teams", "/api/v1/users"]
