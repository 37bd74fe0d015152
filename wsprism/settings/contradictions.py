"""What each key allows and all of them together do not: found once the models are there, by whoever loads a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from wsprism.settings.backend import WebhookServiceSettings
from wsprism.settings.models import GatewaySettings, Settings
from wsprism.settings.problems import shown
from wsprism.settings.tenants import TenantSettings

__all__ = ["contradictions", "fault_of_workers"]

_LONGEST_SOCKET_PATH_BYTES: Final = 107
"""sockaddr_un of Linux, without the closing zero."""

Path = tuple[str | int, ...]


def contradictions(settings: Settings) -> Iterator[tuple[Path, str]]:
    """The path of the key and what is wrong with it, for everything that could never work."""
    yield from _of_addresses(settings)
    fault = fault_of_workers(settings.gateway, settings.gateway.workers)
    if fault is not None:
        yield ("gateway", "workers"), fault
    for number, tenant in enumerate(settings.tenants):
        for path, problem in (*_of_rooms(tenant), *_of_services(tenant)):
            yield ("tenants", number, *path), problem


def fault_of_workers(gateway: GatewaySettings, workers: int) -> str | None:
    """Why there cannot be so many processes (0: one a core), if so."""
    if workers == 1:
        return None
    if gateway.broker is None:
        return f"needs gateway.broker, which makes one gateway of several processes, found {workers}"
    if gateway.state_file is not None:
        return f"needs gateway.state_file unset: it is one process's, the broker has what is theirs, found {workers}"
    return None


def _of_rooms(tenant: TenantSettings) -> Iterator[tuple[Path, str]]:
    if tenant.qos.conflate == "none":
        for number, room in enumerate(tenant.rooms):
            if room.snapshot is not None:
                yield ("rooms", number, "snapshot"), "needs qos.conflate: sender, sender_opcode or key:<n>, found none"


def _of_services(tenant: TenantSettings) -> Iterator[tuple[Path, str]]:
    backend = tenant.backend
    for name, service in tenant.services.ext.items():
        if not isinstance(service, WebhookServiceSettings):
            continue
        if service.url is not None and (backend is None or backend.secret is None):
            yield ("services", "ext", name, "url"), "needs backend.secret of its tenant: every call is signed"
        elif service.url is None and (backend is None or (backend.url is None and not backend.stream)):
            yield ("services", "ext", name), "needs a url, or the backend of its tenant (backend.url, backend.stream)"


def _of_addresses(settings: Settings) -> Iterator[tuple[Path, str]]:
    public, internal = settings.gateway.listen, settings.gateway.internal.listen
    for path, address in ((("gateway", "listen"), public), (("gateway", "internal", "listen"), internal)):
        if address is not None and len((address.path or "").encode()) > _LONGEST_SOCKET_PATH_BYTES:
            yield path, f"must have a path of at most {_LONGEST_SOCKET_PATH_BYTES} bytes, found {shown(str(address))}"
    if internal is not None and internal.overlaps(public):
        yield (
            ("gateway", "internal", "listen"),
            f"must be another address than gateway.listen ({public}), found {shown(str(internal))}",
        )
