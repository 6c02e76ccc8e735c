"""A registry with Consul's HTTP API as it is documented, which can be away, stall, or talk rubbish.

It is written from the documentation (developer.hashicorp.com/consul/api-docs), not recorded of an
agent, and so is DOCUMENTED. The real one, `consul agent -dev`, takes its place where that program is
installed, and only there.
"""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import httpx
import pytest
from aiohttp import web

from tests.chassis.serving import TIMEOUT
from tests.ports import reserve_port

SECONDS = re.compile(r"([0-9]+)(s|m)")
Fault = Literal[
    "",
    "stalls",
    "stalls within",
    "talks rubbish",
    "answers at once",
    "has no leader",
    "moves",
    "is away",
    "knows none",
]
"""The last two are for the test to bring about."""


DOCUMENTED: list[dict[str, Any]] = [
    {
        "Node": {
            "ID": "6c5a6b3e-0d4f-4a55-9a3c-2f1d6a1e7b10",
            "Node": "rack-4",
            "Address": "10.1.2.3",
            "Datacenter": "dc1",
            "TaggedAddresses": {"lan": "10.1.2.3", "wan": "10.1.2.3"},
            "Meta": {"kind": "small"},
        },
        "Service": {
            "ID": "user-1",
            "Service": "user-service",
            "Tags": ["blue"],
            "Address": address,
            "TaggedAddresses": {
                "lan": {"address": "10.1.2.4", "port": 8000},
                "wan": {"address": "198.51.100.7", "port": 80},
            },
            "Meta": {"version": "4.0"},
            "Port": 8000,
            "Weights": {"Passing": 10, "Warning": 1},
            "Namespace": "default",
        },
        "Checks": [
            {
                "Node": "rack-4",
                "CheckID": check,
                "Name": f"Check {check}",
                "Status": "passing",
                "Notes": "",
                "Output": "",
                "ServiceID": service,
                "ServiceName": service,
                "ServiceTags": [],
                "Namespace": "default",
            }
            for check, service in (("service:user-1", "user-1"), ("serfHealth", ""))
        ],
    }
    for address in ("10.1.2.4", "")
]
"""An answer with each field that the documentation of /v1/health/service/:service shows, and values
of our own. Without an address of its own the second instance has that of its node."""


class Registry(Protocol):
    """What a test may ask of both."""

    @property
    def url(self) -> str: ...


async def ids_of(registry: Registry, service: str) -> list[str]:
    """The ids of the healthy instances."""
    async with httpx.AsyncClient(trust_env=False) as client:
        url = f"{registry.url}/v1/health/service/{service}?passing=true"
        found = (await client.get(url)).json()
    return sorted(each["Service"]["ID"] for each in found)


@dataclass
class Consul:
    """An agent, which is the only one; its node has the address 127.0.0.1."""

    port: int = field(default_factory=reserve_port)
    token: str = ""
    fault: Fault = ""
    is_old: bool = False
    """Whether it answers 500 where newer ones answer 404."""
    before_leaving: Callable[[], Awaitable[None]] | None = None
    """Is awaited where an instance leaves."""
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """Method, path and query of each request."""
    index: int = 11
    _passing: dict[str, asyncio.TimerHandle] = field(default_factory=dict)
    _waiting: set[asyncio.Event] = field(default_factory=set)
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application(middlewares=[self._meet])
        app.router.add_put("/v1/agent/service/register", self._register)
        app.router.add_put("/v1/agent/service/deregister/{id}", self._deregister)
        app.router.add_put("/v1/agent/check/pass/service:{id}", self._pass)
        app.router.add_get("/v1/health/service/{name}", self._tell)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        """Be away; what it knows is forgotten, as by an agent in memory."""
        if self._runner is not None:
            await self._runner.cleanup()
        for timer in self._passing.values():
            timer.cancel()
        self.services.clear()
        self._passing.clear()
        self.index = 11

    def put(self, service_id: str, name: str, port: int, address: str = "127.0.0.1") -> None:
        """Have an instance that needs no renewal."""
        self.services[service_id] = {
            "ID": service_id,
            "Name": name,
            "Address": address,
            "Port": port,
        }
        self._passing[service_id] = asyncio.get_running_loop().call_later(3600, lambda: None)
        self._change()

    def remove(self, service_id: str) -> None:
        del self.services[service_id]
        self._passing.pop(service_id).cancel()
        self._change()

    def _change(self) -> None:
        self.index += 1
        for waiting in self._waiting:
            waiting.set()

    @web.middleware
    async def _meet(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.raw_path}")
        if self.token and request.headers.get("X-Consul-Token") != self.token:
            return web.Response(status=403, text="ACL not found")
        if self.fault == "stalls":
            await asyncio.sleep(3600)
        if self.fault == "stalls within":  # a byte now and then, for ever
            response = web.StreamResponse(headers={"X-Consul-Index": "12"})
            await response.prepare(request)
            while True:
                await response.write(b" ")
                await asyncio.sleep(0.02)
        if self.fault == "talks rubbish":
            return web.Response(text="<html>Welcome</html>", headers={"X-Consul-Index": "-7"})
        if self.fault == "has no leader":
            return web.Response(status=500, text="No cluster leader")
        if self.fault == "moves":
            return web.Response(status=301, headers={"Location": "http://127.0.0.1:1/"})
        found: web.StreamResponse = await handler(request)
        return found

    async def _register(self, request: web.Request) -> web.Response:
        sent = await request.json()
        self.services[sent["ID"]] = sent
        if sent["Check"]["Status"] == "passing":
            self._keep(sent["ID"])
        self._change()
        return web.Response()

    async def _deregister(self, request: web.Request) -> web.Response:
        service_id = request.match_info["id"]
        if service_id not in self.services:
            line = f'Unknown service ID "{service_id}". Ensure that the service ID is passed, not the service name.'
            return web.Response(status=404, text=line)
        if self.before_leaving is not None:
            await self.before_leaving()
        self.remove(service_id)
        return web.Response()

    async def _pass(self, request: web.Request) -> web.Response:
        service_id = request.match_info["id"]
        if service_id not in self.services:
            check = f'"service:{service_id}"'
            if self.is_old:
                line = f"CheckID {check} does not have associated TTL"
                return web.Response(status=500, text=line)
            line = (
                f"Unknown check ID {check}. Ensure that the check ID is passed, not the check name."
            )
            return web.Response(status=404, text=line)
        was_passing = service_id in self._passing
        self._keep(service_id)
        if not was_passing:
            self._change()
        return web.Response()

    def _keep(self, service_id: str) -> None:
        if service_id in self._passing:
            self._passing[service_id].cancel()
        check = self.services[service_id]["Check"]
        self._passing[service_id] = asyncio.get_running_loop().call_later(
            read_seconds(check["TTL"]), self._expire, service_id
        )

    def _expire(self, service_id: str) -> None:
        del self._passing[service_id]
        self._change()

    async def _tell(self, request: web.Request) -> web.Response:
        index = int(request.query.get("index", 0))
        if 0 < index >= self.index and self.fault != "answers at once":
            changed = asyncio.Event()
            self._waiting.add(changed)
            try:
                async with asyncio.timeout(read_seconds(request.query.get("wait", "5m"))):
                    await changed.wait()
            except TimeoutError:
                pass
            finally:
                self._waiting.discard(changed)
        name, is_all = request.match_info["name"], "passing" not in request.query
        found = [
            _entry(each, is_passing=each["ID"] in self._passing)
            for each in self.services.values()
            if each["Name"] == name and (is_all or each["ID"] in self._passing)
        ]
        headers = {
            "X-Consul-Index": str(self.index),
            "X-Consul-Knownleader": "true",
            "X-Consul-Lastcontact": "0",
        }
        return web.Response(
            text=json.dumps(found), content_type="application/json", headers=headers
        )


def read_seconds(duration: str) -> float:
    """Read `15s` and `1m`."""
    found = SECONDS.fullmatch(duration)
    assert found is not None, duration
    return float(found[1]) * {"s": 1, "m": 60}[found[2]]


def _entry(service: Mapping[str, Any], *, is_passing: bool) -> dict[str, Any]:
    """As in the documentation of /v1/health/service/:service."""
    node = {"ID": "40e4a748-2192-161a-0510-9bf59fe950b5", "Node": "foobar", "Address": "127.0.0.1"}
    common = {"Node": "foobar", "Notes": "", "Output": ""}
    status = "passing" if is_passing else "critical"
    return {
        "Node": {**node, "Datacenter": "dc1", "TaggedAddresses": None, "Meta": None},
        "Service": {
            "ID": service["ID"],
            "Service": service["Name"],
            "Tags": [],
            "Address": service.get("Address", ""),
            "Meta": None,
            "Port": service["Port"],
            "Weights": {"Passing": 1, "Warning": 1},
        },
        "Checks": [
            {**common, "CheckID": "serfHealth", "Status": "passing", "ServiceID": ""},
            {
                **common,
                "CheckID": f"service:{service['ID']}",
                "Status": status,
                "ServiceID": service["ID"],
            },
        ],
    }


@asynccontextmanager
async def imitated() -> AsyncIterator[Consul]:
    consul = Consul()
    await consul.start()
    try:
        yield consul
    finally:
        await consul.stop()


async def until(is_so: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait for what comes about elsewhere."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            found = is_so()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.01)


@dataclass(frozen=True)
class Agent:
    """The real one."""

    url: str


def find_program() -> str | None:
    return shutil.which("consul")


@asynccontextmanager
async def started(kind: str, folder: Path) -> AsyncIterator["Registry"]:
    """Run the one that is imitated, or the real one; skips where that is not installed."""
    if kind == "real" and find_program() is None:
        pytest.skip("consul is not installed")
    async with imitated() if kind == "imitated" else real(folder) as registry:
        yield registry


@asynccontextmanager
async def real(folder: Path) -> AsyncIterator[Agent]:
    """Run `consul agent -dev`, until it has a leader."""
    port, server, serf = reserve_port(), reserve_port(), reserve_port()
    ports = {
        "http": port,
        "server": server,
        "serf-lan": serf,
        "serf-wan": -1,
        "dns": -1,
        "grpc": -1,
    }
    options = [word for name, each in ports.items() for word in (f"-{name}-port", str(each))]
    with (folder / "consul.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(str(find_program()), "agent", "-dev", "-bind", "127.0.0.1", *options),
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    agent = Agent(f"http://127.0.0.1:{port}")
    try:
        async with asyncio.timeout(60), httpx.AsyncClient(trust_env=False) as client:
            while True:
                try:
                    if (await client.get(f"{agent.url}/v1/status/leader")).json():
                        break
                except (httpx.HTTPError, ValueError):
                    assert process.returncode is None, (folder / "consul.log").read_text()
                await asyncio.sleep(0.1)
        yield agent
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
