"""What observers are told, and the id that each request has."""

import asyncio

import pytest
from quart import Quart, Response

from quart_fleet.asgi._application import ServiceApplication
from quart_fleet.observation import ObservedRequest, Observer, find_request


class Told(Observer):
    def __init__(self) -> None:
        self.begun: list[ObservedRequest] = []
        self.ended: list[ObservedRequest] = []

    def begin_request(self, request: ObservedRequest) -> None:
        self.begun.append(request)

    def end_request(self, request: ObservedRequest) -> None:
        self.ended.append(request)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def app(app: ServiceApplication, told: Told) -> ServiceApplication:
    app.observers.add(told)

    @app.get("/things/<int:thing_id>")
    async def get(thing_id: int) -> str:
        observed = find_request()
        assert observed is not None
        return f"{thing_id} of {observed.rule}"

    @app.post("/things")
    async def create() -> Response:
        return Response("made", 201, {"X-Request-ID": "our own"})

    return app


@pytest.mark.parametrize("sent", ["a", "7f0c-4e.5_6~7+8/9=:@", "a" * 128])
async def test_a_request_id_that_is_well_formed_is_taken_over(app: Quart, sent: str) -> None:
    answer = await app.test_client().get("/things/1", headers={"X-Request-ID": sent})

    assert answer.headers.getlist("X-Request-ID") == [sent]


@pytest.mark.parametrize("sent", [None, "", " ", "a b", "a" * 129, "é", "a\x1b[2J", '"', "%0a"])
async def test_another_is_made_for_each_request(app: Quart, sent: str | None) -> None:
    client = app.test_client()
    headers = {} if sent is None else {"X-Request-ID": sent}

    made = [(await client.get("/things/1", headers=headers)).headers for _ in range(3)]

    ids = {each["X-Request-ID"] for each in made}
    assert len(ids) == 3
    assert all(len(each) == 24 and each.isalnum() for each in ids)


async def test_one_that_the_application_sets_stays(app: Quart) -> None:
    answer = await app.test_client().post("/things")

    assert answer.headers.getlist("X-Request-ID") == ["our own"]


async def test_a_request_has_an_id_where_none_observes_it(
    app: ServiceApplication, told: Told
) -> None:
    app.observers.remove(told)

    @app.get("/id")
    async def get_id() -> str:
        first, second = find_request(), find_request()
        assert first is not None
        assert first is second
        return f"{first.id.decode()} at {first.rule}"

    answer = await app.test_client().get("/id", headers={"X-Request-ID": "a"})

    assert await answer.get_data(as_text=True) == "a at /id"
    assert "X-Request-ID" not in answer.headers


async def test_what_looks_at_all_requests_is_of_none(
    app: ServiceApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = asyncio.get_running_loop().create_future()
    monkeypatch.setattr(app, "_look", lambda _loop: looked.set_result(find_request()))

    await app.test_client().get("/things/7")

    assert await asyncio.wait_for(looked, 10) is None


class Raising(Observer):
    def __init__(self, *, from_its_begin: bool) -> None:
        self.from_its_begin, self.count = from_its_begin, 0

    def begin_request(self, request: ObservedRequest) -> None:
        if self.from_its_begin:
            raise KeyError("wss")

    def end_request(self, request: ObservedRequest) -> None:
        self.count += 1
        raise KeyError("wss")


@pytest.mark.parametrize(("from_its_begin", "count"), [(True, 1), (False, 1)])
async def test_one_that_raises_keeps_nothing_from_its_answer_nor_others_from_hearing_of_it(
    app: ServiceApplication, told: Told, caplog: pytest.LogCaptureFixture,
    from_its_begin: bool, count: int,
) -> None:  # fmt: skip
    raising, second = Raising(from_its_begin=from_its_begin), Told()
    for observer in (told, raising, second):
        app.observers.remove(observer)
        app.observers.add(observer)

    answer = await app.test_client().get("/things/7")
    app.tell_ended()

    assert answer.status_code == 200
    assert (len(told.begun), len(told.ended), len(second.ended)) == (1, 1, 1)
    assert raising.count == count
    assert "Raising raised" in caplog.text


async def test_observers_are_told_of_what_is_cut_as_the_process_ends(
    each_app: ServiceApplication,
) -> None:
    """It takes a moment to end, as where its transaction is rolled back."""
    asked, told = asyncio.Event(), Told()
    each_app.observers.add(told)

    @each_app.get("/slow")
    async def slow() -> str:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(20):
                await asyncio.sleep(0)
        return "never"

    await each_app.startup()
    asking = asyncio.ensure_future(each_app.test_client().get("/slow"))
    await asked.wait()
    asking.cancel()
    await each_app.shutdown()

    assert [(each.status, each.has_failed) for each in told.ended] == [(503, True)]


async def test_observers_are_told_of_a_request(app: ServiceApplication, told: Told) -> None:
    client = app.test_client()

    found = await client.get("/things/7")
    await client.post("/things", data=b"12345")
    await client.get("/nowhere")
    app.tell_ended()

    first, second, third = told.ended
    assert told.begun == told.ended
    assert await found.get_data(as_text=True) == "7 of /things/<int:thing_id>"
    assert (first.rule, first.status, first.sent) == ("/things/<int:thing_id>", 200, 27)
    assert (second.rule, second.status, second.sent) == ("/things", 201, 4)
    assert (third.rule, third.status) == (None, 404)
    assert first.seconds > 0
    assert first.id.decode() == found.headers["X-Request-ID"]
