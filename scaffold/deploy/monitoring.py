"""What watches the fleet, as files: rules and dashboards that are kept, and all that follows them."""

from pathlib import PurePosixPath

from scaffold.deploy.dashboards import write_fleet, write_service
from scaffold.deploy.fleet import Fleet
from scaffold.engine.plan import Plan, find_content
from scaffold.generation.render import render, render_tree, using_templates_of
from scaffold.workspace import Workspace

FOLDER = PurePosixPath("deploy/monitoring")
RULES = FOLDER / "rules.yaml"


def plan_monitoring(workspace: Workspace, fleet: Fleet, namespace: str, *, anew: bool) -> Plan:
    """Decide every write; rules and dashboards that are there stay, unless they are wanted anew.

    Args:
        namespace: where Prometheus runs in a cluster.
    """
    owned = {
        FOLDER / "dashboards/fleet.json": write_fleet(fleet.label),
        FOLDER / "dashboards/service.json": write_service(fleet.label),
    }
    with using_templates_of(workspace.root):
        owned[RULES] = render("deploy/monitoring/rules.yaml.jinja", {})
        current = None if anew else find_content(workspace.root, RULES)
        rules = owned[RULES] if current is None else current.decode()
        context = {"fleet": fleet, "namespace": namespace, "rules": rules}
        tree = render_tree("deploy/monitoring", context)
    contents = {FOLDER / path: text.encode() for path, text in tree.items()}
    contents |= {path: text.encode() for path, text in owned.items()}
    return Plan.decide(workspace.root, contents, () if anew else owned)
