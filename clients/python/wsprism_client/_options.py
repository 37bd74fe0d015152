"""What a client may be told; durations are in seconds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

__all__ = ["Options", "Ticket", "address"]

Ticket = str | Callable[[], "str | Awaitable[str]"]


@dataclass(frozen=True)
class Options:
    """See docs/clients.md. Raises ValueError for what cannot be."""

    tenant: str
    ticket: Ticket
    sid: str | None = None
    format: str = "json"
    ping_interval_s: float = 25.0
    pong_timeout_s: float = 10.0
    connect_timeout_s: float = 10.0
    backoff_base_s: float = 0.5
    backoff_cap_s: float = 30.0
    backoff_reset_s: float = 10.0
    queue_messages: int = 1000
    queue_bytes: int = 1_048_576
    request_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, (int, float)) and not value > 0:
                raise ValueError(f"{field.name} must be more than 0, found {value!r}")
        if not self.tenant:
            raise ValueError("tenant must not be empty")
        if not (callable(self.ticket) or isinstance(self.ticket, str)):
            raise ValueError("ticket is a string, or a function that gives one")


def address(url: str, options: Options, sid: str | None = None) -> str:
    """``url`` with its path and query as the gateway wants them. Raises ValueError when it is no WebSocket URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError(f"the url must be ws://host[:port] or wss://host[:port], found {url!r}")
    query = dict(parse_qsl(parts.query)) | {"tenant": options.tenant, "explain": "1"}
    if sid is not None:
        query["sid"] = sid
    path = parts.path if parts.path not in ("", "/") else "/v1/ws"
    return urlunsplit((parts.scheme, parts.netloc, path, urlencode(query), ""))
