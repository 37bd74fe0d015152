"""Settings as plain data, to be shown with their secrets masked or to be compared with their secrets hashed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from wsprism.config_file import ListenAddress
from wsprism.settings.models import Settings

__all__ = ["configuration_hash", "hashed", "masked", "shared_hash"]

_MASK: Final = "********"

_OWN: Final = (
    "gateway.listen",
    "gateway.internal.listen",
    "gateway.node.name",
    "gateway.public_url",
    "gateway.workers",
    "gateway.tls.cert_file",
    "gateway.tls.key_file",
    "logging",
)
"""In these nodes may differ: addresses, names, files of their machine."""


def masked(settings: Settings) -> dict[str, Any]:
    """The settings as plain data, every secret replaced by asterisks."""
    return _plain(settings, lambda _: _MASK)  # type: ignore[no-any-return]


def configuration_hash(settings: Settings) -> str:
    """Equal for configurations that mean the same; secrets count, but cannot be read from it."""
    return hashlib.sha256(json.dumps(hashed(settings), sort_keys=True).encode()).hexdigest()[:16]


def shared_hash(settings: Settings) -> str:
    """The same of all that nodes have in common: without what is each node's own."""
    plain = hashed(settings)
    for *parents, key in (one.split(".") for one in _OWN):
        holder = plain
        for parent in parents:
            holder = holder[parent]
        del holder[key]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def hashed(settings: Settings) -> dict[str, Any]:
    """The settings as plain data, every secret replaced by its hash: to be compared, not shown."""
    return _plain(settings, _digest)  # type: ignore[no-any-return]


def _digest(secret: SecretStr) -> str:
    return hashlib.sha256(secret.get_secret_value().encode()).hexdigest()


def _plain(value: Any, show: Callable[[SecretStr], str]) -> Any:
    if isinstance(value, SecretStr):
        return show(value)
    if isinstance(value, ListenAddress):
        return str(value)
    if isinstance(value, BaseModel):
        shown = {name: _plain(getattr(value, name), show) for name in type(value).model_fields}
        if "tokens" in shown:
            users = list(shown["tokens"].items())
            shown["tokens"] = {
                _ticket(number, show(SecretStr(one))): user for number, (one, user) in enumerate(users, 1)
            }
        return shown
    if isinstance(value, dict):
        return {str(key): _plain(one, show) for key, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one, show) for one in value]
    return value


def _ticket(number: int, shown: str) -> str:
    """Masked tickets are told apart by their number."""
    return f"{shown} {number}" if shown == _MASK else shown
