"""`python -m scaffold deploy`: the fleet, described for Kubernetes and for Prometheus."""

import re
from contextlib import nullcontext
from pathlib import Path

import click

from scaffold.commands import preview
from scaffold.deploy.fleet import Fleet, Target
from scaffold.deploy.manifests import BASE, OVERLAYS, plan_manifests
from scaffold.deploy.monitoring import FOLDER, plan_monitoring
from scaffold.engine import transaction
from scaffold.engine.plan import Plan
from scaffold.errors import MisuseError
from scaffold.workspace import Workspace

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,57}[a-z0-9])?")
"""A name of Kubernetes that leaves room for `-dev`."""
_REGISTRY = re.compile(r"([a-z0-9][a-zA-Z0-9._-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*/?)?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")
_GATEWAY = re.compile(rf"{_LABEL.pattern}/{_LABEL.pattern}")
_CLASS = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?")

_URL = re.compile(rb"DATABASE_URL=[a-z+]+://(?:[^@\s]*@)?([^\s'\"]+)")
"""As overlays of earlier versions wrote it, with one user for all services."""
_NEWS = {
    BASE / "migrate.yaml": (
        b"/run/roles",
        "Each service reads a secret of its own name now, and service-secrets no more: "
        "make them before you apply this (docs/cluster.md).",
    ),
    BASE / "network.yaml": (
        b"default-deny",
        "The namespace refuses from now on what no policy allows: a pod that an overlay adds "
        "needs one of its own.",
    ),
}
"""What a base of an earlier version lacks, and what its owner has to do when it comes."""
_OWNER = "ALTER ROLE fleet CREATEROLE"


@click.group("deploy")
def command() -> None:
    """Describe the fleet for the platform that runs it."""


@command.command("k8s", short_help="Write manifests with kustomize: a base, and two overlays.")
@click.option("--registry", default="", help="Where images are, like registry.example.com/shop.")
@click.option("--namespace", default="", help="Production's; by default the project's name.")
@click.option("--tag", default="0.1.0", show_default=True, help="The release that production runs.")
@click.option("--host", default="api.example.com", show_default=True, help="Production's address.")
@click.option(
    "--ingress-namespace",
    default="ingress-nginx",
    show_default=True,
    help="Where the ingress controller, or the gateway, runs.",
)
@click.option(
    "--ingress-class", default="", help="Of the Ingress; by default the cluster's default class."
)
@click.option("--gateway", default="", help="NAMESPACE/NAME of a Gateway, in place of an Ingress.")
@click.option("--pull-secret", default="", help="The secret that the registry asks for.")
@click.option("--force", is_flag=True, help="Write the overlays anew too.")
@click.option("--dry-run", is_flag=True, help="List the files; write nothing.")
@click.option("--diff", is_flag=True, help="Print the changes as a unified diff; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result for a program.")
def kubernetes(force: bool, dry_run: bool, diff: bool, as_json: bool, **target: str) -> None:
    """Write manifests with kustomize to deploy/k8s: a base, and overlays for dev and production.

    The base is written anew each time, as services come and go; overlays are yours and stay.
    """
    wanted = Target(**target)
    for option, value, pattern in (
        ("--registry", wanted.registry, _REGISTRY),
        ("--namespace", wanted.namespace or "fleet", _LABEL),
        ("--tag", wanted.tag, _TAG),
        ("--host", wanted.host, _HOST),
        ("--ingress-namespace", wanted.ingress_namespace, _LABEL),
        ("--ingress-class", wanted.ingress_class or "nginx", _CLASS),
        ("--gateway", wanted.gateway or "infra/public", _GATEWAY),
        ("--pull-secret", wanted.pull_secret or "registry", _CLASS),
    ):
        if not pattern.fullmatch(value):
            raise MisuseError(f"{value!r} cannot be used for {option}: Kubernetes would refuse it.")
    workspace = Workspace.find(Path.cwd())
    writes = not (dry_run or diff)
    with workspace.locked() if writes else nullcontext():
        fleet = Fleet.read(workspace, wanted)
        plan = plan_manifests(workspace, fleet, overlays_anew=force)
        warnings = _warnings(fleet, plan)
        if writes:
            transaction.apply(plan)
    _print(
        plan,
        f"kubectl kustomize {OVERLAYS}/dev\n  kubectl apply -k {OVERLAYS}/dev\n"
        "The namespace and the secrets come first: docs/cluster.md",
        diff=diff,
        as_json=as_json,
    )
    for warning in warnings:
        click.echo(warning, err=True)


@command.command(
    "monitoring", short_help="Write dashboards, alert rules and what scrapes the fleet."
)
@click.option(
    "--namespace",
    default="monitoring",
    show_default=True,
    help="Where Prometheus runs in a cluster, and is let in from.",
)
@click.option("--force", is_flag=True, help="Write the rules and dashboards anew too.")
@click.option("--dry-run", is_flag=True, help="List the files; write nothing.")
@click.option("--diff", is_flag=True, help="Print the changes as a unified diff; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result for a program.")
def monitoring(namespace: str, force: bool, dry_run: bool, diff: bool, as_json: bool) -> None:
    """Write to deploy/monitoring what Prometheus and Grafana need, in containers and in a cluster.

    Rules and dashboards are yours and stay; all else is written anew each time, as services come
    and go.
    """
    if not _LABEL.fullmatch(namespace):
        raise MisuseError(
            f"{namespace!r} cannot be used for --namespace: Kubernetes would refuse it."
        )
    workspace = Workspace.find(Path.cwd())
    writes = not (dry_run or diff)
    with workspace.locked() if writes else nullcontext():
        plan = plan_monitoring(workspace, Fleet.read(workspace, None), namespace, anew=force)
        if writes:
            transaction.apply(plan)
    _print(
        plan,
        f"docker compose -f {FOLDER}/compose.yaml up --build --wait\n"
        f"In a cluster, and what each alert asks of you: {FOLDER}/README.md",
        diff=diff,
        as_json=as_json,
    )
    if plan.kept:
        click.echo(
            "Rules and dashboards that differ from the generated ones stay; --force replaces them.",
            err=True,
        )


def _print(plan: Plan, following: str, *, diff: bool, as_json: bool) -> None:
    if as_json:
        preview.print_json(plan, with_diff=diff)
    elif diff:
        preview.print_diff(plan)
    else:
        preview.print_list(plan)
        click.echo(f"\nNext:\n  {following}")


def _warnings(fleet: Fleet, plan: Plan) -> list[str]:
    """Return what the command leaves as it is, and what its caller has to do about it."""
    warnings = [
        f"No path of the fleet leads to {rule}: its first segment is a variable, or missing."
        for rule in fleet.unreachable
    ]
    if plan.kept:
        warnings.append("Overlays that differ from the generated ones stay; --force replaces them.")
    warnings += [
        news
        for path, (mark, news) in _NEWS.items()
        if path in plan.changed and mark not in (plan.root / path).read_bytes()
    ]
    for path in plan.kept:
        warnings += [f"{path} {fault}" for fault in _faults((plan.root / path).read_bytes(), fleet)]
    return warnings


def _faults(text: bytes, fleet: Fleet) -> list[str]:
    """Return what an overlay of an earlier version says that this base takes no more, or lacks."""
    faults = [
        "sets DATABASE_URL, which has no effect any more, for each service makes its own with a user "
        f"of its own. Write in its place: DATABASE_ADDRESS={address.decode()}"
        for address in _URL.findall(text)
    ]
    if b"newTag:" in text:
        faults.append(
            f"sets tags itself, which win over --tag {fleet.tag}: remove newTag from its images."
        )
    if b"kind: Cluster" in text and b"CREATEROLE" not in text:
        faults.append(
            "lets fleet make no roles, which each service needs one of. Add to bootstrap.initdb: "
            f"postInitSQL: [{_OWNER}], and where the cluster is there already, run: kubectl -n "
            f"{fleet.namespace} exec service/postgres-rw -c postgres -- psql -c '{_OWNER}'"
        )
    if b"kind: Pooler" in text and b"max_db_connections" not in text:
        faults.append(
            "lets PgBouncer open default_pool_size connections for each service, which has a user "
            'of its own now. Add to its parameters: max_db_connections: "40"'
        )
    if b"POSTGRES_USER" in text:
        faults.append(
            "has fleet for its superuser, where production has an owner without rights on the rest "
            "of the server: delete its volume, then --force."
        )
    return faults
