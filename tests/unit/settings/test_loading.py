"""What a configuration means once it is loaded: defaults, short forms, secrets, addresses, and how it is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.settings.support import MINIMAL, Configuration
from wsprism.config_file import parse_listen
from wsprism.settings import (
    DevAuth,
    JwtAuth,
    ListenAddress,
    OneTimeAuth,
    TokensAuth,
    WebhookAuth,
    configuration_hash,
    masked,
)
from wsprism.settings.tenants import EchoSettings, RelaySettings

JWT = "auth: {kind: jwt, algorithms: [HS256], secret: %s}"


def test_the_defaults_stand(config: Configuration) -> None:
    settings = config.load(MINIMAL)
    gateway, tenant = settings.gateway, settings.tenants[0]
    assert str(gateway.listen) == "0.0.0.0:8080"
    assert (gateway.ping_interval_ms, gateway.idle_timeout_ms, gateway.drain_grace_ms) == (20000, 60000, 2000)
    assert (gateway.writer_send_timeout_ms, gateway.compression, gateway.diagnostics.echo_path) == (1500, False, None)
    limit = gateway.handshake_limit
    assert (limit.enabled, limit.global_rps, limit.global_burst) == (False, 100, 200)
    assert (limit.per_ip_rps, limit.per_ip_burst, limit.max_ip_entries) == (10, 50, 50000)
    assert (gateway.flush.share, gateway.flush.max_delay_ms) == (0.67, 10)
    assert tenant.limits.max_frame_bytes == 4096
    policy = tenant.policy
    assert (policy.rate_limit_rps, policy.rate_limit_burst, policy.rate_limit_scope) == (200, 400, "connection")
    assert (policy.ext_allowlist, policy.hot_allowlist) == (("room:join", "room:leave"), ())
    assert (policy.rate_limit_close_after_ms, policy.max_protocol_errors) == (0, 16)
    assert policy.sessions.model_dump() == {"mode": "multi", "max_sessions_per_user": 4, "on_exceed": "deny"}
    assert tenant.auth == ()
    assert (tenant.services.ext["chat"].kind, tenant.services.hot[1].kind) == ("chat", "echo")


def test_a_single_session_is_one_session(config: Configuration) -> None:
    settings = config.tenant("policy: {sessions: {mode: single}}")
    assert settings.tenants[0].policy.sessions.max_sessions_per_user == 1


def test_every_kind_of_auth_loads_alone_or_in_a_list(config: Configuration) -> None:
    auths = """auth:
- {kind: dev}
- {kind: tokens, tokens: {abc: alice}}
- {kind: jwt, algorithms: [RS256, ES256], jwks_url: 'https://issuer/keys', issuer: i, audience: a}
- {kind: one_time}
- {kind: webhook, url: 'http://backend/', secret: whsec_c2VjcmV0}"""
    kinds = [type(auth) for auth in config.tenant(auths).tenants[0].auth]
    assert kinds == [DevAuth, TokensAuth, JwtAuth, OneTimeAuth, WebhookAuth]
    assert [type(auth) for auth in config.tenant("auth: {kind: dev}").tenants[0].auth] == [DevAuth]
    assert config.tenant("auth:").tenants[0].auth == ()


def test_services_have_a_short_form(config: Configuration) -> None:
    settings = config.tenant("services: {ext: {talk: chat}, hot: {1: echo, '2': {kind: relay, include_sender: true}}}")
    services = settings.tenants[0].services
    assert services.ext["talk"].kind == "chat"
    assert services.hot == {
        1: EchoSettings(kind="echo", include_sender=False),
        2: RelaySettings(kind="relay", include_sender=True),
    }


@pytest.mark.parametrize("conflate", ["none", "sender", "sender_opcode", "key:1", "key:255"])
def test_conflation_takes_what_qos_knows(config: Configuration, conflate: str) -> None:
    assert config.tenant(f"qos: {{conflate: '{conflate}'}}").tenants[0].qos.conflate == conflate


def test_origins_tls_and_keys_load(config: Configuration) -> None:
    settings = config.load(
        MINIMAL
        + """    allowed_origins: ['https://*.example.com', 'http://localhost:3000', 'null']
gateway:
  tls: {cert_file: a, key_file: b, min_version: 1.3}
  trusted_proxies: [10.0.0.0/8, 'fd00::/8']
  internal: {listen: 'unix:/run/w', api_keys: [{name: a, key: k}, {name: b, key: l, tenants: [acme]}]}
"""
    )
    assert settings.tenants[0].allowed_origins == ("https://*.example.com", "http://localhost:3000", "null")
    assert settings.gateway.tls.min_version == "1.3"
    assert [key.tenants for key in settings.gateway.internal.api_keys] == ["all", ("acme",)]


def test_a_secret_is_read_from_its_file(config: Configuration, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush \r\n")
    [auth] = config.tenant(JWT % f"{{file: {tmp_path / 'secret'}}}").tenants[0].auth
    assert isinstance(auth, JwtAuth)
    assert auth.secret is not None
    assert auth.secret.get_secret_value() == "hush "
    assert JwtAuth(kind="jwt", algorithms=("HS256",), secret=auth.secret).secret == auth.secret


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        ("''", "must not be empty: give it a value, or leave the key out"),
        ("'  '", "must be a string that is not empty, or {file: path}, found something else"),
        ("{file: ''}", "must be a string or {file: path}, found something else"),
        ("5", "must be a string that is not empty, or {file: path}, found something else"),
        ("{file: 5}", "must be a string or {file: path}, found something else"),
        ("{file: a, x: b}", "must be a string or {file: path}, found something else"),
        ("{path: a}", "must be a string or {file: path}, found something else"),
    ],
)
def test_a_secret_is_text_or_a_file(config: Configuration, secret: str, problem: str) -> None:
    assert config.tenant_faults(JWT % secret) == [(4, "tenants[0].auth.secret", problem)]


def test_a_secrets_file_that_cannot_be_read_is_a_fault(config: Configuration, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "empty").write_bytes(b" \n")
    for name, expected in (("none", "No such file"), ("binary", "it is not UTF-8"), ("empty", "must not be empty")):
        [(line, path, problem)] = config.tenant_faults(JWT % f"{{file: {tmp_path / name}}}")
        assert (line, path) == (4, "tenants[0].auth.secret")
        assert expected in problem


def test_secrets_are_masked_and_users_are_not(config: Configuration) -> None:
    text = """auth:
- {kind: jwt, algorithms: [HS256], secret: hush}
- {kind: tokens, tokens: {hush1: alice, hush2: bob}}"""
    shown = masked(config.tenant(text))
    assert "hush" not in str(shown)
    assert shown["gateway"]["listen"] == "0.0.0.0:8080"
    assert shown["tenants"][0]["auth"][0]["secret"] == "********"
    assert shown["tenants"][0]["auth"][1]["tokens"] == {"******** 1": "alice", "******** 2": "bob"}


def test_equal_meanings_have_equal_hashes_and_secrets_count(config: Configuration) -> None:
    base = configuration_hash(config.load(MINIMAL))
    assert base == configuration_hash(config.load("# a comment\n" + MINIMAL + "gateway: {ping_interval_ms: 20000}"))
    assert base != configuration_hash(config.load(MINIMAL + "gateway: {ping_interval_ms: 20001}"))
    secrets = [configuration_hash(config.tenant(JWT % secret)) for secret in ("one", "two")]
    tickets = [
        configuration_hash(config.tenant(f"auth: {{kind: tokens, tokens: {{{one}: u}}}}")) for one in ("one", "two")
    ]
    assert len({*secrets, *tickets}) == 4


@pytest.mark.parametrize(
    ("text", "address", "loopback"),
    [
        ("0.0.0.0:8080", ListenAddress("0.0.0.0", 8080), False),
        ("127.0.0.1:0", ListenAddress("127.0.0.1", 0), True),
        ("localhost:65535", ListenAddress("localhost", 65535), True),
        ("example.com:80", ListenAddress("example.com", 80), False),
        ("[::]:8080", ListenAddress("::", 8080), False),
        ("[::1]:8080", ListenAddress("::1", 8080), True),
        ("unix:/run/wsprism.sock", ListenAddress(path="/run/wsprism.sock"), True),
    ],
)
def test_an_address_is_read_and_written_alike(text: str, address: ListenAddress, loopback: bool) -> None:
    assert parse_listen(text) == address
    assert str(address) == text
    assert address.is_loopback is loopback


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8080",
        "a:",
        "a:65536",
        "a:-1",
        "a:x",
        "a:" + "9" * 5000,
        "unix:",
        "[::]",
        "[x]:1",
        "::1:80",
        "a b:1",
        "http://a:1",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever its words, the caller gives its own
        parse_listen(text)


def test_without_a_host_only_this_machine_is_listened_to(config: Configuration) -> None:
    assert parse_listen(":80") == ListenAddress("127.0.0.1", 80)
    settings = config.load(MINIMAL)
    assert (
        type(settings)
        .model_validate({"version": 1, "gateway": {"listen": settings.gateway.listen}, "tenants": [{"id": "a"}]})
        .gateway
        == settings.gateway
    )
