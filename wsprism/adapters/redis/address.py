"""Where Redis is, as ``gateway.broker.url`` says it: ``redis://``, ``rediss://``, ``unix://`` and ``sentinel://``.

Pure. What is wrong with a url is said in our own words, without its password.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote

from wsprism.errors import OperatorError

__all__ = ["Address", "Credentials", "Endpoint", "Tls", "parse_address"]

_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_TLS_OPTIONS: Final = frozenset({"ca_file", "cert_file", "key_file"})
_OPTIONS: Final = {
    "redis": frozenset[str](),
    "rediss": _TLS_OPTIONS,
    "unix": frozenset({"db"}),
    "sentinel": _TLS_OPTIONS | {"tls", "sentinel_user", "sentinel_password"},
}
# RFC 3986, Appendix B, without a fragment. Python's own division expects one host in an authority.
_URL: Final = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?")
_FORMS: Final = "redis://host:port/0, rediss://host:port/0, unix:///path or sentinel://host1,host2,host3/master"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server: a host and its port, or the ``path`` of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"unix://{self.path}" if self.path is not None else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """``user`` None: Redis's default user."""

    password: str = field(repr=False)
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM. Without ``ca_file`` the authorities that the system trusts."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """With a ``master`` the endpoints are Sentinels, who know which server is the primary of that name."""

    endpoints: tuple[Endpoint, ...]
    db: int = 0
    credentials: Credentials | None = None
    tls: Tls | None = None
    master: str | None = None
    sentinel_credentials: Credentials | None = None

    def __str__(self) -> str:
        where = ",".join(map(str, self.endpoints))
        return where if self.master is None else f"{self.master} of sentinel {where}"


class _Parts(NamedTuple):
    scheme: str
    authority: str
    path: str
    query: str


def parse_address(url: str) -> Address:
    """Raises OperatorError, which names what is wrong."""
    if "#" in url:
        raise _fault("it has a '#': in a user or password it is written %23")
    if not url.isprintable() or " " in url:
        raise _fault(f"it is no url: expected {_FORMS}")
    found = _URL.fullmatch(url)
    assert found is not None, "every text without a '#' matches"
    scheme, *rest = (group or "" for group in found.groups())
    parts = _Parts(scheme.lower(), *rest)
    known = _OPTIONS.get(parts.scheme)
    if known is None:
        raise _fault(f"the scheme {parts.scheme!r} is unknown: expected {_FORMS}")
    try:
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)) if parts.query else {}
    except ValueError:
        raise _fault(f"it is no url: expected {_FORMS}") from None
    if unknown := sorted(set(options) - known):
        raise _fault(f"the option {unknown[0]!r} is unknown for {parts.scheme}://: {_listed(known)}")
    user_part, _, hosts = parts.authority.rpartition("@")
    credentials = _credentials(user_part) if "@" in parts.authority else None
    match parts.scheme:
        case "unix":
            return _unix(parts, hosts, credentials, options)
        case "sentinel":
            return _sentinel(parts, hosts, credentials, options)
        case _:
            endpoint = _endpoint(hosts, _PORT)
            tls = _tls(options) if parts.scheme == "rediss" else None
            return Address((endpoint,), _db(parts.path.removeprefix("/")), credentials, tls)


def _unix(parts: _Parts, hosts: str, credentials: Credentials | None, options: dict[str, str]) -> Address:
    path = unquote(parts.path)
    if hosts or not path.startswith("/") or path == "/":
        raise _fault("a Unix socket is written with its whole path: unix:///run/redis/redis.sock?db=0")
    return Address((Endpoint(path=path),), _db(options.get("db", "")), credentials)


def _sentinel(parts: _Parts, hosts: str, credentials: Credentials | None, options: dict[str, str]) -> Address:
    master, _, db = parts.path.removeprefix("/").partition("/")
    if not master:
        raise _fault("the name of the primary is missing: sentinel://host1,host2,host3/mymaster")
    endpoints = tuple(_endpoint(host, _SENTINEL_PORT) for host in hosts.split(","))
    password = options.get("sentinel_password")
    if password is None and "sentinel_user" in options:
        raise _fault("it has a sentinel_user without a sentinel_password")
    asked = None if password is None else Credentials(password, options.get("sentinel_user"))
    wants_tls = options.get("tls", "no")
    if wants_tls not in ("yes", "no"):
        raise _fault(f"tls must be yes or no, found {wants_tls!r}")
    tls = _tls(options)
    if wants_tls == "no":
        if tls != Tls():
            raise _fault("it names files for TLS: tls=yes is missing")
        return Address(endpoints, _db(db), credentials, None, unquote(master), asked)
    return Address(endpoints, _db(db), credentials, tls, unquote(master), asked)


def _credentials(part: str) -> Credentials:
    user, colon, password = part.partition(":")
    if not colon:
        raise _fault("it has a user without a password: write user:password@ or :password@")
    if not password:
        raise _fault("its password is empty")
    return Credentials(unquote(password), unquote(user) or None)


def _endpoint(text: str, port: int) -> Endpoint:
    host, found = text, ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise _fault(f"{text!r} is no host: an IPv6 address stands in brackets")
        found = rest[1:]
        has_port = bool(rest)
    else:
        host, colon, found = text.partition(":")
        has_port = bool(colon)
    if not host:
        raise _fault("a host is missing")
    if has_port:
        if not (found.isascii() and found.isdigit() and 0 < int(found) < 65536):
            raise _fault(f"the port {found!r} is none: expected 1 to 65535")
        port = int(found)
    return Endpoint(unquote(host), port)


def _db(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise _fault(f"the database {text!r} is no number")
    return int(text)


def _tls(options: dict[str, str]) -> Tls:
    files = {name: options[name] for name in _TLS_OPTIONS if name in options}
    if empty := sorted(name for name, path in files.items() if not path):
        raise _fault(f"the option {empty[0]!r} is empty")
    if "key_file" in files and "cert_file" not in files:
        raise _fault("it has a key_file without a cert_file")
    return Tls(**files)


def _listed(names: frozenset[str]) -> str:
    return f"known are {', '.join(sorted(names))}" if names else "it has none"


def _fault(what: str) -> OperatorError:
    return OperatorError(f"gateway.broker.url cannot be used: {what}")
