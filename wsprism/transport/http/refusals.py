"""A refusal as an answer of HTTP, and the account of all of them: counts and lines of the log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from aiohttp import web

from wsprism.policy.log_limit import LimitedLog
from wsprism.realtime.counters import GatewayCounters
from wsprism.transport.admission.refusal import Refusal

__all__ = ["SERVER", "Refusals", "response_of"]

SERVER: Final = "wsprism"
"""All that an answer says of the software behind it."""

_log = logging.getLogger("wsprism.handshake")


def response_of(refusal: Refusal) -> web.Response:
    """The HTTP answer."""
    headers = {"Server": SERVER, **dict(refusal.headers)}
    return web.Response(status=refusal.status, body=refusal.body(), content_type="application/json", headers=headers)


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
