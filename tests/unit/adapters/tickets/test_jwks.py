"""Published keys: when they are fetched, who waits, and what holds while the URL fails. On a manual clock."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tests.keys import jwk, jwk_set, signing_key
from wsprism.adapters.http import HttpAnswer, HttpClient, HttpFailure
from wsprism.adapters.tickets.jwks import JwksKeys
from wsprism.settings import JwtAuth

URL = "https://id.example/keys"
OLD = jwk_set(jwk("ES256", "old"))
BOTH = jwk_set(jwk("ES256", "old"), jwk("ES256", "new", "b"))
DOWN = HttpFailure("no answer in time")


class Issuer(HttpClient):
    """Answers with ``answer``, after ``gate`` was opened."""

    def __init__(self, answer: bytes | HttpFailure | HttpAnswer) -> None:
        super().__init__(timeout_s=1.0, max_bytes=1)
        self.answer = answer
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.closed = False

    async def get(self, url: str) -> HttpAnswer | HttpFailure:
        self.asked.append(url)
        await self.gate.wait()
        return HttpAnswer(200, self.answer) if isinstance(self.answer, bytes) else self.answer

    async def close(self) -> None:
        self.closed = True


class Keys:
    """``JwksKeys`` with its issuer and its clock."""

    def __init__(self, answer: bytes | HttpFailure | HttpAnswer = OLD, url: str = URL, **settings: Any) -> None:
        self.issuer = Issuer(answer)
        self.now = 0.0
        auth = JwtAuth.model_validate({"kind": "jwt", "algorithms": ["ES256"], "jwks_url": url, **settings})
        self.keys = JwksKeys("acme", auth, url, lambda: self.now, self.issuer)

    async def find(self, kid: str | None = "old") -> bool:
        return await self.keys.find(kid, "ES256") is not None

    @property
    def fetches(self) -> int:
        return len(self.issuer.asked)


async def test_keys_are_fetched_once_and_used_for_their_lifetime() -> None:
    keys = Keys()
    for keys.now in (0.0, 1.0, 299.0):
        assert await keys.find()
    assert keys.issuer.asked == [URL]
    keys.now = 300.0
    assert await keys.find()
    assert keys.fetches == 2


async def test_many_at_once_wait_for_one_fetch() -> None:
    keys = Keys()
    keys.issuer.gate.clear()
    waiting = [asyncio.ensure_future(keys.find()) for _ in range(50)]
    await asyncio.sleep(0)
    keys.issuer.gate.set()
    assert all(await asyncio.gather(*waiting))
    assert keys.fetches == 1


async def test_who_gives_up_does_not_take_the_fetch_with_it() -> None:
    keys = Keys()
    keys.issuer.gate.clear()
    first, second = asyncio.ensure_future(keys.find()), asyncio.ensure_future(keys.find())
    await asyncio.sleep(0)
    first.cancel()
    keys.issuer.gate.set()
    assert await second
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_an_unknown_id_is_looked_for_once_and_then_not_before_the_floor() -> None:
    keys = Keys()
    assert await keys.find()
    keys.issuer.answer = BOTH
    keys.now = 10.0
    assert await keys.find("new")
    assert keys.fetches == 2
    for number in range(1000):
        assert not await keys.find(f"guess-{number}")
    assert keys.fetches == 2
    keys.now = 20.0
    assert not await keys.find("guess")
    assert keys.fetches == 3


async def test_known_ids_do_not_wait_for_the_search_for_an_unknown_one() -> None:
    keys = Keys()
    assert await keys.find()
    keys.now = 10.0
    keys.issuer.gate.clear()
    searching = asyncio.ensure_future(keys.find("guess"))
    await asyncio.sleep(0)
    assert await keys.find("old")
    keys.issuer.gate.set()
    assert not await searching


async def test_the_last_good_set_holds_while_the_url_fails_and_only_the_first_waits() -> None:
    keys = Keys()
    assert await keys.find()
    keys.issuer.answer = DOWN
    keys.now = 300.0
    assert await keys.find()
    assert keys.fetches == 2
    keys.now = 310.0
    keys.issuer.gate.clear()
    assert await keys.find()
    await asyncio.sleep(0)
    assert keys.fetches == 3
    keys.issuer.gate.set()
    keys.now = 100_000.0
    assert await keys.find()


async def test_an_issuer_that_never_answered_lets_nobody_in_and_is_asked_at_the_floor() -> None:
    keys = Keys(DOWN)
    for keys.now in (0.0, 1.0, 9.0, 10.0, 11.0):
        assert not await keys.find()
    assert keys.fetches == 2
    keys.issuer.answer = OLD
    keys.now = 20.0
    assert await keys.find()


async def test_a_key_that_is_no_longer_published_ends_with_the_lifetime() -> None:
    keys = Keys(BOTH)
    assert await keys.find("new")
    keys.issuer.answer = OLD
    keys.now = 300.0
    assert not await keys.find("new")


@pytest.mark.parametrize(
    "answer",
    [
        HttpAnswer(302, OLD),
        HttpAnswer(500, OLD),
        b"<html>",
        b"{}",
        b'{"keys":null}',
        HttpFailure("the answer is too large"),
    ],
)
async def test_what_is_no_key_set_is_a_failure_that_forgets_nothing(
    answer: bytes | HttpAnswer | HttpFailure, caplog: pytest.LogCaptureFixture
) -> None:
    keys = Keys()
    assert await keys.find()
    keys.issuer.answer = answer
    with caplog.at_level(logging.INFO, "wsprism.tickets"):
        for keys.now in (300.0, 310.0, 320.0):
            assert await keys.find()
            await asyncio.sleep(0)
        keys.issuer.answer = OLD
        keys.now = 330.0
        assert await keys.find()
        await asyncio.sleep(0)
    assert [record.message for record in caplog.records] == ["the JWKS URL fails", "the JWKS URL works again"]


@pytest.mark.parametrize("answer", [b'{"keys":[]}', jwk_set(jwk("RS256", "old")), b'{"keys":[{"kty":"none"}]}'])
async def test_a_sole_key_that_is_withdrawn_counts_no_more_and_the_log_says_so(
    answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    keys = Keys()
    assert await keys.find()
    keys.issuer.answer = answer
    with caplog.at_level(logging.INFO, "wsprism.tickets"):
        for keys.now in (300.0, 301.0, 310.0, 1000.0):
            assert not await keys.find()
            assert not await keys.find(None)
        keys.issuer.answer = OLD
        keys.now = 1010.0
        assert await keys.find()
    assert keys.fetches == 5
    assert [record.message for record in caplog.records] == ["the JWKS URL fails", "the JWKS URL works again"]


async def test_two_tenants_with_one_url_and_one_id_have_each_their_own_key() -> None:
    ours, theirs = Keys(jwk_set(jwk("ES256", "k"))), Keys(jwk_set(jwk("ES256", "k", "b")))
    assert await ours.keys.find("k", "ES256") == signing_key("ES256").public_key()
    assert await theirs.keys.find("k", "ES256") == signing_key("ES256", "b").public_key()
    assert (ours.fetches, theirs.fetches) == (1, 1)


async def test_closing_ends_a_fetch_and_the_client() -> None:
    keys = Keys()
    keys.issuer.gate.clear()
    waiting = asyncio.ensure_future(keys.find())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await keys.keys.close()
    assert not await waiting
    assert keys.issuer.closed
