"""JWT tickets: which token is believed, what it says, and what a forger tries."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any

import pytest

from tests.keys import SECRET, public_pem, signing_key, token
from wsprism.adapters.tickets.jwks import OneKey
from wsprism.adapters.tickets.jwt_tickets import JwtAuthenticator
from wsprism.ports import Principal, TicketRefusal, TicketRequest
from wsprism.protocol.jwk import SIGNATURES
from wsprism.settings import JwtAuth

NOW = 1_000_000.0


def authenticator(algorithm: str = "HS256", **settings: Any) -> JwtAuthenticator:
    key = {"secret": SECRET} if algorithm.startswith("HS") else {"public_key": public_pem(signing_key(algorithm))}
    auth = JwtAuth.model_validate({"kind": "jwt", "algorithms": [algorithm], **key, **settings})
    return JwtAuthenticator(auth, OneKey(auth.key()), lambda: NOW)


async def judge(text: str, gate: JwtAuthenticator | None = None) -> Principal | None:
    verdict = await (gate or authenticator()).authenticate(TicketRequest("acme", text, "::1"))
    return verdict if isinstance(verdict, Principal) else None


async def test_a_token_that_has_expired_is_told_apart() -> None:
    verdict = await authenticator().authenticate(TicketRequest("acme", token(sub="ann", exp=NOW - 60), "::1"))
    assert verdict is TicketRefusal.EXPIRED
    other = await authenticator().authenticate(
        TicketRequest("acme", token("HS256", "b", sub="ann", exp=NOW - 60), "::1")
    )
    assert other is TicketRefusal.REFUSED


@pytest.mark.parametrize("algorithm", sorted(SIGNATURES))
async def test_a_good_token_of_every_algorithm_is_believed(algorithm: str) -> None:
    principal = await judge(token(algorithm, sub="ann", exp=NOW + 60), authenticator(algorithm))
    assert principal == Principal("ann", expires_at=NOW + 90)


async def test_claims_become_what_the_ticket_allows() -> None:
    text = token(sub="ann", exp=NOW + 60, rooms=["match:*", "lobby"], read_only=True, jti="t-1")
    assert await judge(text) == Principal(
        "ann", expires_at=NOW + 90, rooms=("match:*", "lobby"), read_only=True, token_id="t-1"
    )


@pytest.mark.parametrize("info", [{"name": "Ann", "level": [1, None]}, "Ann", 7, False])
async def test_the_claim_that_is_named_is_what_presence_shows(info: object) -> None:
    principal = await judge(token(sub="ann", exp=NOW + 60, public=info), authenticator(info_claim="public"))
    assert principal is not None
    assert principal.info is not None
    assert json.loads(bytes(principal.info)) == info


async def test_without_the_claim_or_its_name_presence_shows_nothing() -> None:
    for text, settings in [
        (token(sub="ann", exp=NOW + 60, info={"name": "Ann"}), {}),
        (token(sub="ann", exp=NOW + 60), {"info_claim": "info"}),
        (token(sub="ann", exp=NOW + 60, info=None), {"info_claim": "info"}),
    ]:
        principal = await judge(text, authenticator(**settings))
        assert principal is not None
        assert principal.info is None


async def test_claims_may_have_other_names() -> None:
    gate = authenticator(user_claim="uid", rooms_claim="https://x/rooms", read_only_claim="ro", tenant_claim="org")
    claims: dict[str, Any] = {"uid": "ann", "https://x/rooms": ["a"], "ro": True, "org": "acme", "sub": 5}
    assert await judge(token(exp=NOW + 60, **claims), gate) == Principal(
        "ann", expires_at=NOW + 90, rooms=("a",), read_only=True
    )
    for org in ("other", None, ["acme"]):
        assert await judge(token(exp=NOW + 60, **claims | {"org": org}), gate) is None


async def test_no_rooms_at_all_is_not_any_room() -> None:
    principal = await judge(token(sub="ann", exp=NOW + 60, rooms=[]))
    assert principal is not None
    assert principal.rooms == ()
    assert not principal.may_enter("lobby")


@pytest.mark.parametrize(
    ("exp", "good"), [(NOW - 29.5, True), (NOW - 30, False), (NOW, True), (0, False), (NOW + 1.5, True)]
)
async def test_a_token_is_good_until_exp_and_the_leeway(exp: float, good: bool) -> None:
    principal = await judge(token(sub="ann", exp=exp))
    assert (principal is not None) is good
    assert principal is None or principal.expires_at == exp + 30


@pytest.mark.parametrize(("nbf", "good"), [(NOW + 30, True), (NOW + 31, False), (0, True)])
async def test_a_token_is_good_from_nbf_less_the_leeway(nbf: float, good: bool) -> None:
    assert (await judge(token(sub="ann", exp=NOW + 60, nbf=nbf)) is not None) is good


async def test_a_token_without_exp_is_refused_unless_it_need_not_have_one() -> None:
    assert await judge(token(sub="ann")) is None
    assert await judge(token(sub="ann"), authenticator(require_exp=False)) == Principal("ann")


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": None},
        {"sub": ""},
        {"sub": 5},
        {"sub": "a\nb"},
        {"sub": "x" * 256},
        {"sub": "\ud800"},
        {"exp": "soon"},
        {"exp": True},
        {"exp": 1_700_000_000_000},
        {"nbf": -1},
        {"exp": []},
        {"nbf": "x"},
        {"rooms": "match:*"},
        {"rooms": [5]},
        {"rooms": ["x" * 257]},
        {"rooms": ["x"] * 257},
        {"read_only": "no"},
        {"read_only": 1},
        {"jti": 5},
        {"jti": ""},
        {"jti": "x" * 257},
    ],
)
async def test_a_claim_that_is_not_what_it_must_be_refuses_the_token(claims: dict[str, Any]) -> None:
    payload = json.dumps({"sub": "ann", "exp": NOW + 60} | claims).encode()
    assert await judge(signed(payload)) is None


HUGE = b'{"sub":"ann","exp":1' + b"0" * 400 + b"}"


@pytest.mark.parametrize("payload", [b'{"sub":"ann","exp":1e999}', b'{"sub":"ann","exp":NaN}', HUGE, b"[]", b"{"])
async def test_a_payload_that_is_hardly_json_refuses_the_token(payload: bytes) -> None:
    assert await judge(signed(payload)) is None


async def test_issuer_and_audience_must_be_ours() -> None:
    gate = authenticator(issuer="https://id.example", audience="chat")
    good: dict[str, Any] = {"sub": "ann", "exp": NOW + 60, "iss": "https://id.example", "aud": ["mail", "chat"]}
    assert await judge(token(**good), gate) is not None
    assert await judge(token(**good | {"aud": "chat"}), gate) is not None
    wrong: list[dict[str, Any]] = [{"iss": "https://evil.example"}, {"iss": ""}, {"aud": "mail"}, {"aud": []}]
    for claims in wrong:
        assert await judge(token(**good | claims), gate) is None
    for missing in ("iss", "aud"):
        assert await judge(token(**{name: value for name, value in good.items() if name != missing}), gate) is None


async def test_a_token_for_an_audience_is_not_for_a_gateway_that_has_none() -> None:
    assert await judge(token(sub="ann", exp=NOW + 60, aud="mail")) is None


# Forgeries


def segment(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def signed(payload: bytes, alg: str = "HS256", key: bytes = SECRET.encode()) -> str:
    """Any payload under any claimed algorithm, signed with HMAC."""
    signing_input = f"{segment(json.dumps({'alg': alg}).encode())}.{segment(payload)}"
    return f"{signing_input}.{segment(SIGNATURES['HS256'].sign(signing_input.encode(), key))}"


ROOT = json.dumps({"sub": "root", "exp": NOW + 60}).encode()


async def test_a_signature_by_anybody_else_is_refused() -> None:
    assert await judge(token("HS256", "b", sub="ann", exp=NOW + 60)) is None


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", "hs256", "HS384", "RS256", "HS256 "])
async def test_the_tokens_own_word_on_its_algorithm_is_not_asked(alg: str) -> None:
    unsigned = f"{segment(json.dumps({'alg': alg}).encode())}.{segment(ROOT)}."
    for text in (unsigned, signed(ROOT, alg)):
        assert await judge(text) is None


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_public_key_is_not_taken_as_a_secret(algorithm: str) -> None:
    pem = public_pem(signing_key(algorithm)).encode()
    for key in (pem, pem.strip()):
        assert await judge(signed(ROOT, "HS256", key), authenticator(algorithm)) is None
        assert await judge(signed(ROOT, algorithm, key), authenticator(algorithm)) is None


async def test_a_key_that_the_token_brings_along_is_not_looked_at() -> None:
    own = json.loads(SIGNATURES["ES256"].to_jwk(signing_key("ES256", "evil").public_key()))
    headers = {"jwk": own, "jku": "https://evil.example", "x5u": "https://evil.example", "kid": "../../dev/null"}
    text = token("ES256", "evil", headers=headers, sub="root", exp=NOW + 60)
    assert await judge(text, authenticator("ES256")) is None


async def test_why_a_token_was_refused_is_a_debug_line_without_the_token(caplog: pytest.LogCaptureFixture) -> None:
    text = token(sub="ann", exp=0)
    with caplog.at_level(logging.DEBUG, "wsprism.tickets"):
        assert await judge(text) is None
    (record,) = caplog.records
    assert (record.levelname, record.tenant, record.why) == ("DEBUG", "acme", "it has expired")  # type: ignore[attr-defined]
    assert text not in repr(vars(record))
