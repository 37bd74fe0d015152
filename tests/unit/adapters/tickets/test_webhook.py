"""The webhook: what is asked, and that only a clear yes lets anybody in."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import SecretStr

from wsprism.adapters.http import HttpAnswer, HttpClient, HttpFailure
from wsprism.adapters.tickets.webhook import WebhookAuthenticator
from wsprism.ports import Principal, TicketRefusal, TicketRequest
from wsprism.protocol.standard_webhooks import signature_headers
from wsprism.settings import WebhookAuth

NOW = 1_000_000.5
REQUEST = TicketRequest("acme", "tïcket", "192.0.2.1", origin="https://game.example", user_agent="browser")


class Backend(HttpClient):
    """Remembers what was asked; answers ``answer``."""

    def __init__(self, answer: HttpAnswer | HttpFailure) -> None:
        super().__init__(timeout_s=1.0, max_bytes=1)
        self.answer = answer
        self.asked: list[tuple[str, bytes, Mapping[str, str]]] = []

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        timeout_s: float | None = None,  # noqa: ARG002
    ) -> HttpAnswer | HttpFailure:
        self.asked.append((url, body, headers))
        return self.answer


def webhook(backend: Backend) -> WebhookAuthenticator:
    settings = WebhookAuth(kind="webhook", url="http://backend/tickets", secret=SecretStr("whsec_c2VjcmV0"))
    return WebhookAuthenticator("acme", settings, lambda: NOW, backend)


def yes(**fields: Any) -> HttpAnswer:
    return HttpAnswer(200, json.dumps({"user": "ann"} | fields).encode())


async def judge(answer: HttpAnswer | HttpFailure) -> Principal | None:
    verdict = await webhook(Backend(answer)).authenticate(REQUEST)
    return verdict if isinstance(verdict, Principal) else None


async def test_the_question_says_all_that_is_known_and_is_signed() -> None:
    backend = Backend(yes())
    assert await webhook(backend).authenticate(REQUEST) == Principal("ann")
    ((url, body, headers),) = backend.asked
    assert url == "http://backend/tickets"
    assert json.loads(body) == {
        "tenant": "acme",
        "ticket": "tïcket",
        "remote_address": "192.0.2.1",
        "origin": "https://game.example",
        "user_agent": "browser",
    }
    expected = signature_headers(b"secret", headers["webhook-id"], 1_000_000, body)
    assert headers == {"Content-Type": "application/json"} | expected


async def test_the_backends_info_is_what_presence_shows() -> None:
    principal = await judge(yes(info={"name": "Ann", "level": [1, None]}))
    assert principal is not None
    assert principal.info is not None
    assert json.loads(bytes(principal.info)) == {"name": "Ann", "level": [1, None]}
    assert await judge(yes(info=None)) == await judge(yes()) == Principal("ann")


async def test_a_ticket_that_is_no_text_is_refused_without_a_question() -> None:
    backend = Backend(yes())
    assert await webhook(backend).authenticate(TicketRequest("acme", "\ud800", "::1")) is TicketRefusal.REFUSED
    assert not backend.asked


async def test_every_question_has_an_id_of_its_own() -> None:
    backend = Backend(yes())
    gate = webhook(backend)
    for _ in range(3):
        await gate.authenticate(REQUEST)
    assert len({headers["webhook-id"] for _, _, headers in backend.asked}) == 3


async def test_a_yes_may_restrict_the_ticket() -> None:
    answer = yes(expires_at=NOW + 60, rooms=["match:*"], read_only=True, metadata={"team": "red"})
    assert await judge(answer) == Principal(
        "ann", expires_at=NOW + 60, rooms=("match:*",), read_only=True, metadata={"team": "red"}
    )


@pytest.mark.parametrize("expires_at", [1_000_060, "1970-01-12T13:47:40Z", "1970-01-12T14:47:40+01:00"])
async def test_the_end_is_unix_seconds_or_rfc_3339(expires_at: object) -> None:
    principal = await judge(yes(expires_at=expires_at))
    assert principal is not None
    assert principal.expires_at == 1_000_060


async def test_what_is_null_was_not_said() -> None:
    assert await judge(yes(expires_at=None, rooms=None, read_only=None, metadata=None)) == Principal("ann")


@pytest.mark.parametrize(
    "answer",
    [
        HttpFailure("no answer in time"),
        HttpAnswer(204, b""),
        HttpAnswer(201, b'{"user":"ann"}'),
        HttpAnswer(302, b'{"user":"ann"}'),
        HttpAnswer(404, b'{"user":"ann"}'),
        HttpAnswer(500, b'{"user":"ann"}'),
        HttpAnswer(200, b""),
        HttpAnswer(200, b"ok"),
        HttpAnswer(200, b"[]"),
        HttpAnswer(200, b"\xff"),
        HttpAnswer(200, b'{"user":"ann","metadata":' + b'{"a":' * 20_000),
        HttpAnswer(200, b"{}"),
        yes(user=5),
        yes(user=""),
        yes(user="a\nb"),
        yes(user="x" * 256),
        yes(read_onyl=True),
        yes(read_only="yes"),
        yes(rooms="match:*"),
        yes(rooms=[1]),
        yes(metadata=[]),
        yes(expires_at="soon"),
        yes(expires_at="2099-01-01T00:00:00"),
        yes(expires_at=[]),
        yes(expires_at=1_700_000_000_000),
        HttpAnswer(200, b'{"user":"ann","expires_at":1e999}'),
    ],
)
async def test_anything_but_a_clear_yes_refuses_and_the_operator_is_told_once(
    answer: HttpAnswer | HttpFailure, caplog: pytest.LogCaptureFixture
) -> None:
    backend = Backend(answer)
    gate = webhook(backend)
    with caplog.at_level(logging.INFO, "wsprism.tickets"):
        assert await gate.authenticate(REQUEST) is TicketRefusal.CANNOT_TELL
        assert await gate.authenticate(REQUEST) is TicketRefusal.CANNOT_TELL
        backend.answer = yes()
        assert await gate.authenticate(REQUEST) == Principal("ann")
    told = [record.message for record in caplog.records]
    assert told == ["the ticket webhook fails", "the ticket webhook works again"]
    assert "tïcket" not in repr([vars(record) for record in caplog.records])


@pytest.mark.parametrize("answer", [HttpAnswer(401, b""), HttpAnswer(403, b"no"), yes(expires_at=0)])
async def test_a_no_is_no_failure(answer: HttpAnswer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "wsprism.tickets"):
        assert await judge(answer) is None
    assert not caplog.records
