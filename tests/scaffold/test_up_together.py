"""A fleet that is up in one process: each service as if it had its own."""

import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.scaffold.test_up import TIMEOUT, Fleet, Up
from tests.scaffold.test_up_commands import Detached

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return Fleet.make(tmp_path_factory.mktemp("together") / "fleet")


def servers(up: Up) -> list[str]:
    return [each for each in up.processes().values() if "quart_fleet.server" in each]


def app_of(fleet: Fleet, package: str) -> Path:
    return fleet.workspace.root / "services" / package / "app.py"


def test_all_have_one_process_and_lines_of_their_own(fleet: Fleet) -> None:
    with fleet.up("--together") as up:
        up.until("2 services ready in ")
        assert len(servers(up)) == 1
        assert fleet.get(fleet.users, "/users") == fleet.get(fleet.products, "/products") == 200
        up.until(r"user-service +\S+ GET /api/v1/users 200")
        up.until(r"product-service +\S+ GET /api/v1/products 200")

        assert up.end(signal.SIGINT) == 0
        assert up.left() == []
        up.until("Everything has ended.")


def test_other_code_takes_over_for_all_and_no_request_is_lost(fleet: Fleet) -> None:
    app = app_of(fleet, "user_service")
    source = app.read_text()
    statuses: list[int] = []
    is_over = False

    def ask(port: int) -> None:
        while not is_over:
            statuses.append(fleet.get(port))

    with fleet.up("--together") as up:
        up.until("2 services ready in ")
        asking = [
            threading.Thread(target=ask, args=(port,)) for port in (fleet.users, fleet.products) * 2
        ]
        for each in asking:
            each.start()
        try:
            for number in range(2):
                app.write_text(f"{source}# {number}\n")
                up.until("fleet +reloaded")
        finally:
            is_over = True
            app.write_text(source)
            for each in asking:
                each.join()

    assert set(statuses) == {200}
    assert len(statuses) > 10


def test_code_that_does_not_start_leaves_the_process_before_it(fleet: Fleet) -> None:
    detached = Detached.of(fleet.workspace)
    app = app_of(fleet, "user_service")
    source = app.read_text()
    with fleet.up("--together") as up:
        up.until("2 services ready in ")
        try:
            app.write_text(f"{source}\nthis is no Python\n")
            line = len(source.splitlines()) + 2
            place = f"services/user_service/app.py:{line}: SyntaxError: invalid syntax"
            up.until(f"fleet +user-service cannot be imported: {place}$")
            up.until("The process before it serves on")
            assert fleet.get(fleet.users, "/users") == fleet.get(fleet.products) == 200
            found = {each["name"]: each for each in detached.get_json("ps")["services"]}
            _, told = detached.run("restart", "user-service", code=1)
        finally:
            app.write_text(source)
        up.until("fleet +reloaded")
    assert {each["state"] for each in found.values()} == {"ready"}
    assert found["user-service"]["reason"] == f"cannot be imported: {place}"
    waits = "waits for user-service, which cannot start"
    assert found["product-service"]["reason"] == waits
    assert told == f"Error: user-service cannot be imported: {place}\n"


def test_one_that_cannot_start_is_told_of_while_the_others_serve(fleet: Fleet) -> None:
    detached = Detached.of(fleet.workspace)
    app = app_of(fleet, "user_service")
    other = app_of(fleet, "product_service")
    source, other_source = app.read_text(), other.read_text()
    try:
        app.write_text(f"{source}\nthis is no Python\n")
        _, told = detached.run("up", "--together", "--detach", code=1)
        found = {each["name"]: each for each in detached.get_json("ps")["services"]}
        assert fleet.get(fleet.products, "/products") == 200
        before = found["product-service"]["pid"]
        other.write_text(f"{other_source}# another\n")
        after, _ = detached.run("wait", "product-service", "--json")
        app.write_text(source)
        end = time.monotonic() + TIMEOUT
        mended = detached.get_json("ps")
        while not mended["ready"] and time.monotonic() < end:
            mended = detached.get_json("ps")
    finally:
        app.write_text(source)
        other.write_text(other_source)
        detached.run("stop")

    taken_over = {each["name"]: each for each in json.loads(after)["services"]}
    assert taken_over["product-service"]["pid"] != before
    assert taken_over["product-service"]["reason"] == ""
    assert taken_over["user-service"]["state"] == "failed"
    assert found["product-service"]["state"] == "ready"
    assert found["user-service"]["state"] == "failed"
    place = f"services/user_service/app.py:{len(source.splitlines()) + 2}: SyntaxError: "
    assert found["user-service"]["reason"].startswith(f"cannot be imported: {place}")
    assert told.startswith(f"Error: user-service is failed: it cannot be imported: {place}")
    assert found["product-service"]["reason"] == ""
    restarts = {each["name"]: each["restarts"] for each in mended["services"]}
    assert restarts["product-service"] == 0 < restarts["user-service"]
    assert {each["state"] for each in mended["services"]} == {"ready"}
    assert len({each["pid"] for each in mended["services"]}) == 1
    assert detached.left() == []


def test_a_process_that_ends_is_followed_by_another(fleet: Fleet) -> None:
    detached = Detached.of(fleet.workspace)
    try:
        before = json.loads(detached.run("up", "--together", "--detach", "--json")[0])
        killed = before["services"][0]["pid"]
        os.kill(killed, signal.SIGKILL)
        assert fleet.get(fleet.users) == fleet.get(fleet.products) == 200
        after = detached.get_json("wait")
        lines, _ = detached.run("logs", "fleet")
    finally:
        detached.run("stop")

    assert {each["pid"] for each in after["services"]} != {killed}
    assert {each["restarts"] for each in after["services"]} == {1}
    assert re.search("was ended by SIGKILL$", lines, re.MULTILINE)
    assert detached.left() == []


def test_it_is_not_for_an_isolated_fleet(fleet: Fleet) -> None:
    with fleet.up("--together", "--isolated") as up:
        assert up.process.wait(60) == 2
        up.until("--together is not for --isolated")
