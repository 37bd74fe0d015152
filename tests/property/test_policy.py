"""Policies against models of them: token bucket, handshake limiter, allowlists, sessions."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from dataclasses import dataclass
from fractions import Fraction
from ipaddress import IPv4Address, ip_address

from hypothesis import given
from hypothesis import strategies as st

from wsprism.policy.allowlist import AllowlistError, ExtAllowlist, HotAllowlist
from wsprism.policy.decisions import Reason
from wsprism.policy.handshake import HandshakeLimiter, HandshakeRates, address_key
from wsprism.policy.proxies import TrustedProxies
from wsprism.policy.ratelimit import RateLimiter, TokenBucket
from wsprism.policy.sessions import Admit, Deny, OnExceed, SessionPolicy

# Sixteenths of a second and small whole rates are exact in binary, so that a model in fractions agrees to the bit.
steps = st.lists(st.integers(-8, 48), max_size=60)
rates = st.integers(1, 16)
bursts = st.integers(1, 8)


class BucketModel:
    def __init__(self, rate: int, burst: int) -> None:
        self.rate, self.burst, self.tokens, self.latest = rate, burst, Fraction(burst), Fraction(0)

    def has_token(self, now: Fraction) -> bool:
        if now > self.latest:
            self.tokens = min(Fraction(self.burst), self.tokens + (now - self.latest) * self.rate)
            self.latest = now
        return self.tokens >= 1

    def take(self, now: Fraction) -> bool:
        allowed = self.has_token(now)
        self.tokens -= allowed
        return allowed


@given(rates, bursts, steps)
def test_a_bucket_is_its_model(rate: int, burst: int, moves: list[int]) -> None:
    bucket, model, now = TokenBucket(rate, burst, 0.0), BucketModel(rate, burst), Fraction(0)
    for move in moves:
        now += Fraction(move, 16)
        assert bucket.take(float(now)) == model.take(now)


@given(
    st.floats(0.01, 1e6),
    st.integers(1, 1000),
    st.lists(st.floats(0, 10, allow_subnormal=False), min_size=1, max_size=60),
)
def test_no_window_lets_through_more_than_burst_and_rate(rate: float, burst: int, gaps: list[float]) -> None:
    bucket, now, allowed = TokenBucket(rate, burst, 0.0), 0.0, 0
    for gap in gaps:
        now += gap
        allowed += bucket.take(now)
    assert allowed <= burst + rate * now * (1 + 1e-9) + 1e-6


@given(st.floats(0.01, 1e6), st.integers(1, 50), st.floats(0, 1e6))
def test_waiting_as_told_gives_a_token(rate: float, burst: int, start: float) -> None:
    bucket = TokenBucket(rate, burst, start)
    while bucket.take(start):
        pass
    wait = bucket.retry_after_s(start)
    assert wait > 0
    assert bucket.take((start + wait) * (1 + 1e-12) + 2e-6 / rate)


@given(rates, bursts, rates, bursts, st.lists(st.tuples(st.integers(0, 16), st.integers(0, 2)), max_size=60))
def test_both_scopes_charge_both_buckets_or_none(
    own_rate: int, own_burst: int, rate: int, burst: int, moves: list[tuple[int, int]]
) -> None:
    tenant, tenant_model, now = TokenBucket(rate, burst, 0.0), BucketModel(rate, burst), Fraction(0)
    limiters = [RateLimiter(connection=TokenBucket(own_rate, own_burst, 0.0), tenant=tenant) for _ in range(3)]
    models = [BucketModel(own_rate, own_burst) for _ in range(3)]
    for move, who in moves:
        now += Fraction(move, 16)
        expected = models[who].has_token(now) and tenant_model.has_token(now)
        if expected:
            models[who].take(now)
            tenant_model.take(now)
        assert limiters[who].allow(float(now)) == expected


addresses = st.sampled_from([f"192.0.2.{number}" for number in range(8)] + ["2001:db8::1", "2001:db8::2"])


@given(bursts, bursts, st.integers(1, 6), st.lists(st.tuples(addresses, st.integers(0, 8)), max_size=80))
def test_the_handshake_limiter_is_its_model(
    all_burst: int, ip_burst: int, entries: int, attempts: list[tuple[str, int]]
) -> None:
    limiter = HandshakeLimiter(HandshakeRates(2, all_burst, 1, ip_burst, entries), 0.0)
    everybody, table, now = BucketModel(2, all_burst), OrderedDict[str, BucketModel](), Fraction(0)
    for address, move in attempts:
        now += Fraction(move, 16)
        key = address_key(address)
        if key not in table:
            if len(table) == entries:
                idle = [one for one, bucket in table.items() if bucket.has_token(now)]
                del table[(idle or list(table))[0]]
            table[key] = model = BucketModel(1, ip_burst)
            model.latest = now
        table.move_to_end(key)
        expected = None
        if not table[key].has_token(now):
            expected = Reason.HANDSHAKE_IP
        elif not everybody.take(now):
            expected = Reason.HANDSHAKE_GLOBAL
        else:
            table[key].take(now)
        denied = limiter.check(address, float(now))
        assert (None if denied is None else denied.reason) == expected
        assert denied is None or (denied.retry_after_s is not None and denied.retry_after_s >= 1)
        assert len(limiter) == len(table) <= entries


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 300))
def test_an_attack_from_one_address_leaves_the_others_all_but_its_share(
    ip_burst: int, others: int, attempts: int
) -> None:
    limiter = HandshakeLimiter(HandshakeRates(1, ip_burst * (others + 1), 1, ip_burst, 100), 0.0)
    for _ in range(attempts):
        limiter.check("198.51.100.1", 0.0)
    for other in range(others):
        assert all(limiter.check(f"192.0.2.{other}", 0.0) is None for _ in range(ip_burst))


@given(st.text(max_size=60))
def test_any_text_is_one_bucket(address: str) -> None:
    assert address_key(address) == address_key(address)


names = st.sampled_from(["room", "chat", "a", "b-c", "x.y"])
types = st.sampled_from(["join", "send", "a", "*"])


@given(st.lists(st.tuples(names, types), max_size=12), names, types)
def test_an_ext_allowlist_is_its_set(entries: list[tuple[str, str]], svc: str, type_: str) -> None:
    allowlist = ExtAllowlist.compile([f"{one}:{other}" for one, other in entries])
    assert allowlist.allows(svc, type_) == ((svc, "*") in entries or (svc, type_) in entries)


ids = st.integers(0, 255)


@given(st.lists(st.tuples(ids, ids | st.just("*")), max_size=12), ids, ids)
def test_a_hot_allowlist_is_its_set(entries: list[tuple[int, int | str]], service_id: int, opcode: int) -> None:
    allowlist = HotAllowlist.compile([f"{one}:{other}" for one, other in entries])
    assert allowlist.allows(service_id, opcode) == ((service_id, "*") in entries or (service_id, opcode) in entries)


@given(st.lists(st.text(max_size=12) | st.from_regex(r"\d{1,4}:(\d{1,4}|\*)", fullmatch=True), max_size=4))
def test_any_text_compiles_or_is_a_bad_entry(entries: list[str]) -> None:
    for compile_ in (ExtAllowlist.compile, HotAllowlist.compile):
        with contextlib.suppress(AllowlistError):
            compile_(entries)


@dataclass(frozen=True)
class Session:
    sid: str


@given(
    st.lists(st.sampled_from("abcdef"), unique=True),
    st.sampled_from("abcdefg"),
    st.integers(0, 4),
    st.sampled_from(OnExceed),
)
def test_a_user_never_has_more_sessions_than_allowed(sids: list[str], new: str, most: int, on_exceed: OnExceed) -> None:
    match SessionPolicy(most, on_exceed).decide(dict.fromkeys(sids), new):
        case Admit(evict):
            gone = [sid for sid, _ in evict]
            assert len(set(gone)) == len(gone)
            left = [sid for sid in sids if sid not in gone] + [new]
            assert len(set(left)) == len(left)
            assert not most or len(left) <= most
            others = [sid for sid in sids if sid != new]
            assert [sid for sid in left if sid != new] == others[len(others) - len(left) + 1 :]
        case Deny():
            assert on_exceed is OnExceed.DENY
            assert len(set(sids) - {new}) >= most > 0


plain_addresses = st.ip_addresses().map(str)
header_values = st.lists(st.text(max_size=20) | plain_addresses | plain_addresses.map("for={}".format), max_size=4).map(
    ",".join
)


@given(plain_addresses | st.text(max_size=20), st.lists(header_values, max_size=3), st.lists(header_values, max_size=3))
def test_no_header_of_an_untrusted_peer_counts_whatever_it_holds(
    peer: str, forwarded: list[str], listed: list[str]
) -> None:
    assert TrustedProxies(["240.0.0.0/32"]).client_address(peer, forwarded, listed) == peer


@given(st.lists(st.text(max_size=20) | plain_addresses, max_size=4), st.ip_addresses(v=4, network="203.0.113.0/24"))
def test_what_a_client_invents_in_front_changes_nothing(invented: list[str], client: IPv4Address) -> None:
    """The trusted proxy appends the address that it saw; the client wrote everything before."""
    proxies = TrustedProxies(["10.0.0.0/8"])
    assert proxies.client_address("10.0.0.1", (), [",".join([*invented, str(client)])]) == str(client)


@given(st.lists(header_values, max_size=3), st.lists(header_values, max_size=3))
def test_a_trusted_peers_headers_give_an_address_or_the_peer(forwarded: list[str], listed: list[str]) -> None:
    found = TrustedProxies(["10.0.0.0/8"]).client_address("10.0.0.1", forwarded, listed)
    assert str(ip_address(found)) == found
