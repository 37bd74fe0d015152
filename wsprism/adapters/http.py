"""Questions to other servers over HTTP, bounded in time and size: key servers and ticket webhooks. Never on the message
path; a backend is asked by ``backend/posts.py``.

Redirects are answers like any other, never followed: an address that is asked stands in the configuration. No proxy of
the environment, no cookie, no compression. Trouble is a value, never an exception.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import aiohttp

from wsprism import __version__
from wsprism.policy.log_limit import LimitedLog

__all__ = ["HttpAnswer", "HttpClient", "HttpFailure", "Outage", "Trouble"]

_CONNECTIONS = 100
MAX_UNDER_WAY = 1000
"""Questions at once; beyond, they would only wait for each other until their time is over."""


class Trouble(Enum):
    """Whether there was an answer in time, a server at all, and what it said could be read."""

    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    UNUSABLE = "unusable"
    TOO_MANY = "too_many"


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What the server said, whatever its status. ``retry_after``: the header of that name."""

    status: int
    body: bytes
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class HttpFailure:
    """No answer that could be used; ``why`` is for the operator's log and holds no secret."""

    why: str
    kind: Trouble = Trouble.UNUSABLE


class HttpClient:
    """``timeout_s`` is for everything together: waiting for a connection, a second attempt, reading the answer."""

    def __init__(self, *, timeout_s: float, max_bytes: int, connections: int = _CONNECTIONS) -> None:
        self._timeout_s = timeout_s
        self._connections = connections
        self._max_bytes = max_bytes
        self._session: aiohttp.ClientSession | None = None
        self._under_way = 0

    async def get(self, url: str) -> HttpAnswer | HttpFailure:
        """GET ``url``."""
        return await self._within_time("GET", url, None, {})

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float | None = None
    ) -> HttpAnswer | HttpFailure:
        """POST ``body``. A connection that the server had closed meanwhile is not held against it: asked once more."""
        return await self._within_time("POST", url, body, headers, timeout_s)

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _within_time(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str],
        timeout_s: float | None = None,
    ) -> HttpAnswer | HttpFailure:
        if self._under_way >= MAX_UNDER_WAY:
            return HttpFailure("too many questions at once", Trouble.TOO_MANY)
        self._under_way += 1
        try:
            async with asyncio.timeout(self._timeout_s if timeout_s is None else timeout_s):
                try:
                    return await self._ask(method, url, body, headers)
                except aiohttp.ClientConnectorError:
                    raise
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                    return await self._ask(method, url, body, headers)
        except TimeoutError:
            return HttpFailure("no answer in time", Trouble.TIMEOUT)
        except (aiohttp.ClientConnectionError, OSError) as exc:
            return HttpFailure(type(exc).__name__, Trouble.UNREACHABLE)
        except (aiohttp.ClientError, ValueError) as exc:
            return HttpFailure(type(exc).__name__)
        finally:
            self._under_way -= 1

    async def _ask(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> HttpAnswer | HttpFailure:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections),
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
            return HttpAnswer(response.status, bytes(answer), response.headers.get("Retry-After"))


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
