"""What the user typed, parsed: the names of a service and of its resource, and its port."""

import builtins
import hashlib
import keyword
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from scaffold import english
from scaffold.errors import MisuseError

LONGEST_NAME = 63
"""Characters: a label of the domain name system, and an identifier of PostgreSQL."""
PORTS = range(1024, 65536)
_SHORTEST_CUT = 16
"""Characters that a table's name has at least where it is cut."""

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")
_WORD_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_TAKEN = frozenset(dir(builtins)) | frozenset(keyword.softkwlist) | {"request"}
"""Names that a variable would hide; `a_request` is a word of the generated tests."""
_NOT_FOR_PARAMETERS = frozenset(dir(builtins)) | {"self", "entity", "work", "found", "row"}
"""Those that a parameter would hide where it is one."""


@dataclass(frozen=True, slots=True)
class ServiceName:
    """A service as it was typed, and the package that it becomes."""

    typed: str
    package: str

    @classmethod
    def parse(cls, typed: str) -> Self:
        """Accept what the shell could hold; raises MisuseError."""
        if not _NAME.fullmatch(typed):
            raise MisuseError(
                f"{typed!r} cannot name a service: begin with a letter and go on with letters, "
                "digits, '-' and '_', as in user-service."
            )
        package = normalise(typed)
        if max(len(typed), len(package)) > LONGEST_NAME:
            raise MisuseError(
                f"A name of {max(len(typed), len(package))} characters is too long for a service: "
                f"{LONGEST_NAME} at most."
            )
        name = cls(typed, package)
        for word in (typed, package, name.stem):
            if keyword.iskeyword(word):
                raise MisuseError(
                    f"{typed!r} cannot name a service: {word!r} is a keyword of Python. "
                    "Choose another word."
                )
        return name

    @property
    def stem(self) -> str:
        """The package without its suffix: what the service keeps."""
        return self.package.removesuffix("_service") or self.package

    @property
    def title(self) -> str:
        """`User service`."""
        return self.package.replace("_", " ").capitalize()

    @property
    def image(self) -> str:
        """`user-service`, the spelling of images and containers."""
        return self.package.replace("_", "-")


@dataclass(frozen=True, slots=True)
class ResourceName:
    """What a service keeps, in every spelling that code and messages need."""

    singular: str
    """In snake case: `order_item`."""
    many: str
    """In snake case: `order_items`; of `news` it is `news`."""

    @classmethod
    def of(cls, service: ServiceName) -> Self:
        """Return the resource that the service is named after."""
        return cls.named(english.singular(service.stem.replace("_", " ")).replace(" ", "_"))

    @classmethod
    def named(cls, singular: str, many: str = "") -> Self:
        """Return the names of a resource by its own; `many` where English knows another plural."""
        return cls(singular, many or english.plural(singular.replace("_", " ")).replace(" ", "_"))

    @property
    def name(self) -> str:
        """The singular as a variable and a module: `type` is Python's, so `type_record`."""
        return f"{self.singular}_record" if self.singular in _TAKEN else self.singular

    @property
    def plural(self) -> str:
        """The plural as a variable, never the singular's: `news_records`."""
        taken = keyword.iskeyword(self.many) or self.many in _TAKEN
        return f"{self.singular}_records" if taken or self.many == self.singular else self.many

    @property
    def class_name(self) -> str:
        """`OrderItem`."""
        return "".join(word.capitalize() for word in self.singular.split("_"))

    @property
    def label(self) -> str:
        """`Order item`, as messages begin with it."""
        return self.label_lower.capitalize()

    @property
    def label_lower(self) -> str:
        """`order item`."""
        return self.singular.replace("_", " ")

    @property
    def plural_label_lower(self) -> str:
        """`order items`."""
        return self.many.replace("_", " ")

    @property
    def path(self) -> str:
        """`order-items`, as in URLs."""
        return self.many.replace("_", "-")

    @property
    def article(self) -> str:
        """`a` or `an`, for `label_lower`."""
        return english.article(self.label_lower)

    def table_for(self, columns: Iterable[str]) -> str:
        """Return a table's name that leaves room for `uq_<table>_<column>`; long ones are cut."""
        room = LONGEST_NAME - len("uq__") - max(map(len, columns), default=0)
        if len(self.many) <= room or room < _SHORTEST_CUT:
            return self.many
        mark = hashlib.sha1(self.many.encode(), usedforsecurity=False).hexdigest()[:6]
        return f"{self.many[: room - len(mark) - 1]}_{mark}"


def variable_of(name: str) -> str:
    """Return a field's name as a parameter of generated functions: `type` is Python's, so `type_`."""
    return f"{name}_" if name in _NOT_FOR_PARAMETERS else name


def normalise(typed: str) -> str:
    """Return the package's spelling: `User-Service` and `UserService` are `user_service`."""
    words = re.split(r"[-_]+", _WORD_BOUNDARY.sub("_", typed).strip("-_"))
    return "_".join(words).lower()


def parse_port(typed: str) -> int:
    """Accept a decimal number without leading zeros; raises MisuseError."""
    if not _PORT.fullmatch(typed) or int(typed) not in PORTS:
        advice = "" if typed[:1].isdigit() else "\npython -m scaffold --help lists the commands."
        raise MisuseError(
            f"{typed!r} is no port for a service: give a whole number from {PORTS.start} "
            f"to {PORTS.stop - 1}, without leading zeros, as in 8081.{advice}"
        )
    return int(typed)
