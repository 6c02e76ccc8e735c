# mypy: ignore-errors
# FastAPI is installed in the benchmark's own environment only.
"""What the FastAPI peers have in common: their models, and the contract's refusals."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Generic, TypeVar

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer
from starlette.exceptions import HTTPException

from benchmarks.peers.contract import REASONS, WELCOME, http_date, link_to_next

DataT = TypeVar("DataT")
HttpDate = Annotated[datetime, PlainSerializer(http_date, return_type=str)]


Limit = Annotated[int, Query(ge=1, le=100)]
After = Annotated[int, Query(ge=0)]


class UserCreate(BaseModel):
    """What a client sends."""

    model_config = ConfigDict(strict=True)

    username: Annotated[str, Field(max_length=80)]
    email: Annotated[str, Field(max_length=120)]
    first_name: Annotated[str | None, Field(max_length=50)] = None
    last_name: Annotated[str | None, Field(max_length=50)] = None
    age: Annotated[int | None, Field(ge=-(2**31), le=2**31 - 1)] = None


class UserPublic(BaseModel):
    """What a client gets, its keys in the order of the alphabet."""

    model_config = ConfigDict(from_attributes=True)

    age: int | None
    created_at: HttpDate
    email: str
    first_name: str | None
    id: int
    is_active: bool
    last_name: str | None
    updated_at: HttpDate
    username: str


class Envelope(BaseModel, Generic[DataT]):
    """Every answer."""

    data: DataT
    message: str = "Success"
    success: bool = True


class Health(BaseModel):
    """Whether the process answers."""

    status: str


class Welcome(BaseModel):
    """Which service this is."""

    message: str


def prepare(app: FastAPI) -> None:
    """Add what is no resource: cross-origin headers, refusals, health and root."""
    app.add_middleware(
        CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"]
    )
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_values)

    @app.get("/api/v1/health", response_model=Envelope[Health])
    async def health():
        return {"data": {"status": "healthy"}}

    @app.get("/api/v1/", response_model=Envelope[Welcome])
    async def welcome():
        return {"data": {"message": WELCOME}}


def page(found: Sequence[DataT], limit: int, response: Response) -> dict[str, Sequence[DataT]]:
    """Return the first rows; one more than the limit means that there is a next page."""
    data = found[:limit]
    if len(found) > limit:
        last = data[-1]
        last_id = last["id"] if isinstance(last, Mapping) else last.id
        response.headers["Link"] = link_to_next(limit, last_id)
    return {"data": data}


def _answer(status: int, message: str, errors: dict[str, str] | None = None) -> JSONResponse:
    details = {"errors": errors} if errors else {}
    return JSONResponse({**details, "message": message, "success": False}, status)


async def _refuse(_request: Request, error: HTTPException) -> JSONResponse:
    unknown = error.status_code == 404 and error.detail == "Not Found"
    return _answer(error.status_code, "Endpoint not found" if unknown else error.detail)


async def _refuse_values(_request: Request, error: RequestValidationError) -> JSONResponse:
    for detail in error.errors():
        if detail["type"] == "json_invalid":
            return _answer(400, "Request body is not valid JSON")
        if detail["type"] == "missing" and len(detail["loc"]) == 1:
            return _answer(400, "Request body is required")
        if detail["type"] == "missing":
            return _answer(400, f"Field '{detail['loc'][-1]}' is required")
    reasons = {
        str(detail["loc"][-1]): REASONS.get(detail["type"], "Is not valid").format(
            **detail.get("ctx", {})
        )
        for detail in error.errors()
    }
    return _answer(422, "Validation failed", reasons)
