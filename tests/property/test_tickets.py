"""Tickets: rubbish never raises, and the bounded table forgets exactly what it should."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.keys import SECRET, jwk, token
from wsprism.adapters.tickets.authenticators import build_authenticator
from wsprism.adapters.tickets.jwt_tickets import judge_claims
from wsprism.policy.expiring import ExpiringTable
from wsprism.ports import Principal, TicketRequest
from wsprism.protocol.jwk import parse_key_set, parse_public_key
from wsprism.protocol.jws import parse_token, verified_claims
from wsprism.protocol.standard_webhooks import parse_secret
from wsprism.realtime.tenant.one_time import OneTimeTickets
from wsprism.settings import JwtAuth, TenantSettings

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
GOOD = token("HS256", sub="ann", exp=1e12)


@given(st.text() | st.lists(st.text(max_size=40), min_size=3, max_size=3).map(".".join))
def test_no_text_makes_the_parser_raise(text: str) -> None:
    parse_token(text)
    parse_public_key(text)
    parse_secret(text)


EVERY_KIND = TenantSettings.model_validate(
    {
        "id": "t",
        "auth": [
            {"kind": "dev"},
            {"kind": "tokens", "tokens": {"ticket": "ann"}},
            {"kind": "one_time"},
            {"kind": "jwt", "algorithms": ["HS256"], "secret": SECRET},
        ],
    }
)


@given(st.text() | st.text("dev:\ud800é.") | st.characters(categories=["Cs"]))
def test_no_ticket_makes_an_authenticator_raise(ticket: str) -> None:
    gate = build_authenticator(EVERY_KIND, OneTimeTickets(lambda: 0.0), lambda: 0.0)
    principal = asyncio.run(gate.authenticate(TicketRequest("t", ticket, "::1")))
    assert not isinstance(principal, Principal) or ticket.startswith("dev") or ticket == "ticket"


@given(st.integers(0, len(GOOD) - 1), st.characters(max_codepoint=0x2FF))
def test_a_token_that_differs_anywhere_is_not_believed(position: int, character: str) -> None:
    text = GOOD[:position] + character + GOOD[position + 1 :]
    parsed = parse_token(text)
    believed = parsed is not None and parsed.algorithm == "HS256" and verified_claims(parsed, SECRET.encode())
    assert bool(believed) is (text == GOOD)


@given(st.binary())
def test_any_header_and_payload_is_read_or_refused(raw: bytes) -> None:
    segment = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    parse_token(f"{segment}.{segment}.AA")


@given(st.binary() | JSON.map(lambda value: json.dumps({"keys": [value]}).encode()))
def test_no_key_set_makes_the_reader_raise(body: bytes) -> None:
    parse_key_set(body, ALGORITHMS)


@given(
    st.sampled_from(ALGORITHMS),
    st.dictionaries(st.sampled_from(["kty", "crv", "n", "e", "x", "y", "use", "alg", "key_ops", "kid"]), JSON),
)
def test_a_key_with_odd_members_is_used_or_passed_over(algorithm: str, odd: dict[str, Any]) -> None:
    body = json.dumps({"keys": [jwk(algorithm, "k") | odd]}).encode()
    keys = parse_key_set(body, ALGORITHMS)
    assert keys is None or len(keys) <= 2


CLAIMS = st.dictionaries(
    st.sampled_from(["sub", "exp", "nbf", "aud", "iss", "rooms", "read_only", "jti"]), JSON, max_size=8
)


@given(CLAIMS)
def test_claims_are_believed_whole_or_not_at_all(claims: dict[str, Any]) -> None:
    settings = JwtAuth.model_validate({"kind": "jwt", "algorithms": ["HS256"], "secret": SECRET})
    outcome = judge_claims(claims, settings, "acme", 1000.0)
    if isinstance(outcome, Principal):
        assert outcome.user == claims["sub"]
        assert outcome.expires_at is not None
        assert outcome.expires_at > 1000.0
        assert outcome.read_only is bool(claims.get("read_only"))
        assert outcome.rooms == (None if claims.get("rooms") is None else tuple(claims["rooms"]))


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "get", "take", "wait"]), st.integers(0, 5), st.integers(0, 20)), max_size=60
)


@given(STEPS, st.integers(0, 4))
def test_the_table_holds_what_a_plain_dictionary_with_a_clock_would(
    steps: list[tuple[str, int, int]], most: int
) -> None:
    table: ExpiringTable[int, int] = ExpiringTable(most)
    model: dict[int, tuple[int, float]] = {}
    now = 0.0
    for number, (what, key, amount) in enumerate(steps):
        model = {one: entry for one, entry in model.items() if now < entry[1]}
        if what == "put":
            taken = table.put(key, number, now + amount, now)
            assert taken is (amount == 0 or key in model or len(model) < most)
            if amount == 0:
                model.pop(key, None)
            elif taken:
                model[key] = (number, now + amount)
            assert len(table) == len(model) <= most
        elif what == "wait":
            now += amount
        else:
            expected = model.get(key)
            found = table.get(key, now) if what == "get" else table.take(key, now)
            assert found == (None if expected is None else expected[0])
            if what == "take":
                model.pop(key, None)
        assert len(table._ends) <= 2 * most
