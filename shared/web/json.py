"""The JSON of the contract: sorted keys, ASCII, HTTP dates, a newline at the end."""

from pydantic import BaseModel
from quart import Quart
from quart.json.provider import DefaultJSONProvider


class ContractJSONProvider(DefaultJSONProvider):
    """Quart's provider, which has the contract's form, able to write DTOs too."""

    def __init__(self, app: Quart) -> None:
        super().__init__(app)
        self._default_of_quart = self.default
        self.default = self._write_dto

    def _write_dto(self, value: object) -> object:
        if isinstance(value, BaseModel):
            return dict(value)
        return self._default_of_quart(value)
