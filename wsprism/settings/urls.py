"""Addresses of servers that the gateway asks, and the secrets that sign the questions."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_core import PydanticCustomError

from wsprism.protocol.standard_webhooks import parse_secret
from wsprism.settings.base import Secret

__all__ = ["Url", "WebhookSecret", "WebhookSecrets"]


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
