"""What a valid configuration should still be warned of. Logged at every start and reload; printed by ``check``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from wsprism.assembly import build_services
from wsprism.protocol.standard_webhooks import MIN_SECRET_BYTES
from wsprism.settings import AuthSettings, JwtAuth, Settings, TenantSettings, WebhookAuth

__all__ = ["Advice", "advise", "log_advice"]

_log = logging.getLogger("wsprism.gateway")


@dataclass(frozen=True, slots=True)
class Advice:
    """One warning: ``path`` is the key's in the file, ``entry`` the list item that it is about."""

    tenant: str
    path: tuple[str | int, ...]
    message: str
    entry: str | None = None


def advise(settings: Settings) -> Iterator[Advice]:
    """All warnings, tenant by tenant."""
    public = not settings.gateway.listen.is_loopback
    for position, tenant in enumerate(settings.tenants):
        path = ("tenants", position)
        if not tenant.auth:
            yield Advice(tenant.id, path, "every ticket is refused: the tenant has no auth")
        for number, auth in enumerate(tenant.auth):
            if auth.kind == "dev" and public:
                message = "dev tickets let anybody in, and the listener is not loopback"
                yield Advice(tenant.id, (*path, "auth", number), message)
            for message in _weak_secrets(auth):
                yield Advice(tenant.id, (*path, "auth", number, "secret"), message)
        for key, entry in _unknown_entries(tenant):
            yield Advice(tenant.id, (*path, "policy", *key), "an allowlist entry names no service", entry)


def _weak_secrets(auth: AuthSettings) -> Iterator[str]:
    """Who has seen one signature can look for the secret of it, as long as it likes."""
    match auth:
        case JwtAuth() if auth.secret is not None:
            size = len(auth.secret.get_secret_value().encode())
            wanted = max(int(algorithm.removeprefix("HS")) // 8 for algorithm in auth.algorithms)
        case WebhookAuth():
            size, wanted = len(auth.key()), MIN_SECRET_BYTES
        case _:
            return
    if size < wanted:
        yield f"the secret has {size} bytes, and can be guessed from what it signs: {wanted} or more are safe"


def log_advice(settings: Settings) -> None:
    """One warning in the log for each."""
    for advice in advise(settings):
        about = {"tenant": advice.tenant} | ({"entry": advice.entry} if advice.entry is not None else {})
        _log.warning(advice.message, extra=about)


def _unknown_entries(tenant: TenantSettings) -> Iterator[tuple[tuple[str, int], str]]:
    services = build_services(tenant)
    for number, entry in enumerate(tenant.policy.ext_allowlist):
        svc, _, message_type = entry.partition(":")
        service = services.ext.get(svc)
        if svc != "sys" and (service is None or message_type not in service.types | {"*"}):
            yield ("ext_allowlist", number), entry
    for number, entry in enumerate(tenant.policy.hot_allowlist):
        if int(entry.partition(":")[0]) not in services.hot:
            yield ("hot_allowlist", number), entry
