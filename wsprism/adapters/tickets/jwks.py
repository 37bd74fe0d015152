"""The keys of one tenant's issuer, fetched from its JWKS URL and kept for a while.

Each instance belongs to one tenant and one URL and looks keys up by ``kid`` and ``alg``, so no tenant's key can ever
verify another's token. Fetching runs in one task of its own: whoever waits for it may leave, and no message waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from wsprism.adapters.http import HttpAnswer, HttpClient, HttpFailure, Outage
from wsprism.protocol.jwk import KeySet, VerificationKey, parse_key_set
from wsprism.settings import JwtAuth

__all__ = ["JwksKeys", "KeySource", "OneKey"]

FETCH_TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 256 * 1024

_log = logging.getLogger("wsprism.tickets")


class KeySource(Protocol):
    """Where a token's key comes from."""

    async def find(self, key_id: str | None, algorithm: str) -> VerificationKey | None:
        """The key for a token whose header names these two; it fits the algorithm."""
        ...

    @property
    def known(self) -> bool:
        """Whether a key that was not found is known not to be there."""
        ...

    async def close(self) -> None:
        """Ask nobody any more."""
        ...


class OneKey:
    """The key of the configuration, whatever id a token names."""

    def __init__(self, key: VerificationKey) -> None:
        self._key = key

    async def find(self, key_id: str | None, algorithm: str) -> VerificationKey | None:  # noqa: ARG002
        return self._key

    @property
    def known(self) -> bool:
        return True

    async def close(self) -> None:
        """Nobody is asked."""


class JwksKeys:
    """Fetched at the first token; then when older than ``jwks_lifetime_s``, and for an unknown ``kid``.

    Never sooner than ``jwks_min_refresh_s`` after the last attempt, and one fetch at a time. While the URL fails, the
    last good set stays in use, and only the first token after a good time waits for the failure. A set without a usable
    key is an answer and no failure: what was published before counts no more. ``now`` is monotonic.
    """

    def __init__(
        self, tenant: str, settings: JwtAuth, url: str, now: Callable[[], float], client: HttpClient | None = None
    ) -> None:
        self._url = url
        self._algorithms = settings.algorithms
        self._lifetime_s = settings.jwks_lifetime_s
        self._min_refresh_s = settings.jwks_min_refresh_s
        self._now = now
        self._client = client or HttpClient(timeout_s=FETCH_TIMEOUT_S, max_bytes=MAX_ANSWER_BYTES)
        self._outage = Outage(_log, "the JWKS URL", tenant)
        self._keys: KeySet | None = None
        self._fetched_at = 0.0
        self._next_attempt_at = float("-inf")
        self._failing = False
        self._fetch: asyncio.Task[None] | None = None

    async def find(self, key_id: str | None, algorithm: str) -> VerificationKey | None:
        if self._keys is None or self._now() - self._fetched_at >= self._lifetime_s:
            await self._refresh(wait=self._keys is None or not self._failing)
        key = self._look_up(key_id, algorithm)
        if key is None:
            await self._refresh(wait=True)
            key = self._look_up(key_id, algorithm)
        return key

    @property
    def known(self) -> bool:
        """Not while the last attempt failed: the key may stand in the set that could not be fetched."""
        return not self._failing and self._keys is not None

    async def close(self) -> None:
        """Give up a fetch under way."""
        if self._fetch is not None:
            self._fetch.cancel()
            await asyncio.wait({self._fetch})
        await self._client.close()

    def _look_up(self, key_id: str | None, algorithm: str) -> VerificationKey | None:
        return None if self._keys is None else self._keys.find(key_id, algorithm)

    async def _refresh(self, *, wait: bool) -> None:
        """Fetch unless it is too early; wait for a fetch under way, whoever began it, if ``wait``."""
        if self._fetch is None and self._now() >= self._next_attempt_at:
            self._next_attempt_at = self._now() + self._min_refresh_s
            self._fetch = asyncio.create_task(self._run())
        if wait and self._fetch is not None:
            await asyncio.wait({self._fetch})

    async def _run(self) -> None:
        try:
            keys = _keys_in(await self._client.get(self._url), self._algorithms)
            self._failing = isinstance(keys, str)
            if isinstance(keys, str):
                self._outage.failed(keys)
                return
            self._keys = keys
            self._fetched_at = self._now()
            if keys:
                self._outage.worked()
            else:
                self._outage.failed("it publishes no key that fits the algorithms: every token is refused")
        finally:
            self._fetch = None


def _keys_in(answer: HttpAnswer | HttpFailure, algorithms: Iterable[str]) -> KeySet | str:
    """The keys, none perhaps, or why the answer is no set of them."""
    if isinstance(answer, HttpFailure):
        return answer.why
    if answer.status != 200:
        return f"status {answer.status}"
    keys = parse_key_set(answer.body, algorithms)
    return "the answer is no JWK Set" if keys is None else keys
