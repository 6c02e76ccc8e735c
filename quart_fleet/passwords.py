"""Hashes of passwords, by scrypt (RFC 7914): in threads, few at a time, while the service answers others."""

import asyncio
import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode

_COST, _BLOCK, _PARALLEL = 2**14, 8, 5
"""OWASP's choice with 16 MiB: some 200 ms of a processor."""
_SALT, _KEY = 16, 32
"""Bytes."""
_AT_ONCE = 2


class PasswordHasher:
    """Made once for an application; each hash has its costs and its salt with it."""

    def __init__(self) -> None:
        self._semaphore = asyncio.Semaphore(_AT_ONCE)

    async def hash(self, password: str) -> str:
        """Return what is kept of a password."""
        salt = secrets.token_bytes(_SALT)
        key = await self._derive(password, salt, _COST, _BLOCK, _PARALLEL)
        return "$".join(
            ("scrypt", *map(str, (_COST, _BLOCK, _PARALLEL)), *map(_in_base64, (salt, key)))
        )

    async def verify(self, password: str, kept: str) -> bool:
        """Whether a hash is that of this password; raises ValueError for what is no hash."""
        if not kept.startswith("scrypt$"):
            raise ValueError("This is no hash of scrypt.")
        _, *numbers, salt, key = kept.split("$")
        cost, block, parallel = map(int, numbers)
        found = await self._derive(password, b64decode(salt), cost, block, parallel)
        return hmac.compare_digest(found, b64decode(key))

    async def _derive(
        self, password: str, salt: bytes, cost: int, block: int, parallel: int
    ) -> bytes:
        async with self._semaphore:
            return await asyncio.to_thread(
                hashlib.scrypt,
                password.encode(),
                salt=salt,
                n=cost,
                r=block,
                p=parallel,
                maxmem=256 * cost * block,
                dklen=_KEY,
            )


def _in_base64(data: bytes) -> str:
    return b64encode(data).decode()
