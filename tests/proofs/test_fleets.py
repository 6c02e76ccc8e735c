"""Fleets at random: whatever the language says is generated, passes every check, and keeps what it gets.

Ten fleets are one workspace. `make proofs` tries as many as FLEETS says; SEED begins elsewhere.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from quart_fleet.conventions import PREFIX
from scaffold.generation.fleet import Fleet
from scaffold.language.description import FleetDescription, Generated, ResourceDescription
from tests.described import read_schema
from tests.ports import reserve_port
from tests.proofs.fleets import Values, encode, is_same, random_services, write_fleet
from tests.workspace import GeneratedWorkspace, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

IN_A_WORKSPACE = 10
FLEETS = int(os.environ.get("FLEETS", "10"))
SEED = int(os.environ.get("SEED", "1"))
ROWS = 3
"""Of each resource, that a client posts."""

SERVE = """
import asyncio
import sys
from importlib import import_module

import uvicorn


async def serve():
    servers = []
    for pair in sys.argv[1:]:
        package, port = pair.split(":")
        app = import_module(f"{package}.app").app
        config = uvicorn.Config(app, port=int(port), lifespan="on", log_level="warning")
        servers.append(uvicorn.Server(config).serve())
    await asyncio.gather(*servers)


asyncio.run(serve())
"""
"""All services in one process, each on a port of its own: its start is most of what a process takes."""


@contextmanager
def serving(
    workspace: GeneratedWorkspace, packages: list[str], url: str, log: Path
) -> Iterator[dict[str, str]]:
    """Run services; gives the address of each API."""
    ports = {package: reserve_port() for package in packages}
    settings = {"DATABASE_URL": url, "DB_POOL_SIZE": "1"}
    settings |= {f"{name.upper()}_URL": f"http://127.0.0.1:{port}" for name, port in ports.items()}
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-c", SERVE, *(f"{name}:{port}" for name, port in ports.items())],
            cwd=workspace.root,
            env=workspace.environment | settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            text=True,
        ) as process,
    ):
        try:
            addresses = {name: f"http://127.0.0.1:{port}{PREFIX}" for name, port in ports.items()}
            for address in addresses.values():
                wait_for(f"{address}/health", process)
            yield addresses
        finally:
            process.kill()
    assert "Traceback" not in log.read_text(), log.read_text()


def keep(
    client: httpx.Client, path: str, resource: ResourceDescription, values: Values
) -> int | None:
    """Post a row and read it; return its id, or None where there can be no more."""
    given = values.choose(resource)
    if given is None:
        return None
    sent = {
        field.key: encode(given[field.name]) for field in resource.fields if field.name in given
    }
    posted = client.post(path, json=sent or {"unknown": True})
    if posted.status_code == 400 and "already exist" in posted.json()["message"]:
        return None  # of a yes or no there are only two
    assert posted.status_code == 201, f"{posted.text} {sent} {resource}"
    row = posted.json()["data"]
    assert client.get(f"{path}/{row['id']}").json()["data"] == row
    compare(resource, sent, row)
    return int(row["id"])


def compare(resource: ResourceDescription, sent: dict[str, Any], row: dict[str, Any]) -> None:
    """Hold what is read to what was sent, field by field."""
    for field in resource.fields:
        if field.secret:
            assert field.key not in row
        elif field.key in sent and field.type.name != "items":
            value = sent[field.key]
            assert is_same(field.type, value, row[field.key]), (field, value, row[field.key])
        elif field.key in sent:
            [part] = [one for one in resource.parts if one.name == field.type.target]
            assert len(sent[field.key]) == len(row[field.key])
            for item, read in zip(sent[field.key], row[field.key], strict=True):
                compare(part, item, read)
        elif field.type.name in ("many", "items"):
            assert row[field.key] == []
        elif field.default is None and field.optional:
            assert row[field.key] is None
        elif not isinstance(field.default, Generated | None):
            default = encode(field.default)
            assert is_same(field.type, default, row[field.key]), (field, row[field.key])


def update(client: httpx.Client, path: str, resource: ResourceDescription, values: Values) -> None:
    """Give a row other values, and read them."""
    given = values.choose(resource)
    if given is None:
        return
    fields = [field for field in resource.fields if field.name in given and not field.fixed]
    sent = {field.key: encode(given[field.name]) for field in fields}
    # PUT takes null for a value that is to stay.
    sent = {key: value for key, value in sent.items() if value is not None}
    before = client.get(path).json()["data"]
    answer = client.put(path, json=sent or {"unknown": True})
    states = {action.field for action in resource.actions}
    if not resource.has_active and all(
        field.fixed or field.name in states for field in resource.fields
    ):
        assert answer.status_code == 405
        return
    if answer.status_code == 400 and "already exist" in answer.json()["message"]:
        return
    assert answer.status_code == 200, f"{answer.text} {sent} {resource}"
    row = client.get(path).json()["data"]
    assert row == answer.json()["data"]
    for field in resource.fields:
        if field.secret or field.type.name == "items":
            continue
        if field.key in sent:
            assert is_same(field.type, sent[field.key], row[field.key]), (field, sent, row)
        else:
            assert row[field.key] == before[field.key], field


def keep_everything(
    addresses: dict[str, str], description: FleetDescription, random: Random
) -> int:
    """Have every service keep rows of all its resources; return how many."""
    rows: dict[str, list[int]] = {}
    values = Values(random, rows)
    planned = {
        (service.name.package, resource.singular): resource
        for service, resource in Fleet.of(description).resources()
    }
    described = {one.name: one for service in description.services for one in service.resources}
    with httpx.Client(timeout=30) as client:
        for _ in range(ROWS):
            for (package, name), resource in planned.items():
                path = f"{addresses[package]}/{resource.path}"
                row = keep(client, path, described[name], values)
                if row is not None:
                    rows.setdefault(name, []).append(row)
                if rows.get(name):
                    update(client, f"{path}/{rows[name][0]}", described[name], values)
    return sum(map(len, rows.values()))


@pytest.mark.parametrize("seed", range(SEED, SEED + -(-FLEETS // IN_A_WORKSPACE)))
async def test_whatever_is_described_is_generated_whole(
    tmp_path: Path, fresh_database_url: str, seed: int
) -> None:
    random = Random(seed)
    description = random_services(random, min(FLEETS, IN_A_WORKSPACE))
    url = fresh_database_url

    workspace = GeneratedWorkspace.describe(tmp_path / "fleet", write_fleet(description))
    workspace.check()
    schemas = []
    for command in ("migrate", "downgrade base --yes", "migrate"):
        workspace.python("-m", "db_manager", *command.split(), DATABASE_URL=url)
        schemas.append(await read_schema(url))
    workspace.python("-m", "db_manager", "check", DATABASE_URL=url)
    workspace.python("-m", "pytest", "-q", "services")
    packages = [service.name.package for service in Fleet.of(description).services]
    with serving(workspace, packages, url, tmp_path / "log") as addresses:
        kept = keep_everything(addresses, description, random)

    up, down, again = schemas
    assert up == again
    assert down == []
    assert kept > ROWS
    shutil.rmtree(tmp_path / "fleet")
