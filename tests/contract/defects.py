"""What could go wrong with a service: at least one defect for every row of the contract's table."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Defect:
    """A textual replacement in one file of a generated workspace.

    Args:
        flaw: what is wrong with the service then.
        route: the row of the contract's table that it violates.
        file: below the workspace.
    """

    flaw: str
    route: str
    file: str
    sound: str
    damaged: str

    def __str__(self) -> str:
        return self.flaw.replace(" ", "-")

    def plant(self, workspace: Path) -> None:
        """Damage the workspace; raises ValueError unless the sound text is there exactly once."""
        path = workspace / self.file
        source = path.read_text()
        found = source.count(self.sound)
        if found != 1:
            raise ValueError(f"{self.sound!r} is {found} times in {self.file}")
        path.write_text(source.replace(self.sound, self.damaged))


_SERVICE = "services/user_service"
_CONTROLLERS = f"{_SERVICE}/infrastructure/web/controllers.py"
_ADAPTER = f"{_SERVICE}/infrastructure/adapters/user_repository.py"
_ENTITY = f"{_SERVICE}/domain/entities/user.py"
_DTO = f"{_SERVICE}/application/dto/user_dto.py"
_STATEMENTS = "quart_fleet/database/_statement.py"
_REPOSITORY = "quart_fleet/database/_repository.py"
_ERRORS = "quart_fleet/errors.py"
_RESPONSE = "quart_fleet/web/_envelope.py"
_APPLICATION = "quart_fleet/web/_application.py"
_BODY = "quart_fleet/web/_parsing.py"
_MESSAGES = "quart_fleet/web/_validation_messages.py"
_CORS = "quart_fleet/web/_application.py"
_HEALTH = "quart_fleet/web/_health.py"
_JSON = "quart_fleet/web/_envelope.py"
_MAPPING = "quart_fleet/web/_error_responses.py"
_PATHS = "quart_fleet/asgi/_application.py"

_CREATE = "POST /users"
_GET = "GET /users/<int>"
_UPDATE = "PUT /users/<int>"
_DEACTIVATE = "POST /users/<int>/deactivate"
_DELETE = "DELETE /users/<int>"
_USERNAME = "GET /users/username/<text>"
_WRONG_METHOD = "known route, wrong method"

DEFECTS = (
    Defect("health in other words", "GET /health", _HEALTH, 'Health(status="healthy")',
           'Health.model_construct(status="ok")'),
    Defect("readiness in other words", "GET /health/ready", _HEALTH,
           'Readiness(status="ready", checks=checks)',
           'Readiness.model_construct(status="ok", checks=checks)'),
    Defect("readiness that asks nothing", "GET /health/ready", _HEALTH, "checks=checks", "checks=[]"),
    Defect("another welcome", "GET /", _HEALTH, "Welcome to {", "Welcome to the {"),
    Defect("another success message", "GET /", _RESPONSE, '= "Success"', '= "OK"'),
    Defect("another name for data", "GET /users", _RESPONSE, '{"data": data', '{"result": data'),
    Defect("the youngest first", "GET /users", _STATEMENTS, "order_by(key)",
           "order_by(key.desc())"),
    Defect("no order", "GET /users", _STATEMENTS, ".order_by(key)", ""),
    Defect("all users are active", "GET /users/active", _ADAPTER, ".where(UserModel.is_active)", ""),
    Defect("dates of ISO 8601", _GET, _JSON, "writer = http_date",
           "writer = datetime.isoformat"),
    Defect("keys as they come", _GET, _JSON, "orjson.OPT_SORT_KEYS", "0"),
    Defect("no escapes", _USERNAME, _JSON, " or not body.isascii()", ""),
    Defect("indented in production", _GET, _JSON, "= app.debug", "= True"),
    Defect("a charset", "GET /health", _JSON, "super().__init__(app)",
           "super().__init__(app); self.mimetype = 'application/json; charset=utf-8'"),
    Defect("empty fields left out", _GET, _JSON, "writer = writer_of(kind)",
           "writer = lambda dto: {n: v for n, v in vars(dto).items() if v is not None}"),
    Defect("an id as text", _GET, _DTO, "    id: int", "    id: str"),
    Defect("another refusal of the unknown", _GET, _ERRORS, "{resource} not found",
           "{resource} does not exist"),
    Defect("the unknown is no content", _GET, _MAPPING, "NotFoundError: 404", "NotFoundError: 410"),
    Defect("ids for the driver to refuse", _GET, _REPOSITORY,
           "if record_id is None or not -LARGEST_ID <= record_id <= LARGEST_ID:",
           "if record_id is None:"),
    Defect("digits of all scripts", _GET, _PATHS, 'regex = "[0-9]+"', 'regex = r"\\d+"'),
    Defect("usernames of any case", _USERNAME, _STATEMENTS, "by_name[field] == bindparam(field)",
           "by_name[field].ilike(bindparam(field))"),
    Defect("creation is plain success", _CREATE, _CONTROLLERS, '"User created successfully", 201',
           '"User created successfully", 200'),
    Defect("another creation message", _CREATE, _CONTROLLERS, "User created successfully",
           "User was created"),
    Defect("an empty object is a body", _CREATE, _BODY, "if not payload:", "if payload is None:"),
    Defect("another demand for a body", _CREATE, _BODY, "Request body is required",
           "A body is required"),
    Defect("the email is demanded first", _CREATE, _MESSAGES, "for detail in details:",
           "for detail in reversed(details):"),
    Defect("what is taken is a conflict", _CREATE, _MAPPING, "AlreadyExistsError: 400",
           "AlreadyExistsError: 409"),
    Defect("the email is compared first", _CREATE, _REPOSITORY,
           "for field in self.unique_fields:", "for field in reversed(self.unique_fields):"),
    Defect("users begin inactive", _CREATE, _ENTITY, "is_active: bool = True",
           "is_active: bool = False"),
    Defect("other keys are refused", _CREATE, "quart_fleet/dto.py",
           'strict=True, frozen=True, extra="ignore"', 'strict=True, extra="forbid"'),
    Defect("text becomes numbers", _CREATE, "quart_fleet/dto.py", "strict=True", "strict=False"),
    Defect("one wrong value is enough", _CREATE, _MESSAGES,
           "{_field(detail): reason_of(detail) for detail in details}",
           "{_field(detail): reason_of(detail) for detail in details[:1]}"),
    Defect("another key for errors", _CREATE, _RESPONSE, 'payload["errors"]', 'payload["details"]'),
    Defect("invalid values are bad requests", _CREATE, _MAPPING, "ValidationFailedError: 422",
           "ValidationFailedError: 400"),
    Defect("any content type", _CREATE, _BODY, "if not request.is_json:", "if False:"),
    Defect("no limit", _CREATE, _APPLICATION, "MAX_CONTENT_LENGTH=config.max_content_length",
           "MAX_CONTENT_LENGTH=None"),
    Defect("a silent end of the connection", _CREATE, _MAPPING, "if status == 413", "if False"),
    Defect("malformed JSON is an accident", _CREATE, _BODY, "except (ValueError, RecursionError):",
           "except RecursionError:"),
    Defect("null empties a field", _UPDATE, _ENTITY, "if age is not None:", "if True:"),
    Defect("what is false is ignored", _UPDATE, _ENTITY, "if is_active is not None:",
           "if is_active:"),
    Defect("existence before the body", _UPDATE, _CONTROLLERS,
           "async def update(record_id: int, dto: UpdateUserDTO) -> Answer[UserResponseDTO]:\n",
           "async def update(record_id: int) -> Answer[UserResponseDTO]:\n"
           "    from quart_fleet.web import parse_body\n"
           "    await use_cases().get(record_id); dto = await parse_body(UpdateUserDTO)\n"),
    Defect("an update keeps its time", _UPDATE, "quart_fleet/models.py", ", onupdate=func.now()",
           ""),
    Defect("another deactivation message", _DEACTIVATE, _CONTROLLERS,
           "User deactivated successfully", "User disabled successfully"),
    Defect("deactivation changes nothing", _DEACTIVATE, _ENTITY, "self.is_active = False",
           "self.is_active = True"),
    Defect("deactivation reads its body", _DEACTIVATE, _CONTROLLERS,
           "async def deactivate(record_id: int)",
           "async def deactivate(record_id: int, dto: UpdateUserDTO)"),
    Defect("deletion is without content", _DELETE, _CONTROLLERS, '"User deleted successfully")',
           '"User deleted successfully", 204)'),
    Defect("an unknown user is deleted with success", _DELETE, _REPOSITORY,
           "raise NotFoundError(self.resource)\n\n    async def _read", "return\n\n    async def _read"),
    Defect("another refusal of a path", "anything else", _MAPPING, "Endpoint not found",
           "Not found"),
    Defect("slashes do not matter", "anything else", _APPLICATION,
           "app.json = ", "app.url_map.strict_slashes = False; app.json = "),
    Defect("no list of methods", _WRONG_METHOD, _MAPPING, "response.headers[name] = value", "pass"),
    Defect("origins are not echoed", "every route", _CORS, 'origin or "*"', '"*"'),
    Defect("caches are not told", "every route", _CORS, 'headers.add("Vary", "Origin")', "pass"),
    Defect("credentials are allowed", "every route", _CORS, 'headers.add("Vary", "Origin")',
           'headers.add("Vary", "Origin"); '
           'response.headers["Access-Control-Allow-Credentials"] = "true"'),
    Defect("a pre-flight names no methods", "every route", _CORS,
           'headers.setdefault("Access-Control-Allow-Methods", _ALLOW_METHODS)', "pass"),
    Defect("broken bytes are read", "every route", _PATHS,
           'if "\\ufffd" in path:', "if False:"),
)  # fmt: skip
