"""Rooms that remember and a tenant's backend: what loads, what its defaults are, what cannot be."""

from __future__ import annotations

import pytest

from tests.unit.settings.support import MINIMAL, Configuration
from tests.unit.settings.whole import WHSEC
from wsprism.settings import JwtAuth, WebhookServiceSettings, masked

EMPTY = "must not be empty: give it a value, or leave the key out"
CONFLATE = "needs qos.conflate: sender, sender_opcode or key:<n>, found none"
BACKEND = f"backend: {{url: 'https://b/', secret: {WHSEC}%s}}"


def test_a_backend_with_a_url_and_its_defaults(config: Configuration) -> None:
    backend = config.tenant(BACKEND % "").tenants[0].backend
    assert backend is not None
    assert (backend.timeout_ms, backend.max_in_flight, backend.max_waiting) == (2000, 64, 1024)
    assert (backend.breaker.failures, backend.breaker.pause_ms) == (10, 5000)
    assert (backend.ask, backend.on_failure, backend.events, backend.event_rooms) == ((), "deny", (), None)
    assert (backend.event_batch.max_events, backend.event_batch.max_delay_ms) == (100, 200)
    assert (backend.event_queue_max, backend.event_max_age_s, backend.stream) == (10_000, 3600, False)


def test_while_a_secret_is_replaced_both_sign_and_neither_is_shown(config: Configuration) -> None:
    other = "whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXI="
    settings = config.tenant(f"backend: {{url: 'https://b/', secret: [{WHSEC}, {other}]}}")
    backend = settings.tenants[0].backend
    assert backend is not None
    assert len(backend.signing_keys()) == 2
    assert "whsec_" not in str(masked(settings))
    assert config.tenant("backend: {stream: true}").tenants[0].backend is not None


@pytest.mark.parametrize(
    ("text", "path", "problem"),
    [
        ("backend: {}", "backend", "needs url and secret, or stream: true, found neither"),
        ("backend: {url: 'https://b/'}", "backend", "url needs secret: every call is signed"),
        ("backend:", "backend", EMPTY),
        (BACKEND % ", timeout_ms: 49", "backend.timeout_ms", "must be from 50 to 30000, found 49"),
        (BACKEND % ", max_in_flight: 1025", "backend.max_in_flight", "must be from 1 to 1024, found 1025"),
        (BACKEND % ", max_waiting: -1", "backend.max_waiting", "must be from 0 to 65536, found -1"),
        (BACKEND % ", breaker: {failures: 0}", "backend.breaker.failures", "must be from 1 to 1000000, found 0"),
        (BACKEND % ", breaker: {pause_ms: 99}", "backend.breaker.pause_ms", "must be from 100 to 60000, found 99"),
        (BACKEND % ", ask: [message]", "backend.ask[0]", "must be 'connect' or 'join', found 'message'"),
        (
            BACKEND % ", event_batch: {max_events: 1001}",
            "backend.event_batch.max_events",
            "must be from 1 to 1000, found 1001",
        ),
        (BACKEND % ", event_max_age_s: 0", "backend.event_max_age_s", "must be from 1 to 86400, found 0"),
        ("rooms: [{history: {}}]", "rooms[0].match", "is missing: pattern of names, `*` and `?` as in tickets"),
        ("rooms: [{match: a, history: }]", "rooms[0].history", EMPTY),
        ("rooms: [{match: a, snapshot: {}}]", "rooms[0].snapshot", CONFLATE),
        (
            "services: {ext: {game: webhook}}",
            "services.ext.game",
            "needs a url, or the backend of its tenant (backend.url, backend.stream)",
        ),
        (
            "services: {ext: {game: {kind: webhook, url: 'https://o/'}}}",
            "services.ext.game.url",
            "needs backend.secret of its tenant: every call is signed",
        ),
        (
            "services: {ext: {game: {kind: webhook, per_connection: 17}}}",
            "services.ext.game.per_connection",
            "must be from 1 to 16, found 17",
        ),
    ],
)
def test_a_fault_of_what_comes(config: Configuration, text: str, path: str, problem: str) -> None:
    assert config.tenant_faults(text) == [(4, f"tenants[0].{path}", problem)]


def test_services_the_backend_answers(config: Configuration) -> None:
    text = BACKEND % "" + "\nservices: {ext: {game: webhook, orders: {kind: webhook, url: 'https://o/', batch: 32}}}"
    services = config.tenant(text).tenants[0].services.ext
    assert isinstance(services["game"], WebhookServiceSettings)
    assert isinstance(services["orders"], WebhookServiceSettings)
    assert (services["orders"].batch, services["game"].batch, services["game"].timeout_ms) == (32, 1, None)
    assert (services["game"].per_connection, services["game"].max_pending_per_connection) == (1, 16)


def test_rooms_that_remember(config: Configuration) -> None:
    tenant = config.tenant("rooms: [{match: 'a:*', history: {}}, {match: b, presence: {enabled: true}}]").tenants[0]
    first, second = tenant.rooms
    assert first.history is not None
    assert (first.history.max_messages, first.history.max_bytes, first.history.ttl_s) == (200, 262_144, 600)
    assert (first.snapshot, first.presence.enabled, second.history, second.presence.events) == (None, False, None, True)
    assert (tenant.limits.max_history_bytes, tenant.limits.max_history_rooms) == (67_108_864, 10_000)
    sender = config.tenant("qos: {conflate: sender}\nrooms: [{match: a, snapshot: {delete_opcodes: [7]}}]").tenants[0]
    assert sender.rooms[0].snapshot is not None
    assert (sender.rooms[0].snapshot.max_keys, sender.rooms[0].snapshot.delete_opcodes) == (512, (7,))


def test_what_else_comes(config: Configuration) -> None:
    settings = config.load(
        MINIMAL + "gateway: {state_file: s.db, internal: {api_keys: [{name: a, key: k, read_only: true}]}}"
    )
    assert settings.gateway.state_file == str(config.path.parent / "s.db")
    assert settings.gateway.explain_refusals == "browsers"
    assert settings.gateway.internal.api_keys[0].read_only
    assert not settings.tenants[0].policy.hot_room_numbers
    [auth] = config.tenant("auth: {kind: jwt, algorithms: [HS256], secret: s, info_claim: i}").tenants[0].auth
    assert isinstance(auth, JwtAuth)
    assert auth.info_claim == "i"
