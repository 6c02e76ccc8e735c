"""A way to PostgreSQL that delays, stalls in the midst of an answer, or cuts."""

import asyncio
from asyncio import StreamReader, StreamWriter
from contextlib import suppress

from tests.contract.gate import Gate


class FaultyWay(Gate):
    """A gate whose answers meet a fault until it is mended."""

    def __init__(self, database_url: str) -> None:
        super().__init__(database_url)
        self.fault = ""
        """`delay`: each part of an answer comes 20 ms later. `stall`: half of one comes, and then
        nothing. `cut`: half of one comes, and the connection ends."""
        self._mended = asyncio.Event()

    @property
    def connections(self) -> int:
        """How many clients are connected; each has a connection to the server too."""
        return len(self._connections) // 2

    def harm(self, fault: str) -> None:
        """Let every answer meet the fault from now on, on whichever connection."""
        self.fault = fault
        self._mended.clear()

    def mend(self) -> None:
        """Pass answers on as they are; connections that have lost a part of one end."""
        self.fault = ""
        self._mended.set()

    async def _pass_back(self, source: StreamReader, client: StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(2**16):
                if self.fault in ("stall", "cut"):
                    client.write(data[: len(data) // 2])
                    if self.fault == "stall":
                        await self._mended.wait()
                    break
                if self.fault == "delay":
                    await asyncio.sleep(0.02)
                client.write(data)
        client.close()
