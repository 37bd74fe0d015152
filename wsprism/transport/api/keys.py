"""The keys of the internal API: who is calling, and which tenants it may touch.

Keys are held as hashes, and every one is compared, in constant time, whichever fits. Logs have a key's name only.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from wsprism.settings import InternalKeySettings

__all__ = ["ApiKey", "ApiKeys"]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Whoever showed a good key. ``tenants``: the only ones that exist for it (None: all, and the gateway itself)."""

    name: str
    tenants: frozenset[str] | None
    read_only: bool = False
    digest: bytes = field(default=b"", repr=False)
    """The key's hash."""

    def may(self, method: str) -> bool:
        """Whether it may call with this method."""
        return method == "GET" or not self.read_only

    def covers(self, tenant: str) -> bool:
        """Whether this tenant exists for it."""
        return self.tenants is None or tenant in self.tenants


class ApiKeys:
    """The configured keys."""

    def __init__(self, settings: Iterable[InternalKeySettings]) -> None:
        self._keys = [
            ApiKey(
                one.name,
                None if one.tenants == "all" else frozenset(one.tenants),
                one.read_only,
                _hash(one.key.get_secret_value()),
            )
            for one in settings
        ]

    def find(self, authorization: Sequence[str]) -> ApiKey | None:
        """The key that the ``Authorization`` headers of a request (there must be one) show as a bearer token."""
        scheme, _, token = (authorization[0] if len(authorization) == 1 else "").partition(" ")
        shown = _hash(token.strip())
        fitting = [key for key in self._keys if hmac.compare_digest(shown, key.digest)]
        return fitting[0] if fitting and scheme.lower() == "bearer" else None

    def now(self, key: ApiKey) -> ApiKey | None:
        """What the same key may do by this configuration; None: it is good no more."""
        return next((one for one in self._keys if one.digest == key.digest), None)


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
