"""The users table; the user service owns it."""

from sqlalchemy import Boolean, Integer, String, true
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import BaseModel


class UserModel(BaseModel):
    """A person who can be addressed by a name or an email, both unique."""

    __tablename__ = "users"
    __table_args__ = {"info": {"service": "user-service"}}

    username: Mapped[str] = mapped_column(String(80), unique=True)
    email: Mapped[str] = mapped_column(String(120), unique=True)
    first_name: Mapped[str | None] = mapped_column(String(50))
    last_name: Mapped[str | None] = mapped_column(String(50))
    age: Mapped[int | None] = mapped_column(Integer)
    is_active: Mapped[bool] = mapped_column(Boolean, server_default=true())
