"""Every kind of fault: its path, its line, what was found, what is allowed."""

from __future__ import annotations

import pytest

from tests.unit.settings.support import MINIMAL, Configuration
from wsprism.settings import Fault, SettingsError

LISTEN = "must be host:port, [ipv6]:port or unix:/path"
KEY = "needs exactly one of secret, public_key, public_key_file and jwks_url"

ROOT_FAULTS = [
    ("gateway: {idle_timeout: 1}", "gateway.idle_timeout", "unknown key; did you mean idle_timeout_ms?"),
    ("gatway: {}", "gatway", "unknown key; did you mean gateway?"),
    ("zzz: 1", "zzz", "unknown key; known here: version, gateway, logging, tenants"),
    ("gateway: []", "gateway", "must be a mapping, found a list"),
    ("gateway:", "gateway", "must be a mapping, found nothing"),
    ("gateway: {compression: 1}", "gateway.compression", "must be true or false, found 1"),
    ("gateway: {ping_interval_ms: true}", "gateway.ping_interval_ms", "must be a whole number, found true"),
    ("gateway: {ping_interval_ms: 6000.5}", "gateway.ping_interval_ms", "must be a whole number, found 6000.5"),
    (
        "gateway: {ping_interval_ms: '6000'}",
        "gateway.ping_interval_ms",
        "must be a whole number, found '6000'; write it without quotes and leading zeros",
    ),
    (
        "gateway: {ping_interval_ms: 010000}",
        "gateway.ping_interval_ms",
        "must be a whole number, found '010000'; write it without quotes and leading zeros",
    ),
    (
        "gateway: {ping_interval_ms: 4999}",
        "gateway.ping_interval_ms",
        "must be from 5000 to 120000, found 4999",
    ),
    (
        "gateway: {idle_timeout_ms: 20000}",
        "gateway.idle_timeout_ms",
        "must be greater than ping_interval_ms, found 20000",
    ),
    (
        "gateway: {ping_interval_ms: 60000}",
        "gateway.idle_timeout_ms",
        "must be greater than ping_interval_ms, found 60000",
    ),
    ("gateway: {listen: 8080}", "gateway.listen", f"{LISTEN}, found 8080"),
    ("gateway: {listen: 'a:b:1'}", "gateway.listen", f"{LISTEN}, found 'a:b:1'"),
    ("gateway: {flush: {share: 0}}", "gateway.flush.share", "must be above 0 and at most 1, found 0"),
    ("gateway: {flush: {share: .nan}}", "gateway.flush.share", "must be a finite number, found nan"),
    ("gateway: {flush: {share: half}}", "gateway.flush.share", "must be a number, found 'half'"),
    (
        "gateway: {diagnostics: {echo_path: /metrics}}",
        "gateway.diagnostics.echo_path",
        "must be a path that nothing else is served at, found '/metrics'",
    ),
    (
        "gateway: {diagnostics: {echo_path: '/e?x'}}",
        "gateway.diagnostics.echo_path",
        "must be a path of letters, digits and . _ ~ / -, found '/e?x'",
    ),
    ("gateway: {tls: {cert_file: a}}", "gateway.tls", "cert_file and key_file belong together, found only cert_file"),
    ("gateway: {tls: {min_version: 1.1}}", "gateway.tls.min_version", "must be '1.2' or '1.3', found '1.1'"),
    (
        "gateway: {trusted_proxies: [10.0.0.0/8, 10.0.0.1/8]}",
        "gateway.trusted_proxies[1]",
        "must be a network such as 10.0.0.0/8, found '10.0.0.1/8'",
    ),
    ("gateway: {trusted_proxies: 10.0.0.0/8}", "gateway.trusted_proxies", "must be a list, found '10.0.0.0/8'"),
    (
        "gateway: {internal: {api_keys: [{name: a, key: k, tenants: 5}]}}",
        "gateway.internal.api_keys[0].tenants",
        "must be all, or a list of tenant ids, found 5",
    ),
    (
        "gateway: {internal: {api_keys: [{name: a, key: k}, {name: a, key: l}]}}",
        "gateway.internal.api_keys",
        "two entries have the name 'a': give each its own",
    ),
    (
        "gateway: {internal: {api_keys: [{name: a, key: k}, {name: b, key: k}]}}",
        "gateway.internal.api_keys",
        "'a' and 'b' have the same key: give each its own",
    ),
    ("gateway: {internal: {api_keys: 5}}", "gateway.internal.api_keys", "must be a list, found 5"),
    (
        "gateway: {internal: {api_keys: [{name: a}]}}",
        "gateway.internal.api_keys[0].key",
        "is missing: the bearer token",
    ),
    (
        "gateway: {tracing: {endpoint: 'collector:4318'}}",
        "gateway.tracing.endpoint",
        "must be a URL such as http://host:4318 for protocol http, found 'collector:4318'",
    ),
    (
        "gateway: {tracing: {protocol: grpc, endpoint: collector}}",
        "gateway.tracing.endpoint",
        "must be http://host:port, https://host:port or (gRPC) host:port, found 'collector'",
    ),
    (
        "gateway: {metrics: {otlp_endpoint: 'https://me:password@collector'}}",
        "gateway.metrics.otlp_endpoint",
        "must be without a user and password, found something else",
    ),
    (
        "gateway: {metrics: {otlp_endpoint: 'http://[::1'}}",
        "gateway.metrics.otlp_endpoint",
        "must be http://host:port, https://host:port or (gRPC) host:port, found 'http://[::1'",
    ),
    (
        "logging: {levels: {conection: debug}}",
        "logging.levels.conection",
        "must be 'actors', 'api', 'backend', 'connection', 'gateway', 'handshake', 'http', 'redis', 'reload', "
        "'service', 'services', 'telemetry', 'tenant', 'tickets', 'tls' or 'workers', found 'conection'",
    ),
    ("logging: {level: loud}", "logging.level", "must be 'debug', 'info', 'warning' or 'error', found 'loud'"),
    ("logging: {levels: {api: 1}}", "logging.levels.api", "must be 'debug', 'info', 'warning' or 'error', found 1"),
]


@pytest.mark.parametrize(("text", "path", "problem"), ROOT_FAULTS)
def test_a_fault_of_the_gateway(config: Configuration, text: str, path: str, problem: str) -> None:
    assert config.faults(MINIMAL + text) == [(4, path, problem)]


TENANT_FAULTS = [
    ("limits: {max_frame_bytes: 0}", "limits.max_frame_bytes", "must be above 0, found 0"),
    ("limits: {max_room_total: 1}", "limits.max_room_total", "unknown key; did you mean max_rooms_total?"),
    ("limits: {max_rooms_total: -1}", "limits.max_rooms_total", "must be 0 or more, found -1"),
    ("policy: {ext_allowlist: [room]}", "policy.ext_allowlist[0]", "must be svc:type or svc:*, found 'room'"),
    ("policy: {ext_allowlist: room:join}", "policy.ext_allowlist", "must be a list, found 'room:join'"),
    (
        "policy: {ext_allowlist: [1]}",
        "policy.ext_allowlist[0]",
        "must be a string, found 1; quote it to make it a string",
    ),
    (
        "policy: {hot_allowlist: ['1:*', '256:1']}",
        "policy.hot_allowlist[1]",
        "must be id:opcode or id:*, with numbers from 0 to 255, found '256:1'",
    ),
    (
        "policy: {sessions: {mode: single, max_sessions_per_user: 2}}",
        "policy.sessions.max_sessions_per_user",
        "must be 1 when mode is single, found 2",
    ),
    (
        "policy: {rate_limit_scope: all}",
        "policy.rate_limit_scope",
        "must be 'tenant', 'connection' or 'both', found 'all'",
    ),
    ("policy: {rate_limit_rps: .inf}", "policy.rate_limit_rps", "must be a finite number, found inf"),
    (
        "qos: {conflate: 'key:256'}",
        "qos.conflate",
        "must be none, sender, sender_opcode or key:<1-255>, found 'key:256'",
    ),
    ("auth: dev", "auth", "must be a mapping, found 'dev'"),
    ("auth: {}", "auth", "the kind must be one of dev, tokens, jwt, one_time, webhook, found none"),
    ("auth: {kind: magic}", "auth.kind", "the kind must be one of dev, tokens, jwt, one_time, webhook, found 'magic'"),
    ("auth: [{kind: dev}, {kind: dev, x: 1}]", "auth[1].x", "unknown key; known here: kind"),
    ("auth: {kind: tokens}", "auth.tokens", "is missing: ticket to user id, the id exactly as written"),
    ("auth: {kind: tokens, tokens: {}}", "auth.tokens", "must not be empty, found a mapping"),
    ("auth: {kind: tokens, tokens: {a: b}, token: x}", "auth.token", "unknown key; did you mean tokens?"),
    (
        "auth: {kind: tokens, tokens: {hush: 5}}",
        "auth.tokens.********",
        "must be a string, found 5; quote it to make it a string",
    ),
    ("auth: {kind: jwt, algorithms: [RS256]}", "auth", f"{KEY}, found none"),
    (
        "auth: {kind: jwt, algorithms: [HS256], secret: a, jwks_url: 'https://a'}",
        "auth",
        f"{KEY}, found secret and jwks_url",
    ),
    ("auth: {kind: jwt, algorithms: 5, secret: a}", "auth.algorithms", "must be a list, found 5"),
    ("auth: {kind: jwt, algorithms: [], secret: a}", "auth.algorithms", "must not be empty, found a list"),
    ("auth: {kind: jwt, algorithms: [HS256], secret: 5}", "auth.secret", None),
    (
        "auth: {kind: jwt, algorithms: [RS256, HS256], jwks_url: 'https://a'}",
        "auth",
        "HS algorithms need secret, and all others a public key or jwks_url, found RS256, HS256 with jwks_url",
    ),
    (
        "auth: {kind: jwt, algorithms: [RS256], secret: a}",
        "auth",
        "HS algorithms need secret, and all others a public key or jwks_url, found RS256 with secret",
    ),
    ("auth: {kind: webhook, url: 'http://a'}", "auth.secret", None),
    ("services: {ext: 5}", "services.ext", "must be a mapping, found 5"),
    (
        "services: {ext: {chat: nope}}",
        "services.ext.chat",
        "the kind must be one of chat, relay, reply, state, webhook, python, wasm, found 'nope'",
    ),
    (
        "services: {ext: {game: {kind: python}}}",
        "services.ext.game",
        "needs one of file, factory and entry_point, found none",
    ),
    (
        "services: {ext: {game: {kind: python, file: a.py, entry_point: b}}}",
        "services.ext.game",
        "needs one of file, factory and entry_point, found file and entry_point",
    ),
    (
        "services: {hot: {3: {kind: python, factory: nonsense}}}",
        "services.hot.3.factory",
        "must be package.module:function, found 'nonsense'",
    ),
    ("services: {ext: {sys: chat}}", "services.ext", "sys is built in: choose another name"),
    (
        "services: {ext: {'a b': chat}}",
        "services.ext",
        "'a b' cannot be a name: take 1 to 64 letters, digits and . _ -",
    ),
    ("services: {hot: [echo]}", "services.hot", "must be a mapping, found a list"),
    ("services: {hot: {256: echo}}", "services.hot.256", "must be at most 255, found 256"),
    ("services: {hot: {x: echo}}", "services.hot.x", "must be a whole number, found 'x'"),
    (
        "services: {hot: {1: nope}}",
        "services.hot.1",
        "the kind must be one of echo, relay, backend, python, wasm, found 'nope'",
    ),
    (
        "services: {hot: {1: {kind: nope}}}",
        "services.hot.1.kind",
        "the kind must be one of echo, relay, backend, python, wasm, found 'nope'",
    ),
    ("services: {hot: {1: 5}}", "services.hot.1", "must be a mapping, found 5"),
    (
        "services: {hot: {1: {kind: echo, includ_sender: true}}}",
        "services.hot.1.includ_sender",
        "unknown key; did you mean include_sender?",
    ),
    ("allowed_origins: [example.com]", "allowed_origins[0]", None),
    ("allowed_origins: ['https://a.com/']", "allowed_origins[0]", None),
]


@pytest.mark.parametrize(("text", "path", "problem"), TENANT_FAULTS)
def test_a_fault_of_a_tenant(config: Configuration, text: str, path: str, problem: str | None) -> None:
    [(line, found_path, found)] = config.tenant_faults(text)
    assert (line, found_path) == (4, f"tenants[0].{path}")
    assert problem is None or found == problem


@pytest.mark.parametrize(
    ("id_", "problem"),
    [
        ("''", "must not be empty"),
        ("' '", "blank"),
        ('"a\\tb"', "printable"),
        ("7", "quote it"),
        ("a" * 65, "at most 64"),
    ],
)
def test_a_tenants_id_is_printable_text(config: Configuration, id_: str, problem: str) -> None:
    [(line, path, found)] = config.faults(f"version: 1\ntenants:\n  - id: {id_}\n")
    assert (line, path) == (3, "tenants[0].id")
    assert problem in found


@pytest.mark.parametrize(
    ("version", "found"), [("2", "2"), ("true", "true"), ("1.0", "1.0"), ("'1'", "'1'"), ("", "nothing")]
)
def test_the_version_is_the_number_1(config: Configuration, version: str, found: str) -> None:
    assert config.faults(f"tenants: [{{id: a}}]\nversion: {version}") == [(2, "version", f"must be 1, found {found}")]


@pytest.mark.parametrize("tenants", ["[]", "{}", "5", ""])
def test_there_must_be_a_list_of_tenants(config: Configuration, tenants: str) -> None:
    [(line, path, _)] = config.faults(f"version: 1\ntenants: {tenants}")
    assert (line, path) == (2, "tenants")


def test_what_is_missing_is_named_at_the_line_of_what_lacks_it(config: Configuration) -> None:
    assert config.faults("gateway: {}\n") == [
        (1, "version", "is missing: 1, the form of this file"),
        (1, "tenants", "is missing: the tenants"),
    ]
    assert config.faults("version: 1\ntenants:\n- id: a\n- limits: {}\n") == [
        (4, "tenants[1].id", "is missing: unique; clients name it in `?tenant=`")
    ]


def test_a_second_tenant_of_the_same_id_is_named(config: Configuration) -> None:
    faults = config.faults("version: 1\ntenants:\n- id: a\n- id: b\n- id: a\n- id: a\n")
    assert faults == [
        (5, "tenants[2].id", "two tenants have this id, found 'a'"),
        (6, "tenants[3].id", "two tenants have this id, found 'a'"),
    ]


@pytest.mark.parametrize("service_id", [0x80, 0x8F, 0xDE, 0xDF])
def test_an_id_that_looks_like_msgpack_needs_msgpack_off(config: Configuration, service_id: int) -> None:
    services = f"services: {{hot: {{{service_id}: echo}}}}"
    [(line, path, problem)] = config.tenant_faults(services)
    assert (line, path) == (4, "tenants[0].services")
    assert f"hot service id {service_id} begins like a MessagePack map" in problem
    assert service_id in config.tenant("policy: {allow_msgpack: false}\n" + services).tenants[0].services.hot


def test_all_faults_are_listed_at_once_in_the_order_of_the_file(config: Configuration) -> None:
    faults = config.faults(
        """version: 2
gateway:
  listen: here
  tls: {cert_file: a, min_version: 2}
tenants:
- id: a
  id: b
  limits:
    max_frame_bytes: ${MISSING}
  policy:
    ext_allowlist:
    - room:join
    - bad
    - worse
    hot_requires_active_room: sometimes
  auth:
  - kind: jwt
    algorithms: [none]
- id: b
  qos: !!python/none {}
"""
    )
    assert [(line, path) for line, path, _ in faults] == [
        (1, "version"),
        (3, "gateway.listen"),
        (4, "gateway.tls"),
        (4, "gateway.tls.min_version"),
        (7, "tenants[0].id"),
        (9, "tenants[0].limits.max_frame_bytes"),
        (13, "tenants[0].policy.ext_allowlist[1]"),
        (14, "tenants[0].policy.ext_allowlist[2]"),
        (15, "tenants[0].policy.hot_requires_active_room"),
        (17, "tenants[0].auth[0]"),
        (18, "tenants[0].auth[0].algorithms[0]"),
        (19, "tenants[1].id"),
        (20, "tenants[1].qos"),
    ]


def test_what_was_found_is_cut_short(config: Configuration) -> None:
    [(_, _, problem)] = config.faults(MINIMAL + f"logging: {{level: {'x' * 1000}}}")
    assert len(problem) < 200
    assert problem.endswith("…")


def test_a_misspelt_secret_is_not_shown(config: Configuration) -> None:
    faults = config.tenant_faults("auth: {kind: webhook, url: 'http://a', secrt: hush}")
    assert "hush" not in str(faults)
    assert (4, "tenants[0].auth.secrt", "unknown key; did you mean secret?") in faults


def test_a_fault_reads_as_file_line_path_and_problem() -> None:
    assert str(Fault("f", 3, "a.b", "is bad")) == "f:3: a.b: is bad"
    assert str(Fault("f", 3, "", "is bad")) == "f:3: is bad"
    assert str(SettingsError([Fault("f", 0, "", "is bad"), Fault("f", 1, "a", "too")])) == "f: is bad\nf:1: a: too"
