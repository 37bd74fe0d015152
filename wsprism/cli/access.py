"""Where clients of this command line connect to, as whom and how: from ``add_access_arguments`` and a configuration."""

from __future__ import annotations

import argparse
import asyncio
import functools
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import aiohttp

from wsprism.cli.exits import UsageError
from wsprism.cli.target import Target, parse_url, public_listener, tls_context
from wsprism.errors import OperatorError
from wsprism.protocol.handshake import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK
from wsprism.protocol.hot import Framing

if TYPE_CHECKING:
    from wsprism.settings import TenantSettings

__all__ = ["Access", "RefusedError", "find_access", "open_socket"]

_CONNECT_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 2.0
_SWITCHING_PROTOCOLS = 101


@dataclass(frozen=True, slots=True)
class Access:
    """A listener, the request's path, query and headers (the ticket is one of them), and the tenant's hot framing."""

    target: Target
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    framing: Framing


class RefusedError(OperatorError):
    """The handshake was refused, with this status, body and ``Retry-After``."""

    def __init__(self, status: int, body: bytes, retry_after: str | None) -> None:
        super().__init__(f"refused {status}: {body.decode(errors='replace')[:200]}")
        self.status = status
        self.body = body
        self.retry_after = retry_after


def find_access(arguments: argparse.Namespace, *, user: str, ticket: str | None, sid: str | None = None) -> Access:
    """For ``user``, whose ticket is made with ``--config`` unless it is given. Raises OperatorError when that fails."""
    framing = Framing.VERSIONED if arguments.versioned else Framing.COMPACT
    query = dict(parse_qsl(urlsplit(arguments.url or "").query))
    tenant, ticket = arguments.tenant, ticket or os.environ.get("WSPRISM_TICKET")
    if arguments.config is not None:
        from wsprism.cli.internal_api import find_api
        from wsprism.cli.minting import Wanted, mint

        settings = _load_tenant(arguments.config, tenant)
        tenant, framing = settings.id, Framing(settings.policy.hot_framing)
        if ticket is None:
            ticket = mint(settings, Wanted(user), lambda: find_api(config=arguments.config, tenant=tenant)).ticket
    elif arguments.url is None:
        raise UsageError("name a URL or a --config")
    target = (
        parse_url(arguments.url, verify=not arguments.insecure)
        if arguments.url is not None
        else public_listener(arguments.config)
    )
    chosen = {"tenant": tenant, "sid": sid}
    headers = {"Origin": arguments.origin} if arguments.origin else {}
    if ticket is not None and "ticket" not in query:
        headers["Authorization"] = f"Bearer {ticket}"
    return Access(
        target=target,
        path=target.path.rstrip("/") or "/v1/ws",
        query=query | {key: value for key, value in chosen.items() if value is not None},
        headers=headers,
        framing=framing,
    )


@functools.cache
def _load_tenant(config: str, tenant_id: str | None) -> TenantSettings:
    from wsprism.cli.minting import find_tenant
    from wsprism.settings import load_settings

    return find_tenant(load_settings(config), tenant_id)


@asynccontextmanager
async def open_socket(access: Access, *, msgpack: bool = False) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A WebSocket, closed at the end. Raises RefusedError, or OperatorError when nobody is there."""
    target = access.target
    if target.tls and target.unix_path is not None:
        raise OperatorError(f"{target.websocket}: TLS on a Unix socket is not spoken here")
    refusal = b""

    async def keep_refusal(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        nonlocal refusal
        response = await handler(request)
        if response.status != _SWITCHING_PROTOCOLS:
            refusal = await response.read()
        return response

    connector = aiohttp.UnixConnector(target.unix_path) if target.unix_path is not None else aiohttp.TCPConnector()
    origin = "ws://localhost" if target.unix_path is not None else target.websocket
    async with aiohttp.ClientSession(connector=connector, middlewares=(keep_refusal,)) as http:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                socket = await http.ws_connect(
                    f"{origin}{access.path}",
                    params=access.query,
                    headers=access.headers,
                    protocols=(SUBPROTOCOL_MSGPACK if msgpack else SUBPROTOCOL_JSON,),
                    ssl=tls_context(target) if target.tls else True,
                    max_msg_size=0,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIMEOUT_S),
                )
        except aiohttp.WSServerHandshakeError as exc:
            retry_after = exc.headers.get("Retry-After") if exc.headers is not None else None
            raise RefusedError(exc.status, refusal, retry_after) from exc
        except TimeoutError as exc:
            raise OperatorError(f"{target.websocket} does not answer within {_CONNECT_TIMEOUT_S:g} s") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise OperatorError(f"{target.websocket} cannot be reached: {exc}") from exc
        async with socket:
            yield socket
