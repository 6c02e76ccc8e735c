"""A headless Chromium, driven over its debugging pipe (Chrome DevTools Protocol)."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.requirement import get_program

_DEADLINE = 60.0
"""Seconds that a page may take on a busy machine."""


class Page:
    """One page of the browser; it may ask only the host that it is told, all else is noted."""

    def __init__(self, into: int, out: int) -> None:
        self._into = into
        self._out = out
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.requested: list[str] = []
        """The addresses that were asked, in order."""
        self.complaints: list[str] = []
        """What the console says is wrong, as a refusal by the content security policy."""

    def open(self, address: str, width: int, height: int) -> None:
        """Open a page in a window of this size, in pixels."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.send(f"{domain}.enable")
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.send("Page.navigate", url=address)

    def send(self, method: str, **parameters: Any) -> Any:
        """Send a command and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._into, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._number:
            self._note(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """Return the value of an expression as soon as it is true."""
        deadline = time.monotonic() + _DEADLINE
        while time.monotonic() < deadline:
            if value := self.evaluate(expression):
                return value
            time.sleep(0.05)
        text = self.evaluate("document.body.innerText")
        raise AssertionError(f"{expression} stays false: {self.complaints} {text}")

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            received = os.read(self._out, 65536)
            assert received, "the browser has ended"
            self._buffer += received
        message, _, self._buffer = self._buffer.partition(b"\0")
        decoded: dict[str, Any] = json.loads(message)
        return decoded

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requested.append(parameters["request"]["url"])
            case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                self.complaints.append(parameters["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(parameters["exceptionDetails"]))


@contextmanager
def opened(folder: Path) -> Iterator[Page]:
    """Run a browser with a profile in a folder."""
    command = [
        *(get_program("chromium"), "--headless=new", "--no-sandbox", "--disable-gpu"),
        *("--remote-debugging-pipe", "--no-first-run", f"--user-data-dir={folder}"),
        "--disable-dev-shm-usage",
    ]
    into_read, into_write = os.pipe()
    out_read, out_write = os.pipe()
    shell = f'exec "$@" 3<&{into_read} 4>&{out_write}'
    process = subprocess.Popen(
        ["bash", "-c", shell, "bash", *command],
        pass_fds=(into_read, out_write),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(into_read)
    os.close(out_write)
    try:
        yield Page(into_write, out_read)
    finally:
        os.close(into_write)  # at which the browser ends
        os.close(out_read)
        process.terminate()
        process.wait(_DEADLINE)
