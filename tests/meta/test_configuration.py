"""The shipped configuration loads, its reference and schema are the models', and an old file still loads."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path

import pytest
import yaml

from wsprism.settings import json_schema, load_settings
from wsprism.settings.reference import reference, schema_text

ROOT = Path(__file__).parents[2]

OLD = """
version: 1
gateway:
  listen: "0.0.0.0:8080"
  ping_interval_ms: 20000
  idle_timeout_ms: 60000
  writer_send_timeout_ms: 1500
  drain_grace_ms: 2000
  handshake_limit:
    enabled: true
    global_rps: 100
    global_burst: 200
    per_ip_rps: 10
    per_ip_burst: 50
    max_ip_entries: 50000
tenants:
  - id: "acme"
    limits:
      max_frame_bytes: 4096
      max_sessions_total: 1000
      max_rooms_total: 0
      max_users_per_room: 0
      max_rooms_per_user: 0
    policy:
      rate_limit_rps: 200
      rate_limit_burst: 400
      rate_limit_scope: both
      ext_allowlist: ["room:join", "room:leave", "chat:*"]
      hot_allowlist: ["1:1", "2:*"]
      sessions:
        mode: single
        max_sessions_per_user: 1
        on_exceed: kick_oldest
      hot_error_mode: silent
      hot_requires_active_room: false
"""


def test_the_reference_page_is_generated() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == reference()


def test_the_schema_is_generated() -> None:
    assert (ROOT / "docs" / "wsprism.schema.json").read_text(encoding="utf-8") == schema_text()


SHIPPED = [path for path in sorted((ROOT / "config").glob("*.yaml")) if "\ntenants:" in path.read_text()]
ENVIRONMENT = {"WSPRISM_API_KEY": "a-key", "WSPRISM_OPERATOR_KEY": "another", "WSPRISM_NODE": "one"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.name))
def test_every_shipped_configuration_loads(path: Path) -> None:
    assert load_settings(path, ENVIRONMENT).tenants
    if importlib.util.find_spec("jsonschema") is not None:
        validate = importlib.import_module("jsonschema").validate
        # JSON's keys are strings, and so are ours.
        validate(json.loads(json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")))), json_schema())


def test_the_default_is_for_one_tenant_with_dev_tickets() -> None:
    [tenant] = load_settings(ROOT / "config" / "wsprism.yaml", {}).tenants
    assert (tenant.id, [auth.kind for auth in tenant.auth]) == ("acme", ["dev"])


def test_an_old_configuration_loads_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "wsprism.yaml"
    path.write_text(OLD)
    settings = load_settings(path, {})
    [tenant] = settings.tenants
    assert settings.gateway.handshake_limit.enabled
    assert tenant.policy.hot_allowlist == ("1:1", "2:*")
    assert (tenant.policy.sessions.mode, tenant.auth) == ("single", ())


def test_the_least_configuration_loads(tmp_path: Path) -> None:
    path = tmp_path / "wsprism.yaml"
    path.write_text("version: 1\ngateway: {}\ntenants:\n  - id: acme\n    limits: {}\n    policy: {}\n")
    assert load_settings(path, {}).tenants[0].id == "acme"


def test_the_collector_takes_what_a_gateway_sends_and_uses_what_it_defines() -> None:
    collector = yaml.safe_load((ROOT / "config" / "otel-collector.yaml").read_text(encoding="utf-8"))
    protocols = collector["receivers"]["otlp"]["protocols"]
    assert {name: one["endpoint"].rpartition(":")[2] for name, one in protocols.items()} == {
        "grpc": "4317",
        "http": "4318",
    }
    pipelines = collector["service"]["pipelines"]
    assert set(pipelines) == {"traces", "metrics"}
    for pipeline in pipelines.values():
        assert pipeline["receivers"] == ["otlp"]
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(collector[kind])
