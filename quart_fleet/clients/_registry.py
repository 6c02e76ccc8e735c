"""Where a service is, by a registry with Consul's HTTP API.

See developer.hashicorp.com/consul/api-docs, "Health" and "Blocking Queries".
"""

import asyncio
import logging
import math
import random
from collections.abc import Callable, Sequence
from urllib.parse import quote

import aiohttp
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from yarl import URL

from quart_fleet.clients._service_client import CONNECT_TIMEOUT, read_at_most
from quart_fleet.conventions import is_host
from quart_fleet.settings import ServiceSettings

WAIT = 30
"""Seconds after which a query that waits for a change is answered without one."""
TIMEOUT = 2.0
"""Seconds of a query that waits for nothing."""
WAIT_TIMEOUT = WAIT * (1 + 1 / 16) + TIMEOUT
"""Seconds of one that waits: Consul adds up to a sixteenth."""
INTERVAL, BURST = 2.0, 5
"""Seconds between two queries, and how many may be sent at once: a registry that answers without
waiting is not asked in a busy loop (a token bucket, as Consul's documentation wants)."""
FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 10.0
"""Seconds: after a failure a random part of a time that doubles is waited."""
EMPTY_TIMEOUT = 30.0
"""Seconds for which known instances are kept when the registry knows none any more: it may have been
restarted with an empty memory, and they have to register again."""
TTL = 15.0
"""Seconds, as a service's registration has: for so long what was known is called besides what is said
by a registry that was away or whose index went backwards, since it may have lost its memory."""
MOST_BYTES = 4 * 1024 * 1024
"""Of an answer; an instance takes about one thousand."""

_log = logging.getLogger("quart_fleet.clients")


class _Node(BaseModel):
    address: str = Field("", alias="Address")


class _Service(BaseModel):
    address: str = Field("", alias="Address")
    port: int = Field(alias="Port")


class _Entry(BaseModel):
    node: _Node = Field(alias="Node")
    service: _Service = Field(alias="Service")

    def find_url(self) -> str | None:
        """Return where the instance is; None where it has no port, or no host that there may be."""
        host, port = self.service.address or self.node.address, self.service.port
        if not is_host(host) or not 0 < port < 65536:
            return None
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


_ENTRIES = TypeAdapter(list[_Entry])


class Registry:
    """Tells where the instances of services are."""

    def __init__(self, url: str, config: ServiceSettings, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session
        token = config.service_registry_token
        self._headers = {"X-Consul-Token": token.get_secret_value()} if token else {}

    async def watch(self, service: str, locate: Callable[[Sequence[str] | None], None]) -> None:
        """Tell the addresses of the healthy instances, again and again as they change.

        None where nothing is to be changed: the registry cannot be asked, or has just lost all.
        """
        loop = asyncio.get_running_loop()
        index, due, empty_since = 0, loop.time() - BURST * INTERVAL, None
        known: list[str] = []
        trusted_from = loop.time()
        backoff, is_failing = FIRST_BACKOFF, False
        while True:
            try:
                doubt = math.ceil(trusted_from - loop.time())
                urls, answered = await self._ask(service, index, doubt if doubt > 0 else WAIT)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                if not is_failing:
                    line = "The registry at %s does not say where the %s is, and is asked on: %s"
                    _log.warning(line, self._url, service, str(error) or repr(error))
                index, is_failing = 0, True
                locate(None)
                backoff = min(2 * backoff, LONGEST_BACKOFF)
                await asyncio.sleep(random.uniform(FIRST_BACKOFF, backoff))  # noqa: S311 - no secret
                continue
            if is_failing:
                _log.info("The registry at %s says again where the %s is", self._url, service)
            if is_failing or answered < index:
                trusted_from = loop.time() + TTL
            backoff, is_failing = FIRST_BACKOFF, False
            index = answered if answered >= index else 0
            if urls:
                empty_since = None
            elif empty_since is None:
                empty_since = loop.time()
            is_over = empty_since is not None and loop.time() - empty_since >= EMPTY_TIMEOUT
            if urls or is_over:
                is_doubted = bool(urls) and loop.time() < trusted_from
                known = list(dict.fromkeys((*urls, *known))) if is_doubted else urls
                locate(known)
            else:
                locate(None)
            due = max(due, loop.time() - BURST * INTERVAL) + INTERVAL
            await asyncio.sleep(due - loop.time())

    async def _ask(self, service: str, index: int, wait: int) -> tuple[list[str], int]:
        """Return the addresses, and the index of the answer, from 1.

        A change of an index but 0 is waited for, this many seconds.

        Raises aiohttp.ClientError, OSError and ValueError.
        """
        query = f"passing=true&index={index}&wait={wait}s" if index else "passing=true"
        url = f"{self._url}/v1/health/service/{quote(service, '')}?{query}"
        seconds = WAIT_TIMEOUT if index else TIMEOUT
        async with self._session.get(
            URL(url, encoded=True),
            headers=self._headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_TIMEOUT),
        ) as response:
            if response.status != 200:
                raise ValueError(f"it answered {response.status}")
            body = await read_at_most(MOST_BYTES, response)
            said = response.headers.get("X-Consul-Index", "")
        try:
            found = [each.find_url() for each in _ENTRIES.validate_json(body)]
        except ValidationError:  # which quotes the answer
            raise ValueError("it answered what is no list of instances") from None
        answered = int(said) if said.isdecimal() and len(said) < 20 else 0
        return list(dict.fromkeys(url for url in found if url is not None)), max(1, answered)
