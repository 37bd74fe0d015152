"""Addresses of servers that the gateway asks, and the secrets that sign the questions."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_core import PydanticCustomError

from wsprism.protocol.standard_webhooks import parse_secret
from wsprism.settings.base import Secret

__all__ = ["PublicUrl", "Url", "WebhookSecret", "WebhookSecrets"]


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_whole = bool(parts.hostname) and parts.port != 0 and parts.username is None
    except ValueError:
        is_whole = False
    if not is_whole:
        raise PydanticCustomError("url", "must be http(s)://host[:port]/path, without a user and password in it")
    return value


Url = Annotated[str, Field(pattern=r"^https?://[^\s/]"), AfterValidator(_url)]


_SCHEMES: Final = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}


def _public_url(value: str) -> str:
    """Of WebSocket's schemes, and of characters that may stand in a header's policy."""
    try:
        parts = urlsplit(value)
        is_whole = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0 and parts.username is None
    except ValueError:
        is_whole = False
    if not is_whole or not re.fullmatch(r"[A-Za-z0-9:/?=&%@._~\[\]-]+", value) or parts.query or parts.fragment:
        raise PydanticCustomError("public_url", "must be wss://host[:port][/path] or ws://host[:port][/path]")
    return parts._replace(scheme=_SCHEMES[parts.scheme]).geturl()


PublicUrl = Annotated[str, AfterValidator(_public_url)]
"""Where a client connects; http(s) is read as ws(s)."""


def _webhook_secret(value: SecretStr) -> SecretStr:
    if parse_secret(value.get_secret_value()) is None:
        raise PydanticCustomError("webhook_secret", "must be whsec_ and the key in base64, found something else")
    return value


WebhookSecret = Annotated[Secret, AfterValidator(_webhook_secret)]
"""``whsec_…`` of Standard Webhooks."""


def _to_list(value: Any) -> Any:
    """A secret alone is a list of one; while one is replaced by another each signs."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


WebhookSecrets = Annotated[
    tuple[WebhookSecret, ...],
    Field(min_length=1),
    BeforeValidator(_to_list, json_schema_input_type=WebhookSecret | list[WebhookSecret]),
]
