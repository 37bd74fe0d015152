"""The handshake limiter: a bucket per address first, then one for all, so that one cannot use up everybody's."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice

from wsprism.policy.decisions import Denied, Reason
from wsprism.policy.ratelimit import TokenBucket
from wsprism.protocol.codes import ErrorCode

__all__ = ["HandshakeLimiter", "HandshakeRates", "address_key"]

_IPV6_SITE_BITS = 64
_EVICTION_LOOKS = 16
_LONGEST_RETRY_S = 86_400


@dataclass(frozen=True, slots=True)
class HandshakeRates:
    """Handshakes per second and bursts, for all and per address; how many addresses are remembered."""

    global_rps: float
    global_burst: int
    per_ip_rps: float
    per_ip_burst: int
    max_ip_entries: int


class HandshakeLimiter:
    """The table of addresses is bounded: the least recently seen is forgotten, never one that is being limited now."""

    def __init__(self, rates: HandshakeRates, now: float) -> None:
        self._rates = rates
        self._all = TokenBucket(rates.global_rps, rates.global_burst, now)
        self._by_address: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_address)

    def check(self, address: str, now: float) -> Denied | None:
        """Charge one handshake from ``address``, or refuse it. A refused one charges neither bucket."""
        rates, key = self._rates, address_key(address)
        bucket = self._by_address.get(key)
        if bucket is None:
            if 0 < rates.max_ip_entries <= len(self._by_address):
                self._evict(now)
            bucket = self._by_address[key] = TokenBucket(rates.per_ip_rps, rates.per_ip_burst, now)
        else:
            self._by_address.move_to_end(key)
        if not bucket.has_token(now):
            return _denied(Reason.HANDSHAKE_IP, bucket, now)
        if not self._all.take(now):
            return _denied(Reason.HANDSHAKE_GLOBAL, self._all, now)
        bucket.take(now)
        return None

    def _evict(self, now: float) -> None:
        """Forget the least recently seen address that is not being limited; the oldest when the oldest few all are."""
        oldest = list(islice(self._by_address, _EVICTION_LOOKS))
        key = next((key for key in oldest if self._by_address[key].has_token(now)), oldest[0])
        del self._by_address[key]


def address_key(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 of an IPv6 one (RFC 6177); anything else is itself."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return format(int(parsed) >> _IPV6_SITE_BITS, "x") + "::/64"


def _denied(reason: Reason, bucket: TokenBucket, now: float) -> Denied:
    return Denied(reason, ErrorCode.RATE_LIMITED, max(1, math.ceil(min(bucket.retry_after_s(now), _LONGEST_RETRY_S))))
