"""How hypercorn's connections look at the heads of requests."""

import re

import h11
import pytest

from quart_fleet.server import _hypercorn
from quart_fleet.server._hypercorn import StrictConnection

MOST_HEAD = 64 * 1024
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Counting:
    """A pattern that counts the bytes it is to look at."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self._pattern = pattern
        self.count = 0

    def search(self, text: bytearray, start: int) -> re.Match[bytes] | None:
        self.count += len(text) - start
        return self._pattern.search(text, start)


def test_a_head_in_many_pieces_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(_hypercorn._LINE_FEED)
    monkeypatch.setattr(_hypercorn, "_LINE_FEED", counting)
    connection = StrictConnection(MOST_HEAD, 100)
    start = REQUEST[:-2] + b"X-Much: "
    head = start + b"a" * (MOST_HEAD - len(start) - 4) + b"\r\n\r\n"
    events = []

    for at in range(0, len(head), 16):
        connection.receive_data(head[at : at + 16])
        events.append(connection.next_event())

    assert isinstance(events[-1], h11.Request)
    assert len(head) < counting.count < 1.2 * len(head)


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(REQUEST), 4 * len(REQUEST)])
def test_requests_in_pieces_of_any_size_are_read_one_after_another(size: int) -> None:
    connection = StrictConnection(MOST_HEAD, 100)
    sent, count = REQUEST * 4, 0

    for at in range(0, len(sent), size):
        connection.receive_data(sent[at : at + size])
        while (event := connection.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.EndOfMessage):
                count += 1
                connection.send(h11.Response(status_code=204, headers=[]))
                connection.send(h11.EndOfMessage())
                connection.start_next_cycle()

    assert count == 4


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("line", [b"X: 1\n", b"X: 1\r\n 2\r\n", b"X: 1\r\n\t2\r\n", b"\n"])
def test_a_line_that_ends_otherwise_is_refused_in_pieces_of_any_size(
    line: bytes, size: int
) -> None:
    connection = StrictConnection(MOST_HEAD, 100)
    sent = REQUEST[:-2] + line + b"\r\n"

    def read() -> None:
        for at in range(0, len(sent), size):
            connection.receive_data(sent[at : at + size])
            connection.next_event()

    with pytest.raises(h11.RemoteProtocolError, match="does not end as it should"):
        read()
