"""What a valid configuration should still be warned of. Logged at every start and reload; printed by ``check``."""

from __future__ import annotations

import difflib
import ipaddress
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from wsprism.composition.assembly import ext_types
from wsprism.config_file import render_path
from wsprism.protocol.standard_webhooks import MIN_SECRET_BYTES
from wsprism.settings import (
    AuthSettings,
    DevAuth,
    GatewaySettings,
    InternalSettings,
    JwtAuth,
    ListenAddress,
    OneTimeAuth,
    Settings,
    TenantSettings,
    WebhookAuth,
    WebhookServiceSettings,
)

__all__ = ["METRICS_OF_ONE", "Advice", "advise", "log_advice"]

NOBODY_MINTS: Final = "no ticket can be minted: it takes gateway.internal.listen and an API key for this tenant"
METRICS_OF_ONE: Final = (
    "/metrics and /readyz are those of whichever worker answers: set gateway.internal.listen, which is one for all"
)
SAFE_KEY_CHARACTERS: Final = 16
_NARROW_PREFIX: Final = 8

_log = logging.getLogger("wsprism.gateway")


@dataclass(frozen=True, slots=True)
class Advice:
    """One warning: ``path`` is the key's in the file, ``entry`` the list item that it is about; no ``tenant``: the
    gateway's own part."""

    tenant: str | None
    path: tuple[str | int, ...]
    message: str
    entry: str | None = None


def advise(settings: Settings, several: bool | None = None) -> Iterator[Advice]:
    """All warnings: the gateway's own part, then tenant by tenant. ``several`` workers, if not as
    the file says."""
    gateway = settings.gateway
    if (gateway.workers != 1 if several is None else several) and gateway.internal.listen is None:
        yield Advice(None, ("gateway", "workers"), METRICS_OF_ONE)
    for where, warning, subject in _of_gateway(settings.gateway, [tenant.id for tenant in settings.tenants]):
        yield Advice(None, ("gateway", *where), warning, subject)
    public = not settings.gateway.listen.is_loopback
    for position, tenant in enumerate(settings.tenants):
        path = ("tenants", position)
        if not tenant.auth:
            yield Advice(tenant.id, path, "every ticket is refused: the tenant has no auth")
        for number, auth in enumerate(tenant.auth):
            for key, message in _of_auth(auth, public=public):
                yield Advice(tenant.id, (*path, "auth", number, *key), message)
            if isinstance(auth, OneTimeAuth) and not _can_mint(settings.gateway.internal, tenant.id):
                yield Advice(tenant.id, (*path, "auth", number), NOBODY_MINTS)
        for where_in_it, warning in _of_backend(tenant):
            yield Advice(tenant.id, (*path, *where_in_it), warning)
        for number, origin in enumerate(tenant.allowed_origins or ()):
            if _is_wide(origin):
                where_it_is = (*path, "allowed_origins", number)
                yield Advice(tenant.id, where_it_is, "the wildcard is in front of a whole top-level domain", origin)
        for where, entry in _unknown_entries(tenant):
            yield Advice(tenant.id, (*path, "policy", *where), "an allowlist entry names no service", entry)


def _of_gateway(
    gateway: GatewaySettings, ids: Sequence[str]
) -> Iterator[tuple[tuple[str | int, ...], str, str | None]]:
    for number, network in enumerate(gateway.trusted_proxies):
        if ipaddress.ip_network(network).prefixlen < _NARROW_PREFIX:
            yield (
                ("trusted_proxies", number),
                "nearly everybody is believed to be a proxy and may take any address",
                network,
            )
    internal = gateway.internal
    if internal.api_keys and internal.listen is None:
        yield ("internal", "api_keys"), "the keys open nothing: gateway.internal.listen is not set", None
    for number, key in enumerate(internal.api_keys):
        size = len(key.key.get_secret_value())
        if size < SAFE_KEY_CHARACTERS:
            message = f"the key has {size} characters, and can be guessed: {SAFE_KEY_CHARACTERS} or more are safe"
            yield ("internal", "api_keys", number, "key"), message, None
        for position, tenant in enumerate(key.tenants if key.tenants != "all" else ()):
            if tenant not in ids:
                close = difflib.get_close_matches(tenant, ids, 1)
                message = "the key is for a tenant that this file does not have" + (
                    f" (did you mean {close[0]}?)" if close else ""
                )
                yield ("internal", "api_keys", number, "tenants", position), message, tenant
        if not key.tenants:
            yield (
                ("internal", "api_keys", number, "tenants"),
                "the key may touch no tenant: name some, or write all",
                None,
            )


def _of_backend(tenant: TenantSettings) -> Iterator[tuple[tuple[str | int, ...], str]]:
    backend = tenant.backend
    for name, service in tenant.services.ext.items():
        if isinstance(service, WebhookServiceSettings) and service.url is not None:
            for key, message in _of_url("url", service.url):
                yield ("services", "ext", name, *key), message
    if backend is None:
        return
    for key, message in _of_url("url", backend.url) if backend.url is not None else ():
        yield ("backend", *key), message
    for size in (len(key) for key in backend.signing_keys() if len(key) < MIN_SECRET_BYTES):
        yield ("backend", "secret"), next(_of_secret(size, MIN_SECRET_BYTES))[1]
    if backend.ask and backend.on_failure == "allow":
        yield (
            ("backend", "on_failure"),
            f"while the backend is away, {' and '.join(backend.ask)} are allowed to everybody",
        )
    if backend.event_rooms is not None and not backend.events:
        yield ("backend", "event_rooms"), "names rooms of events, and backend.events names none"


def _can_mint(internal: InternalSettings, tenant: str) -> bool:
    """Whether anybody can ask for a one-time ticket."""
    return internal.listen is not None and any(
        one.tenants == "all" or tenant in one.tenants for one in internal.api_keys
    )


def _is_wide(origin: str) -> bool:
    _, wildcard, domain = origin.partition("://*.")
    return bool(wildcard) and "." not in domain


def _of_auth(auth: AuthSettings, *, public: bool) -> Iterator[tuple[tuple[str, ...], str]]:
    """What to say of one way to judge tickets, and the key in it."""
    match auth:
        case DevAuth() if public:
            yield (), "dev tickets let anybody in, and the listener is not loopback"
        case JwtAuth(secret=SecretStr() as secret):
            wanted = max(int(algorithm.removeprefix("HS")) // 8 for algorithm in auth.algorithms)
            yield from _of_secret(len(secret.get_secret_value().encode()), wanted)
        case JwtAuth(jwks_url=str() as url):
            yield from _of_url("jwks_url", url)
        case WebhookAuth():
            yield from _of_secret(len(auth.key()), MIN_SECRET_BYTES)
            yield from _of_url("url", auth.url)


def _of_secret(size: int, wanted: int) -> Iterator[tuple[tuple[str, ...], str]]:
    if size < wanted:
        message = f"the secret has {size} bytes, and can be guessed from what it signs: {wanted} or more are safe"
        yield ("secret",), message


def _of_url(key: str, url: str) -> Iterator[tuple[tuple[str, ...], str]]:
    parts = urlsplit(url)
    if parts.scheme == "http" and not ListenAddress(parts.hostname or "").is_loopback:
        yield (key,), "the way to this server is not encrypted: whoever is on it can let anybody in"


def log_advice(settings: Settings, several: bool | None = None) -> None:
    """One warning in the log for each."""
    for advice in advise(settings, several):
        about = ({"tenant": advice.tenant} if advice.tenant is not None else {"key": render_path(advice.path)}) | (
            {"entry": advice.entry} if advice.entry is not None else {}
        )
        _log.warning(advice.message, extra=about)


def _unknown_entries(tenant: TenantSettings) -> Iterator[tuple[tuple[str, int], str]]:
    types_of = ext_types(tenant)
    for number, entry in enumerate(tenant.policy.ext_allowlist):
        svc, _, message_type = entry.partition(":")
        types = types_of.get(svc)
        if svc == "sys" or (svc in types_of and (types is None or message_type in types | {"*"})):
            continue
        yield ("ext_allowlist", number), entry
    for number, entry in enumerate(tenant.policy.hot_allowlist):
        if int(entry.partition(":")[0]) not in tenant.services.hot:
            yield ("hot_allowlist", number), entry
