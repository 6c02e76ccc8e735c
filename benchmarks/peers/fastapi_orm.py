# mypy: ignore-errors
# FastAPI is installed in the benchmark's own environment only.
"""FastAPI as its tutorial has it: a session by dependency, ORM models, response models."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Response
from sqlalchemy import BigInteger, DateTime, String, func, select, true
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from benchmarks.peers.contract import POOL_SIZE, sqlalchemy_url
from benchmarks.peers.fastapi_schemas import (
    After,
    Envelope,
    Limit,
    UserCreate,
    UserPublic,
    page,
    prepare,
)

engine = create_async_engine(sqlalchemy_url(), pool_size=POOL_SIZE, max_overflow=0)
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    """The root of the models."""


class User(Base):
    """A row of the table that our migration has made."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    username: Mapped[str] = mapped_column(String(80), unique=True)
    email: Mapped[str] = mapped_column(String(120), unique=True)
    first_name: Mapped[str | None] = mapped_column(String(50))
    last_name: Mapped[str | None] = mapped_column(String(50))
    age: Mapped[int | None]
    is_active: Mapped[bool] = mapped_column(server_default=true())
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


async def get_session() -> AsyncIterator[AsyncSession]:
    """Open a session for the length of a request."""
    async with sessions() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session)]


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Close the pool at the end."""
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
prepare(app)


@app.get("/api/v1/users/page", response_model=Envelope[list[UserPublic]])
async def list_page(response: Response, session: SessionDep, limit: Limit = 20, after: After = 0):
    following = select(User).where(User.id > after).order_by(User.id).limit(limit + 1)
    users = await session.scalars(following)
    return page(users.all(), limit, response)


@app.get("/api/v1/users/{user_id}", response_model=Envelope[UserPublic])
async def get_user(user_id: int, session: SessionDep):
    user = await session.get(User, user_id)
    if user is None:
        raise HTTPException(404, "User not found")
    return {"data": user}


@app.post("/api/v1/users", response_model=Envelope[UserPublic], status_code=201)
async def create_user(body: UserCreate, session: SessionDep):
    user = User(**body.model_dump())
    session.add(user)
    try:
        await session.commit()
    except IntegrityError:
        await session.rollback()
        raise HTTPException(400, await describe_taken(session, body)) from None
    await session.refresh(user)
    return {"data": user, "message": "User created successfully"}


async def describe_taken(session: AsyncSession, body: UserCreate) -> str:
    named = await session.scalar(select(User.id).where(User.username == body.username))
    return "Email already exists" if named is None else "Username already exists"
