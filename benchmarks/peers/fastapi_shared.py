# mypy: ignore-errors
# FastAPI is installed in the benchmark's own environment only.
"""FastAPI with the data access of our services: their pool, their transaction, their statements."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Response

from benchmarks.peers.contract import DATABASE_URL, POOL_SIZE
from benchmarks.peers.fastapi_schemas import (
    After,
    Envelope,
    Limit,
    UserCreate,
    UserPublic,
    page,
    prepare,
)
from quart_fleet.database._engine import Database
from quart_fleet.database._statement import AFTER, LIMIT, TableStatements
from quart_fleet.database._transaction import AutocommitTransaction, Transaction
from quart_fleet.settings import DatabaseSettings
from shared.models.user import UserModel

_USERS = UserModel.__table__
_STATEMENTS = TableStatements(_USERS, ("username", "email"))
_CONFIG = DatabaseSettings.model_validate({"DATABASE_URL": DATABASE_URL, "DB_POOL_SIZE": POOL_SIZE})


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold the pool."""
    async with Database(_CONFIG) as app.state.database:
        yield


app = FastAPI(lifespan=lifespan)
prepare(app)


@app.get("/api/v1/users/page", response_model=Envelope[list[UserPublic]])
async def list_page(response: Response, limit: Limit = 20, after: After = 0):
    async with Transaction(app.state.database) as transaction:
        rows = await transaction.fetch(_STATEMENTS.page, {AFTER: after, LIMIT: limit + 1})
    return page([dict(row) for row in rows], limit, response)


@app.get("/api/v1/users/{user_id}", response_model=Envelope[UserPublic])
async def get_user(user_id: int):
    async with Transaction(app.state.database) as transaction:
        row = await transaction.fetch_first(_STATEMENTS.find, {"id": user_id})
    if row is None:
        raise HTTPException(404, "User not found")
    return {"data": dict(row)}


@app.post("/api/v1/users", response_model=Envelope[UserPublic], status_code=201)
async def create_user(body: UserCreate):
    values = {**body.model_dump(), "is_active": True}
    async with AutocommitTransaction(app.state.database) as transaction:
        row = await transaction.fetch_first(_STATEMENTS.writes[tuple(values)].add, values)
        if row is None:
            named = await transaction.fetch_first(_STATEMENTS.find_by["username"], values)
            raise HTTPException(
                400, "Email already exists" if named is None else "Username already exists"
            )
    return {"data": dict(row), "message": "User created successfully"}
