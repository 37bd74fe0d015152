"""A no before the upgrade: what the client sees, the one reason it is counted under, the line that is logged of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from wsprism.policy.log_limit import LimitedLog
from wsprism.protocol.codes import CloseCode, ErrorCode
from wsprism.protocol.envelope import JSON
from wsprism.realtime.counters import GatewayCounters

__all__ = ["SERVER", "Refusal", "Refusals"]

SERVER: Final = "wsprism"
"""All that an answer says of the software behind it."""

_log = logging.getLogger("wsprism.handshake")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A handshake's no: ``reason`` is what is counted, the rest is what the client sees."""

    status: int
    code: ErrorCode
    msg: str
    reason: str
    headers: Mapping[str, str] | tuple[tuple[str, str], ...] = ()
    tenant: str | None = None
    """Whose client it was, once that is known."""
    close: CloseCode | None = None
    """What the client itself can act on may be told behind the upgrade too, with this code; None: it stays HTTP."""

    @property
    def retry_after_ms(self) -> int:
        """What ``Retry-After`` says."""
        return int(dict(self.headers).get("Retry-After", "1")) * 1000

    def response(self) -> web.Response:
        """The HTTP answer."""
        headers = {"Server": SERVER, **dict(self.headers)}
        return web.Response(status=self.status, body=self._body(), content_type="application/json", headers=headers)

    def raw(self) -> bytes:
        """The whole HTTP answer as bytes, for a request that never became one; the socket is to be closed after it."""
        body = self._body()
        head = f"HTTP/1.1 {self.status} {self.msg}\r\nContent-Type: application/json; charset=utf-8\r\n"
        return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body

    def _body(self) -> bytes:
        return JSON.encode({"code": self.code.value, "msg": self.msg})


class Refusals:
    """The account of a gateway's refusals. Lines are at most one a second, tenant and reason, and name no ticket."""

    def __init__(self, counters: GatewayCounters, now: Callable[[], float]) -> None:
        self._counts = counters.handshakes_refused
        self._of_tenants = counters.handshakes_refused_by_tenant
        self._log = LimitedLog(_log, now)

    def note(self, reason: str, remote: str, tenant: str | None = None) -> None:
        """Count one under ``reason``, which is never taken from the wire. ``remote`` is the client's address.

        ``tenant`` is one of the configuration's; None: it is not known, or there is none of that name.
        """
        self._counts[reason] += 1
        if tenant is None:
            self._log.log(reason, "handshake refused", remote=remote)
        else:
            self._of_tenants[tenant, reason] += 1
            self._log.log(reason, "handshake refused", of=tenant, tenant=tenant, remote=remote)
