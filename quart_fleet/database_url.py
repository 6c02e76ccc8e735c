"""The address of a database: as providers, libpq and other drivers write it, and as asyncpg reads it.

Every parameter has its place in one table: honoured, harmless and left out, or refused at start.
"""

import logging
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NoReturn
from urllib.parse import quote, unquote, urlencode

from pydantic_core import PydanticCustomError

_log = logging.getLogger("quart_fleet.database")

_SCHEME = re.compile(r"postgres(ql)?(\+\w+)?", re.IGNORECASE)
"""SQLAlchemy names a driver behind a plus sign; the driver here is always asyncpg."""
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_FORM = (
    "expected postgresql://user:password@host:port/name;"
    " in the password write @ as %40, : as %3A, / as %2F, # as %23, & as %26 and % as %25"
)
_UNKNOWN = "no connection has it; correct or remove it, and write & in a value as %26"
_TRUE, _FALSE = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off"})

READ_BY_DRIVER = frozenset({
    *("host", "port", "user", "password", "dbname", "passfile", "target_session_attrs"),
    *("sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib"),
})  # fmt: skip
"""What asyncpg honours by itself."""

HONOURED = frozenset({"connect_timeout", "sslnegotiation", "pgbouncer"})
"""What `connect_arguments` and `pools_transactions` honour."""

SESSION_SETTINGS = frozenset({
    *("options", "application_name", "search_path", "role", "timezone", "jit"),
    *("statement_timeout", "lock_timeout", "transaction_timeout"),
    *("idle_session_timeout", "idle_in_transaction_session_timeout"),
})  # fmt: skip
"""What the server is told when a session begins."""

SYNONYMS = {
    "database": "dbname",
    "requiressl": "sslmode",
    "ssl": "sslmode",
    "sslaccept": "sslmode",
    "schema": "search_path",
    "currentSchema": "search_path",
    "ApplicationName": "application_name",
    "fallback_application_name": "application_name",
    "prepared_statement_cache_size": "pgbouncer",
    "statement_cache_size": "pgbouncer",
}
"""Words of older versions and of other drivers; where both are given, libpq's own counts."""

_WORDS = {
    "sslmode": {
        **dict.fromkeys(_TRUE, "require"),
        **dict.fromkeys(_FALSE, "disable"),
        "no-verify": "require",
        "accept_invalid_certs": "require",
        "strict": "verify-full",
    },
    "pgbouncer": {**dict.fromkeys(_TRUE, "true"), **dict.fromkeys(_FALSE, "false")},
}
"""Values of other drivers, in lower case, with libpq's."""

HARMLESS: Mapping[str, frozenset[str] | None] = {
    # The operating system's own are kept, and a statement is given up after a minute.
    **dict.fromkeys(("keepalives", "keepalives_idle", "keepalives_interval"), None),
    **dict.fromkeys(("keepalives_count", "tcp_user_timeout", "socket_timeout"), None),
    "channel_binding": frozenset({"disable", "prefer", "require"}),
    "client_encoding": frozenset({"utf8", "utf-8", "unicode", "auto"}),
    "gssencmode": frozenset({"disable", "prefer"}),
    "gssdelegation": _FALSE,
    "load_balance_hosts": None,
    "min_protocol_version": frozenset({"3.0"}),
    "max_protocol_version": None,
    "replication": _FALSE,
    "sslcertmode": frozenset({"allow", "disable"}),
    "sslcompression": None,
    "sslsni": None,
    # Of other drivers: DB_POOL_SIZE and the timeouts of the pool stand for them.
    **dict.fromkeys(("connection_limit", "pool_timeout", "async_fallback"), None),
    # Marks of the platforms through which the address was handed out.
    **dict.fromkeys(("supa", "workaround", "uselibpqcompat"), None),
}
"""What is left out, with the values that lose nothing by it (None: all)."""

REFUSED = {
    "hostaddr": "write the address in the place of the host",
    "service": "write what the service file says into DATABASE_URL",
    "servicefile": "write what the service file says into DATABASE_URL",
    "require_auth": "leave it out; sslmode=verify-full makes certain which server is asked",
    "requirepeer": "leave it out; only its folder's permissions tell whose a unix socket is",
    "sslcrldir": "name one file by sslcrl",
    "sslkeylogfile": "set the variable SSLKEYLOGFILE",
    "scram_client_key": "give the password",
    "scram_server_key": "give the password",
    **dict.fromkeys(
        ("oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope"),
        "the driver has no OAuth; give a password",
    ),
    "channel_binding": "write disable, prefer or require",
    "client_encoding": "leave it out; all text is UTF-8",
    "gssencmode": "the driver encrypts by TLS alone; write sslmode=require",
    "gssdelegation": "leave it out",
    "min_protocol_version": "leave it out; the driver speaks 3.0",
    "replication": "leave it out",
    "sslcertmode": "leave it out; name the certificate by sslcert and sslkey",
}
"""What cannot be honoured, with what to write instead."""

VALUES: Mapping[str, tuple[str, ...]] = {
    "sslmode": _SSL_MODES,
    "sslnegotiation": ("postgres", "direct"),
    "ssl_min_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
    "ssl_max_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
    "target_session_attrs": (
        *("any", "primary", "standby", "prefer-standby"),
        *("read-write", "read-only"),
    ),
    "gsslib": ("gssapi", "sspi"),
    "pgbouncer": ("true", "false"),
}
"""What may be said, where asyncpg would otherwise fail at every connection."""

_OWN_ROOT = "~/.postgresql/root.crt"
"""Where libpq and asyncpg look for authorities."""

_NO_CHANNEL = (
    "DATABASE_URL: channel_binding=require is not kept, since the driver binds no channel. "
    "sslmode=verify-full&sslrootcert=system, or FILE, makes certain which server is asked."
)

_LAST_PORT = 65535

_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "dbname": "PGDATABASE",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "gsslib": "PGGSSLIB",
    "sslmode": "PGSSLMODE",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
}
"""What asyncpg reads where the address does not say it: written into it, so that messages tell it,
and that what fails at every connection is refused. Without TLS, what is of it is not asked for."""

_NUMBERS = {"connect_timeout": r"-?\d+", "port": r"\d+(,\d+)*"}

_URL = re.compile(
    r"(?P<scheme>[\w+]+)://"
    r"(?:(?P<user>[^:/@]*)(?::(?P<password>[^@]*))?@)?"
    r"(?P<hosts>[^/?]*)"
    r"(?:/(?P<name>[^?]*))?"
    r"(?:\?(?P<query>.*))?",
    re.DOTALL,
)
_PARAMETER = re.compile(
    r"\?(?:.*&)?(?:user|password|passfile|host|dbname|options|application_name|ssl\w+)=", re.DOTALL
)
"""Tells a whole address in the place of a login, where a parameter's value has an @."""
_ADDRESS = re.compile(r"[\d.]+|.*:.*")
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[\w.%~-]*)(?::(?P<port>\d*))?")


@dataclass(frozen=True, slots=True)
class _Address:
    """The parts of a URL, decoded."""

    user: str | None
    password: str | None
    hosts: tuple[tuple[str, str], ...]
    """Names or addresses, each with its port, as text, or with none."""
    name: str | None
    parameters: dict[str, str]

    def places(self, parameters: dict[str, str]) -> tuple[tuple[str, str], ...]:
        """Return the hosts with a port that is said beside them, which asyncpg would not heed."""
        if not any(host for host, _ in self.hosts) or any(port for _, port in self.hosts):
            return self.hosts
        ports = parameters.pop("port", "").split(",")
        each = ports * len(self.hosts) if len(ports) == 1 else ports
        if len(each) != len(self.hosts):
            _refuse("port", "write one, or as many as hosts")
        return tuple((host, port) for (host, _), port in zip(self.hosts, each, strict=True))

    def __str__(self) -> str:
        """Return the URL again, which libpq and `_read` read."""
        login = "" if self.user is None else _encoded(self.user)
        if self.password is not None:
            login += f":{_encoded(self.password)}"
        hosts = ",".join(
            (f"[{host}]" if ":" in host else quote(host, safe="")) + (f":{port}" if port else "")
            for host, port in self.hosts
        )
        at = "@" if self.user is not None or self.password is not None else ""
        name = "" if self.name is None else f"/{_encoded(self.name)}"
        query = urlencode(self.parameters, safe="/,", quote_via=quote)
        return f"postgresql://{login}{at}{hosts}{name}{'?' if query else ''}{query}"


def normalise(url: str) -> str:
    """Return `url` with what can be honoured, in libpq's words: `postgresql://…/name?…`.

    A unix socket is given as `?host=/folder`. On local addresses TLS is off unless asked for:
    asyncpg would look for client keys in HOME, which may not be readable. Raises
    PydanticCustomError, whose message holds no part of the URL but names of parameters.
    """
    try:
        address = _read(url.strip())
    except ValueError:
        # No other parser's words: they quote what they take for a port.
        raise PydanticCustomError("database_url", _FORM) from None
    parameters = _in_libpq_words(address.parameters)
    binding = parameters.get("channel_binding", "prefer")
    hosts = [host for host, _ in address.hosts]
    authority = {
        "user": address.user,
        "password": address.password,
        "dbname": address.name,
        "host": ",".join(hosts),
        "port": ",".join(port for _, port in address.hosts).strip(","),
    }
    if all(host in _LOCAL_HOSTS for host in hosts):
        parameters.setdefault("sslmode", "disable")
    if parameters.get("sslrootcert") == "system":
        parameters.setdefault("sslmode", "verify-full")
    for part, variable in _VARIABLES.items():
        is_unused = part.startswith("ssl") and parameters.get("sslmode") == "disable"
        is_said = is_unused or (authority.get(part) or "").strip(",")
        if not is_said and os.environ.get(variable):
            parameters.setdefault(part, os.environ[variable])
    parameters = _honoured(parameters)
    for port in (*parameters.get("port", "").split(","), *(port for _, port in address.hosts)):
        if port and not 0 < int(port) <= _LAST_PORT:
            _refuse("port", f"write a number from 1 to {_LAST_PORT}")
    for part, value in authority.items():
        if value and parameters.get(part, value) != value:
            _refuse(part, "the address says it twice, and differently")
    mode = parameters.get("sslmode", "prefer")
    _refuse_unsound_tls(parameters, mode)
    _tell_unbound_channel(binding, mode)
    user, password = parameters.pop("user", None), parameters.pop("password", None)
    name = address.name or parameters.pop("dbname", None) or address.name
    parameters.pop("dbname", None)
    places = address.places(parameters)
    return str(
        _Address(address.user or user, address.password or password, places, name, parameters)
    )


def with_password(url: str, password: str) -> str:
    """Return a URL that `normalise` gave with this password, where it has none."""
    address = _read(url)
    return url if address.password is not None else str(replace(address, password=password))


def connect_arguments(url: str) -> dict[str, Any]:
    """Return what `asyncpg.connect` is to be called with for a URL that `normalise` gave."""
    address = _read(url)
    parameters = dict(address.parameters)
    parameters.pop("pgbouncer", None)
    arguments: dict[str, Any] = {
        "server_settings": {
            name: parameters.pop(name) for name in SESSION_SETTINGS & parameters.keys()
        }
    }
    if (timeout := float(parameters.pop("connect_timeout", 0))) > 0:
        arguments["timeout"] = timeout
    negotiation = parameters.pop("sslnegotiation", None)
    if negotiation or parameters.get("sslmode") == "disable":
        arguments["direct_tls"] = negotiation == "direct"
    if parameters.get("sslrootcert") == "system":
        arguments["ssl"] = _trust_the_system(parameters)
    bare = _Address(address.user, address.password, address.hosts, address.name, parameters)
    return {"dsn": str(bare), **arguments}


def client_arguments(url: str) -> tuple[str, dict[str, str]]:
    """Return a URL that `normalise` gave for PostgreSQL's own programs, and variables beside it.

    Those have the password, which a list of processes would show, and what libpq's URLs have no
    parameter for, or only newer ones. For the password of a client's key the programs ask.
    """
    address = _read(url)
    parameters = {
        name: value
        for name, value in address.parameters.items()
        if name not in ("pgbouncer", "sslpassword")
    }
    variables = {} if address.password is None else {"PGPASSWORD": address.password}
    if negotiation := parameters.pop("sslnegotiation", None):
        variables["PGSSLNEGOTIATION"] = negotiation
    settings = SESSION_SETTINGS & parameters.keys() - {"options", "application_name"}
    options = [parameters.pop("options", "")]
    for name in sorted(settings):
        value = re.sub(r"([\\\s])", r"\\\1", parameters.pop(name))
        options.append(f"-c {name}={value}")
    if any(options):
        variables["PGOPTIONS"] = " ".join(filter(None, options))
    return str(replace(address, password=None, parameters=parameters)), variables


def pools_transactions(url: str) -> bool:
    """Return whether the URL says that a pooler of transactions is in between, as `pgbouncer=true`."""
    return _read(url).parameters.get("pgbouncer") == "true"


def accepts_standby(url: str) -> bool:
    """Return whether the URL asks for a server that only reads."""
    wanted = _read(url).parameters.get("target_session_attrs")
    return wanted in ("standby", "prefer-standby", "read-only")


def names_of_hosts(url: str) -> list[str]:
    """Return the hosts that a name server is asked for: no addresses, no folders of sockets."""
    hosts = [host for host, _ in _places(_read(url))]
    return [
        host for host in hosts if host and not host.startswith("/") and not _ADDRESS.fullmatch(host)
    ]


def number_of_hosts(url: str) -> int:
    """Return how many servers a connection may be made to."""
    return len(_places(_read(url)))


def describe(url: str) -> str:
    """Return the database that `url` means without its password: `name at host:port`."""
    places = ",".join(
        host if host.startswith("/") else f"{host or 'localhost'}:{port or 5432}"
        for host, port in _places(_read(url))
    )
    return f"{name_of(url)} at {places}"


def place_of(url: str) -> tuple[str, str, int | None]:
    """Return the database's name, and the host and the port of the first server that may have it.

    A unix socket is its folder, without a port.
    """
    host, port = _places(_read(url))[0]
    return name_of(url), host or "localhost", None if host.startswith("/") else int(port or 5432)


def name_of(url: str) -> str:
    """Return the database's name, which is the user's where `url` has none."""
    address = _read(url)
    return address.name or address.parameters.get("dbname") or address.user or "postgres"


def _read(url: str) -> _Address:
    """Take `url` apart, also with a password that is not encoded.

    Raises ValueError, also for a second @, and for one inside of a parameter: the host would begin
    in the middle of the password.
    """
    found = _URL.fullmatch(url)
    if found is None or not _SCHEME.fullmatch(found["scheme"]) or url.count("@") > 1:
        raise ValueError
    if _PARAMETER.search(f"{found['user'] or ''}:{found['password'] or ''}"):
        raise ValueError
    hosts = []
    for host in found["hosts"].split(","):
        each = _HOST.fullmatch(host)
        if each is None:
            raise ValueError
        hosts.append((_decoded(each["host"]).strip("[]"), each["port"] or ""))
    parameters = dict[str, str]()
    fields = (found["query"] or "").split("&")
    for field in fields:
        key, equals, text = field.partition("=")
        key = _decoded(key)
        if field and not equals:
            raise ValueError  # the rest of a value that has an & in it
        # libpq takes + for itself; others write a space so, which passwords rarely have.
        value = _decoded(text if key == "password" else text.replace("+", " "))
        if value:
            # SQLAlchemy repeats `host` for several servers.
            is_another = key == "host" and key in parameters
            parameters[key] = f"{parameters[key]},{value}" if is_another else value
    if "password" in parameters and "" in fields:
        raise ValueError
    user, password, name = (
        None if part is None else _decoded(part)
        for part in (found["user"], found["password"], found["name"])
    )
    return _Address(user, password, tuple(hosts), name, parameters)


def _places(address: _Address) -> list[tuple[str, str]]:
    """Return hosts and ports, whether the authority or the parameters give them."""
    if any(host for host, _ in address.hosts):
        return list(address.hosts)
    ports = address.parameters.get("port", address.hosts[0][1]).split(",")
    hosts = address.parameters.get("host", "").split(",")
    each = ports * len(hosts) if len(ports) == 1 else ports
    places = []
    for host, port in zip(hosts, each, strict=False):
        found = None if host.startswith("/") else _HOST.fullmatch(host)
        own = (found["host"].strip("[]"), found["port"]) if found else (host, None)
        places.append((own[0], own[1] or port))
    return places


def _in_libpq_words(given: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters as libpq names them, with its values."""
    parameters = {name: value for name, value in given.items() if name not in SYNONYMS}
    for synonym in (name for name in given if name in SYNONYMS):
        name, value = SYNONYMS[synonym], given[synonym]
        if name == "search_path":  # JDBC's may be several
            names = re.split(r" *, *", value) if synonym == "currentSchema" else [value]
            value = ", ".join('"' + each.replace('"', '""') + '"' for each in names)
        elif name == "pgbouncer":
            value = "true" if value == "0" else "false"
        elif value == "strict":
            parameters.setdefault("sslrootcert", "system")
        parameters.setdefault(name, value)
    for name, words in _WORDS.items():
        if name in parameters:
            parameters[name] = words.get(parameters[name].lower(), parameters[name])
    return parameters


def _honoured(given: Mapping[str, str]) -> dict[str, str]:
    """Return what is not harmless; refuse what cannot be honoured."""
    parameters = dict(given)
    for name, harmless in HARMLESS.items():
        if harmless is None or parameters.get(name, "").lower() in harmless:
            parameters.pop(name, None)
    for name, value in parameters.items():
        if name not in READ_BY_DRIVER | HONOURED | SESSION_SETTINGS:
            # Behind a password it may be the rest of one that has an & in it.
            shown = "" if "password" in given and name not in REFUSED else name
            _refuse(shown, REFUSED.get(name, _UNKNOWN))
        if name in VALUES and value not in VALUES[name]:
            _refuse(name, f"write one of {', '.join(VALUES[name])}")
        if name in _NUMBERS and not re.fullmatch(_NUMBERS[name], value):
            _refuse(name, "write a number")
    return parameters


def _refuse_unsound_tls(parameters: Mapping[str, str], mode: str) -> None:
    """Refuse a verification by no authority, and certificates that cannot be loaded."""
    root = parameters.get("sslrootcert")
    if root == "system" and mode != "verify-full":
        _refuse("sslrootcert", "system goes with sslmode=verify-full alone")
    if parameters.get("sslnegotiation") == "direct" and mode in ("disable", "allow", "prefer"):
        _refuse("sslnegotiation", "direct goes with sslmode=require, verify-ca or verify-full")
    own_file = os.path.expanduser(_OWN_ROOT)  # noqa: PTH111 - raises nothing where no home is known
    own = root or os.environ.get("PGSSLROOTCERT") or os.access(own_file, os.R_OK)
    if mode.startswith("verify-") and not own:
        _refuse(
            "sslmode",
            f"{mode} needs the authority's certificate: add sslrootcert=FILE,"
            " or with verify-full sslrootcert=system for those that the system trusts",
        )
    context, name = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ""
    try:
        for name in ("sslrootcert", "sslcrl"):
            if mode != "disable" and parameters.get(name, "system") != "system":
                context.load_verify_locations(parameters[name])
        name = "sslcert"
        if mode != "disable" and name in parameters:
            password = parameters.get("sslpassword", "")
            context.load_cert_chain(parameters[name], parameters.get("sslkey"), password)
    except ssl.SSLError as error:
        what = "with its key it is no pair" if name == "sslcert" else "its file holds none"
        _refuse(name, f"{what} that can be read ({error.reason})")
    except OSError as error:
        _refuse(name, f"its file cannot be read ({os.strerror(error.errno or 0)})")


def _trust_the_system(parameters: dict[str, str]) -> ssl.SSLContext:
    """Make the context of sslrootcert=system, which asyncpg would take for a file's name."""
    context = ssl.create_default_context()
    if certificate := parameters.get("sslcert"):
        password = parameters.get("sslpassword", "")
        context.load_cert_chain(certificate, parameters.get("sslkey"), password)
    if crl := parameters.get("sslcrl"):
        context.load_verify_locations(cafile=crl)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    versions = {"minimum_version": "ssl_min_protocol_version",
                "maximum_version": "ssl_max_protocol_version"}  # fmt: skip
    for attribute, name in versions.items():
        if name in parameters:
            setattr(context, attribute, ssl.TLSVersion[parameters[name].replace(".", "_")])
    context.set_alpn_protocols(["postgresql"])
    return context


def _decoded(part: str) -> str:
    """Raises ValueError for what is no UTF-8: a % that was not meant for an escape, say."""
    return unquote(part, errors="strict")


def _encoded(part: str) -> str:
    return quote(part, safe="")


@cache
def _tell_unbound_channel(binding: str, mode: str) -> None:
    """Warn, once in a process, of a server that is not certain though the address asks for it."""
    if binding == "require" and mode in ("allow", "prefer", "require"):
        _log.warning(_NO_CHANNEL)


def _refuse(parameter: str, remedy: str) -> NoReturn:
    # A name that is none may be a piece of a password; those of the table are not.
    known = READ_BY_DRIVER | HONOURED | SESSION_SETTINGS | HARMLESS.keys() | REFUSED.keys()
    shown = parameter if parameter in known or parameter.isidentifier() else "a parameter"
    if (variable := _VARIABLES.get(parameter, "")) in os.environ:
        shown = f"{shown} or {variable}"
    raise PydanticCustomError(
        "database_url", "{parameter} cannot be used: {remedy}",
        {"parameter": shown, "remedy": remedy},
    )  # fmt: skip
