"""The JSON Schema of wsprism.yaml (draft 2020-12), for editors: any scalar may also be an ``${ENV}`` reference."""

from __future__ import annotations

from typing import Any

from wsprism.settings.models import Settings

__all__ = ["json_schema"]

_REFERENCE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}
_SCALARS = {"integer", "number", "boolean"}


def json_schema() -> dict[str, Any]:
    """A new copy of the schema."""
    opened: dict[str, Any] = _open_for_references(Settings.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | opened | {"title": "wsprism.yaml"}


def _open_for_references(node: Any) -> Any:
    if isinstance(node, list):
        return [_open_for_references(one) for one in node]
    if not isinstance(node, dict):
        return node
    opened = {key: value if key == "default" else _open_for_references(value) for key, value in node.items()}
    is_choice = "const" in node or "enum" in node
    type_ = node.get("type")
    if type_ in _SCALARS or (is_choice and type_ is None) or (type_ == "string" and (is_choice or "pattern" in node)):
        outside = {key: opened.pop(key) for key in ("default", "description", "title") if key in opened}
        return {"anyOf": [opened, _REFERENCE], **outside}
    return opened
