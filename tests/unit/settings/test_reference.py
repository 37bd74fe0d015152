"""The reference page and the JSON Schema say what the models say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wsprism.settings import json_schema
from wsprism.settings.reference import reference, schema_text, write


def test_both_files_are_written(tmp_path: Path) -> None:
    write(tmp_path)
    assert (tmp_path / "configuration.md").read_text(encoding="utf-8") == reference()
    assert json.loads((tmp_path / "wsprism.schema.json").read_text(encoding="utf-8")) == json.loads(schema_text())


def test_the_page_has_keys_with_defaults_and_ranges() -> None:
    page = reference()
    for row in (
        "| version | required | `1` |",
        "| gateway.listen | `0.0.0.0:8080` |",
        "| gateway.ping_interval_ms | `20000` | ≥ 5000, ≤ 120000 |",
        "| gateway.flush.share | `0.67` | > 0, ≤ 1 |",
        "| tenants[].id | required |",
        "| tenants[].policy.sessions.on_exceed | `deny` | `deny`, `kick_oldest` |",
        "| tenants[].auth | none | see below |",
        "### webhook",
    ):
        assert row in page


def test_the_schema_is_closed_and_open_for_references() -> None:
    schema = json_schema()
    assert schema["title"] == "wsprism.yaml"
    assert schema["required"] == ["version", "tenants"]
    definitions: dict[str, Any] = schema["$defs"]
    assert all(one["additionalProperties"] is False for one in definitions.values() if one.get("type") == "object")
    ping = definitions["GatewaySettings"]["properties"]["ping_interval_ms"]
    assert [one["type"] for one in ping["anyOf"]] == ["integer", "string"]
    assert definitions["GatewaySettings"]["properties"]["listen"]["default"] == "0.0.0.0:8080"
