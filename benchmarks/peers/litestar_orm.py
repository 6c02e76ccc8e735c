# mypy: ignore-errors
# Litestar is installed in the benchmark's own environment only.
"""Litestar as its documentation and that of advanced-alchemy have it: plugin, service, structs."""

from typing import Annotated, Any, Generic, TypeVar

from advanced_alchemy.base import BigIntAuditBase
from advanced_alchemy.exceptions import IntegrityError, NotFoundError
from advanced_alchemy.extensions.litestar import (
    AsyncSessionConfig,
    EngineConfig,
    SQLAlchemyAsyncConfig,
    SQLAlchemyPlugin,
    providers,
    repository,
    service,
)
from advanced_alchemy.filters import LimitOffset
from litestar import Controller, Litestar, Request, Response, Router, get, post
from litestar.config.cors import CORSConfig
from litestar.exceptions import (
    ClientException,
    HTTPException,
    NotFoundException,
    ValidationException,
)
from litestar.params import Parameter
from msgspec import Meta, Struct
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from benchmarks.peers.contract import POOL_SIZE, WELCOME, http_date, link_to_next, sqlalchemy_url

DataT = TypeVar("DataT")
Name = Annotated[str, Meta(max_length=50)]
Limit = Annotated[int, Parameter(ge=1, le=100)]
After = Annotated[int, Parameter(ge=0)]


class User(BigIntAuditBase):
    """A row of the table that our migration has made."""

    __tablename__ = "users"

    username: Mapped[str] = mapped_column(String(80), unique=True)
    email: Mapped[str] = mapped_column(String(120), unique=True)
    first_name: Mapped[str | None] = mapped_column(String(50))
    last_name: Mapped[str | None] = mapped_column(String(50))
    age: Mapped[int | None]
    is_active: Mapped[bool] = mapped_column(default=True)


class UserService(service.SQLAlchemyAsyncRepositoryService[User]):
    """Users by their repository."""

    class Repo(repository.SQLAlchemyAsyncRepository[User]):
        """Rows of the table."""

        model_type = User

    repository_type = Repo


class UserCreate(Struct):
    """What a client sends."""

    username: Annotated[str, Meta(max_length=80)]
    email: Annotated[str, Meta(max_length=120)]
    first_name: Name | None = None
    last_name: Name | None = None
    age: Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)] | None = None


class UserPublic(Struct):
    """What a client gets, its keys in the order of the alphabet."""

    age: int | None
    created_at: str
    email: str
    first_name: str | None
    id: int
    is_active: bool
    last_name: str | None
    updated_at: str
    username: str

    @classmethod
    def of(cls, user: User) -> "UserPublic":
        """Read a row."""
        return cls(
            age=user.age,
            created_at=http_date(user.created_at),
            email=user.email,
            first_name=user.first_name,
            id=user.id,
            is_active=user.is_active,
            last_name=user.last_name,
            updated_at=http_date(user.updated_at),
            username=user.username,
        )


class Envelope(Struct, Generic[DataT]):
    """Every answer."""

    data: DataT
    message: str = "Success"
    success: bool = True


class UserController(Controller):
    """The routes that are measured."""

    path = "/users"
    dependencies = providers.create_service_dependencies(UserService, "users")

    @get("/page")
    async def list_page(
        self, users: UserService, limit: Limit = 20, after: After = 0
    ) -> Response[Envelope[list[UserPublic]]]:
        page = LimitOffset(limit + 1, 0)
        found = await users.list(User.id > after, page, order_by=("id", False))
        data = [UserPublic.of(user) for user in found[:limit]]
        more = len(found) > limit
        headers = {"Link": link_to_next(limit, data[-1].id)} if more else None
        return Response(Envelope(data), headers=headers)

    @get("/{user_id:int}")
    async def get_user(self, users: UserService, user_id: int) -> Envelope[UserPublic]:
        try:
            return Envelope(UserPublic.of(await users.get(user_id)))
        except NotFoundError:
            raise NotFoundException("User not found") from None

    @post()
    async def create_user(self, users: UserService, data: UserCreate) -> Envelope[UserPublic]:
        try:
            user = await users.create(data)
        except IntegrityError:
            await users.repository.session.rollback()
            named = await users.exists(username=data.username)
            raise ClientException(f"{'Username' if named else 'Email'} already exists") from None
        return Envelope(UserPublic.of(user), "User created successfully")


@get("/health")
async def health() -> Envelope[dict[str, str]]:
    return Envelope({"status": "healthy"})


@get("/")
async def welcome() -> Envelope[dict[str, str]]:
    return Envelope({"message": WELCOME})


def _refuse(_request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    if isinstance(error, ValidationException) and error.extra:
        return _refuse_values(error)
    unknown = error.status_code == 404 and error.detail != "User not found"
    message = "Endpoint not found" if unknown else error.detail
    if error.status_code == 400 and not message.endswith("already exists"):
        message = "Request body is not valid JSON"
    return Response({"message": message, "success": False}, status_code=error.status_code)


def _refuse_values(error: ValidationException) -> Response[dict[str, Any]]:
    reasons = {str(each.get("key")): _reason(each["message"]) for each in error.extra}
    for message in (each["message"] for each in error.extra):
        if "missing required field" in message:
            field = message.split("`")[1]
            refusal = {"message": f"Field '{field}' is required", "success": False}
            return Response(refusal, status_code=400)
    refusal = {"errors": reasons, "message": "Validation failed", "success": False}
    return Response(refusal, status_code=422)


def _reason(message: str) -> str:
    if "length <=" in message:
        return f"Must be at most {message.rsplit(' ', 1)[-1]} characters"
    for relation, words in ((">= ", "at least"), ("<= ", "at most")):
        if relation in message:
            return f"Must be {words} {message.rpartition(relation)[2]}"
    return "Must be an integer" if "Expected `int" in message else "Must be a string"


alchemy = SQLAlchemyAsyncConfig(
    connection_string=sqlalchemy_url(),
    before_send_handler="autocommit",
    session_config=AsyncSessionConfig(expire_on_commit=False),
    engine_config=EngineConfig(pool_size=POOL_SIZE, max_overflow=0),
)
app = Litestar(
    route_handlers=[Router("/api/v1", route_handlers=[health, welcome, UserController])],
    plugins=[SQLAlchemyPlugin(config=alchemy)],
    cors_config=CORSConfig(allow_origins=["*"]),
    exception_handlers={HTTPException: _refuse},
    openapi_config=None,
    logging_config=None,
)
