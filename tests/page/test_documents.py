"""The routes that the page knows are those of the process that answers."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from scaffold.supervisor.page.server import page_of
from scaffold.supervisor.page.sources import Sources
from tests.page.served import made_fleet, service_at

APP = """
import fcntl, http.server, json, os, signal, socket
from pathlib import Path
from typing import Any

document = Path("document.json").read_bytes()
ending = []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = document if self.path.endswith("openapi.json") else b"{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if ending and body is document:
            self.wfile.flush()
            os._exit(0)


signal.signal(signal.SIGTERM, lambda *_: ending.append(1))
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
with open("lock", "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)  # until the process before it has ended
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.socket = socket.socket(fileno=3)
    server.socket.setblocking(True)
    server.serve_forever()
"""
"""A service that is as slow to end as it can be: told to, it gives its document once more."""


@pytest.mark.slow
async def test_a_path_that_came_with_other_code_leads_there_though_the_old_process_was_asked(
    tmp_path: Path,
) -> None:
    def describe(*paths: str) -> None:
        document: dict[str, Any] = {"paths": {path: {} for path in paths}}
        (tmp_path / "document.json").write_text(json.dumps(document))

    (tmp_path / "app.py").write_text(APP)
    describe("/api/v1/users")
    with made_fleet(tmp_path) as fleet:
        listener = socket.create_server(("127.0.0.1", 0))
        service = service_at(fleet, "user-service", listener)
        fleet.services[service.name] = service
        running = asyncio.create_task(service.run())
        try:
            async with (
                asyncio.timeout(60),
                page_of(fleet, 0) as address,
                httpx.AsyncClient(base_url=address or "") as client,
            ):

                async def until_it_is_there(path: str) -> None:
                    while True:
                        if (await client.get(path)).status_code == 200:
                            return
                        await asyncio.sleep(0.02)

                await until_it_is_there("/api/v1/users")
                describe("/api/v1/users", "/api/v1/invoices")
                service.want_another()
                await until_it_is_there("/api/v1/invoices")
                document = await client.get("/_fleet/services/user-service/document")
        finally:
            service.end()
            fleet.stop()
            fleet.stop()
            await running

    assert "/api/v1/invoices" in document.json()["paths"]


async def test_of_a_path_that_two_services_have_is_told_once_until_another_one_is(
    tmp_path: Path,
) -> None:
    with made_fleet(tmp_path) as fleet, socket.create_server(("127.0.0.1", 0)) as listener:
        for name in ("one", "two"):
            fleet.services[name] = service_at(fleet, name, listener)
        sources = Sources(fleet)
        for path in (*["/api/v1/users"] * 3, *["/api/v1/people"] * 2):
            for name in fleet.services:
                sources.documents[name] = {"paths": {path: {}}}
            sources._find_paths()
        told = [entry.message for entry in fleet.journal.after(0)]

    assert len(told) == 2
    assert "/api/v1/users" in told[0]
    assert "/api/v1/people" in told[1]
