"""Questions to other servers over HTTP, bounded in time and size: key servers and backends. Never on the message path.

Redirects are answers like any other, never followed: an address that is asked stands in the configuration. No proxy of
the environment, no cookie, no compression. Trouble is a value, never an exception.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from wsprism import __version__
from wsprism.policy.log_limit import LimitedLog

__all__ = ["HttpAnswer", "HttpClient", "HttpFailure", "Outage"]

_CONNECTIONS = 100
MAX_UNDER_WAY = 1000
"""Questions at once; beyond, they would only wait for each other until their time is over."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What the server said, whatever its status."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpFailure:
    """No answer that could be used; ``why`` is for the operator's log and holds no secret."""

    why: str


class HttpClient:
    """``timeout_s`` is for everything together: waiting for a connection, a second attempt, reading the answer."""

    def __init__(self, *, timeout_s: float, max_bytes: int) -> None:
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._session: aiohttp.ClientSession | None = None
        self._under_way = 0

    async def get(self, url: str) -> HttpAnswer | HttpFailure:
        """GET ``url``."""
        return await self._within_time("GET", url, None, {})

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HttpAnswer | HttpFailure:
        """POST ``body``. A connection that the server had closed meanwhile is not held against it: asked once more."""
        return await self._within_time("POST", url, body, headers)

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _within_time(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> HttpAnswer | HttpFailure:
        if self._under_way >= MAX_UNDER_WAY:
            return HttpFailure("too many questions at once")
        self._under_way += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                try:
                    return await self._ask(method, url, body, headers)
                except aiohttp.ClientConnectorError:
                    raise
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                    return await self._ask(method, url, body, headers)
        except TimeoutError:
            return HttpFailure("no answer in time")
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            return HttpFailure(type(exc).__name__)
        finally:
            self._under_way -= 1

    async def _ask(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> HttpAnswer | HttpFailure:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                headers={"User-Agent": f"wsprism/{__version__}", "Accept-Encoding": "identity"},
                auto_decompress=False,
            )
        async with self._session.request(method, url, data=body, headers=headers, allow_redirects=False) as response:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                return HttpFailure("the answer is compressed")
            answer = bytearray()
            async for chunk in response.content.iter_any():
                answer += chunk
                if len(answer) > self._max_bytes:
                    response.close()
                    return HttpFailure("the answer is too large")
            return HttpAnswer(response.status, bytes(answer))


class Outage:
    """Says in the log when a server stops being of use, and when it is again; not what happens in between.

    Clients can make a server fail and work in turns, so no more than a line of each a second.
    """

    def __init__(self, logger: logging.Logger, what: str, tenant: str) -> None:
        self._log = LimitedLog(logger, time.monotonic)
        self._what = what
        self._tenant = tenant
        self._on = False

    def failed(self, why: str) -> None:
        """It was of no use. ``why`` holds no secret."""
        if not self._on:
            self._on = True
            self._log.log("failing", f"{self._what} fails", level=logging.WARNING, tenant=self._tenant, why=why)

    def worked(self) -> None:
        """It was of use."""
        if self._on:
            self._on = False
            self._log.log("working", f"{self._what} works again", tenant=self._tenant)
