# mypy: ignore-errors
# FastAPI is installed in the benchmark's own environment only.
"""FastAPI with the ORM, but one round trip for a creation: no refresh, a refusal read by its name."""

from fastapi import FastAPI, HTTPException
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.peers.fastapi_orm import (
    SessionDep,
    User,
    describe_taken,
    get_user,
    lifespan,
    list_page,
)
from benchmarks.peers.fastapi_schemas import Envelope, UserCreate, UserPublic, prepare

app = FastAPI(lifespan=lifespan)
prepare(app)
app.get("/api/v1/users/page", response_model=Envelope[list[UserPublic]])(list_page)
app.get("/api/v1/users/{user_id}", response_model=Envelope[UserPublic])(get_user)


@app.post("/api/v1/users", response_model=Envelope[UserPublic], status_code=201)
async def create_user(body: UserCreate, session: SessionDep):
    insertion = insert(User).values(**body.model_dump()).returning(User)
    try:
        user = await session.scalar(insertion)
        await session.commit()
    except IntegrityError as error:
        await session.rollback()
        raise HTTPException(400, await _taken(session, error, body)) from None
    return {"data": user, "message": "User created successfully"}


async def _taken(session: AsyncSession, error: IntegrityError, body: UserCreate) -> str:
    """Read the field from the constraint; the username is named first where both are taken."""
    if error.orig.__cause__.constraint_name == "uq_users_username":
        return "Username already exists"
    return await describe_taken(session, body)
