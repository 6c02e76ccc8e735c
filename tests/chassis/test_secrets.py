"""Texts that nothing shows, and hashes of passwords."""

import asyncio
from dataclasses import dataclass
from typing import Annotated

import pytest

from quart_fleet.dto import Hidden, RequestDTO, Secret, Text
from quart_fleet.passwords import PasswordHasher


class Login(RequestDTO):
    password: Annotated[Text, Hidden]


@dataclass
class Account:
    password: str


def test_the_repr_of_what_holds_a_secret_does_not_show_it() -> None:
    dto = Login.model_validate_json('{"password": "horse"}')

    for holder in (dto, Account(dto.password), (dto.password,), {"a": [Secret("horse")]}):
        assert "horse" not in repr(holder)
        assert "***" in repr(holder)
    assert dto.password == "horse"


@pytest.mark.slow
async def test_a_password_is_told_by_its_hash_while_others_are_served() -> None:
    hasher = PasswordHasher()
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    others = asyncio.create_task(turn())
    first, second = await asyncio.gather(hasher.hash("pässword"), hasher.hash("pässword"))
    others.cancel()

    assert turns > 10
    assert first != second
    assert await hasher.verify("pässword", first)
    assert not await hasher.verify("password", first)
    with pytest.raises(ValueError, match="no hash"):
        await hasher.verify("pässword", "pässword")
