"""The service in a registry with Consul's HTTP API: from when it is ready until it drains.

See developer.hashicorp.com/consul/api-docs, "Agent". The registry is never waited for: one that is
away, stalls or has forgotten the service is asked again, and serving goes on meanwhile.
"""

import asyncio
import logging
import random
import signal
import socket
from collections.abc import Mapping
from contextlib import closing, suppress
from contextvars import copy_context
from functools import partial
from threading import Thread
from typing import Any, Self
from urllib.parse import quote

import aiohttp
from yarl import URL

from quart_fleet.conventions import LOOPBACKS, PREFIX
from quart_fleet.server._listener import in_url

TTL = 15
"""Seconds after which the registry leaves out a service of which it hears nothing."""
REMOVAL = "1m"
"""After which it forgets such a service: the shortest time that Consul takes."""
RENEWAL = TTL / 3
"""Seconds between two renewals, of which each takes up to a fifth less: two may be lost."""
TIMEOUT = 2.0
"""Seconds of one request."""
END_TIMEOUT = 1.0
"""Seconds that the end of a process waits for the registry."""
FIRST_BACKOFF = 0.2
"""Seconds: a random part of a time that doubles is waited, up to RENEWAL."""

_log = logging.getLogger("quart_fleet.server")


def _is_local(host: str | None) -> bool:
    return host in ("localhost", "::1") or str(host).startswith("127.")


class _RefusedError(Exception):
    """The registry has answered, but not that it was done."""


class Registration:
    """Keeps a service registered, from a thread of its own, since the parent of workers has no loop.

    It says that the service works only while that answers its health route, so that one which hangs
    is left out after TTL.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._name: str = config["SERVICE_NAME"]
        self._host: str = config["HOST"]
        self._port: int = config["SERVICE_PORT"]
        self._address: str | None = config["SERVICE_ADDRESS"]
        self._registry = URL(config["SERVICE_REGISTRY_URL"])
        token = config["SERVICE_REGISTRY_TOKEN"]
        self._headers = {"X-Consul-Token": token.get_secret_value()} if token else {}
        own = in_url(LOOPBACKS.get(self._host, self._host))
        self._own = URL(f"http://{own}:{self._port}{PREFIX}/")
        self._id = ""
        self._is_registered = False
        """Whether the registry may know of the service."""
        self._loop = asyncio.new_event_loop()
        self._leaving = asyncio.Event()
        run = partial(copy_context().run, self._run)
        self._thread = Thread(target=run, name="registration", daemon=True)

    def __enter__(self) -> Self:
        if self._address is None and _is_local(self._host) and not _is_local(self._registry.host):
            _log.warning(
                "HOST=%s is reached from this machine alone, and is what the registry at %s tells "
                "callers elsewhere: set HOST=0.0.0.0, or SERVICE_ADDRESS to what they reach",
                self._host,
                self._registry,
            )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def leave(self) -> None:
        """Begin to take the service out of the registry; it does not come back."""
        with suppress(RuntimeError):  # it has left
            self._loop.call_soon_threadsafe(self._leaving.set)

    def end(self) -> None:
        """Take the service out of the registry, and wait END_TIMEOUT for that, and a moment."""
        self.leave()
        self._thread.join(END_TIMEOUT * 1.2)

    def _run(self) -> None:
        # The main thread handles them, and may wait in a system call that only they end.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        with closing(self._loop):
            self._loop.run_until_complete(self._live())

    async def _live(self) -> None:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
            trust_env=False,
        ) as session:
            keeping = asyncio.create_task(self._keep(session))
            await self._leaving.wait()
            keeping.cancel()
            await asyncio.wait([keeping])
            if self._is_registered:
                try:
                    async with asyncio.timeout(END_TIMEOUT):
                        await self._put(session, f"service/deregister/{quote(self._id, '')}")
                    _log.info("%s is out of the registry", self._id)
                except (aiohttp.ClientError, TimeoutError, _RefusedError) as error:
                    _log.warning(
                        "%s stays in the registry for %d s: %s",
                        self._id,
                        TTL,
                        str(error) or repr(error),
                    )

    async def _keep(self, session: aiohttp.ClientSession) -> None:
        """Register, and renew the registration again and again; each trouble is said once."""
        while not await self._answers(session, "health/ready"):  # noqa: ASYNC110 - asks over HTTP
            await asyncio.sleep(FIRST_BACKOFF)
        backoff, is_failing = FIRST_BACKOFF, False
        while True:
            try:
                if not await self._renew(session):
                    await self._register(session)
                    _log.info("%s is in the registry at %s", self._id, self._registry)
                elif is_failing:
                    _log.info("%s is in the registry again", self._id)
                backoff, is_failing = FIRST_BACKOFF, False
                pause = random.uniform(0.8, 1) * RENEWAL  # noqa: S311 - no secret
            except (aiohttp.ClientError, OSError, _RefusedError) as error:
                if not is_failing:
                    line = "%s cannot be registered at %s, which is tried again and again: %s"
                    _log.warning(line, self._name, self._registry, str(error) or repr(error))
                is_failing = True
                backoff = min(2 * backoff, RENEWAL)
                pause = random.uniform(FIRST_BACKOFF, backoff)  # noqa: S311 - no secret
            await asyncio.sleep(pause)

    async def _answers(self, session: aiohttp.ClientSession, path: str) -> bool:
        """Whether the service answers with 200."""
        try:
            async with session.get(self._own.join(URL(path))) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _renew(self, session: aiohttp.ClientSession) -> bool:
        """Say that the service works; False where the registry does not know it (any more)."""
        if not self._is_registered:
            return False
        if not await self._answers(session, "health"):
            raise _RefusedError("the service does not answer its health route")
        try:
            await self._put(session, f"check/pass/{quote(f'service:{self._id}', '')}")
        except _RefusedError:  # 404, and 500 of Consul before 1.11: its agent may be a new one
            return False
        return True

    async def _register(self, session: aiohttp.ClientSession) -> None:
        address = self._address if self._address is not None else await self._find_address()
        self._id = f"{self._name}-{address or socket.gethostname()}-{self._port}"
        self._is_registered = True
        await self._put(
            session,
            "service/register",
            {
                "ID": self._id,
                "Name": self._name,
                "Address": address,
                "Port": self._port,
                "Check": {
                    "TTL": f"{TTL}s",
                    "Status": "passing",
                    "DeregisterCriticalServiceAfter": REMOVAL,
                },
            },
        )

    async def _find_address(self) -> str:
        """Return HOST where it is one host, else the address by which the registry is reached.

        It is empty, which is that of the registry's agent, where that is on this machine.
        """
        if self._host not in ("0.0.0.0", "::"):  # noqa: S104 - only compared with
            return self._host
        family = socket.AF_INET if self._host == "0.0.0.0" else socket.AF_UNSPEC  # noqa: S104
        async with asyncio.timeout(TIMEOUT):
            found = await asyncio.get_running_loop().getaddrinfo(
                self._registry.host, self._registry.port, family=family, type=socket.SOCK_DGRAM
            )
        with socket.socket(found[0][0], socket.SOCK_DGRAM) as sending:
            sending.connect(found[0][4])  # which sends nothing
            address: str = sending.getsockname()[0]
        return "" if _is_local(address) else address

    async def _put(
        self, session: aiohttp.ClientSession, path: str, body: object | None = None
    ) -> None:
        url = URL(f"{self._registry}".rstrip("/") + f"/v1/agent/{path}", encoded=True)
        async with session.put(
            url, json=body, headers=self._headers, allow_redirects=False
        ) as response:
            if response.status != 200:
                raise _RefusedError(f"the registry answered {response.status}")
