# mypy: ignore-errors
# FastAPI is installed in the benchmark's own environment only.
"""FastAPI with asyncpg by hand: prepared SQL, its own pool, one insert that decides."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Response

from benchmarks.peers import sql
from benchmarks.peers.fastapi_schemas import (
    After,
    Envelope,
    Limit,
    UserCreate,
    UserPublic,
    page,
    prepare,
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold the pool."""
    async with sql.make_pool() as app.state.pool:
        yield


app = FastAPI(lifespan=lifespan)
prepare(app)


@app.get("/api/v1/users/page", response_model=Envelope[list[UserPublic]])
async def list_page(response: Response, limit: Limit = 20, after: After = 0):
    rows = await app.state.pool.fetch(sql.PAGE, after, limit + 1)
    return page([dict(row) for row in rows], limit, response)


@app.get("/api/v1/users/{user_id}", response_model=Envelope[UserPublic])
async def get_user(user_id: int):
    row = await app.state.pool.fetchrow(sql.FIND, user_id)
    if row is None:
        raise HTTPException(404, "User not found")
    return {"data": dict(row)}


@app.post("/api/v1/users", response_model=Envelope[UserPublic], status_code=201)
async def create_user(body: UserCreate):
    values = (body.username, body.email, body.first_name, body.last_name, body.age)
    async with app.state.pool.acquire() as connection:
        async with connection.transaction():
            row = await connection.fetchrow(sql.ADD, *values)
        if row is None:
            named = await connection.fetchval(sql.NAMED, body.username)
            raise HTTPException(
                400, "Email already exists" if named is None else "Username already exists"
            )
    return {"data": dict(row), "message": "User created successfully"}
