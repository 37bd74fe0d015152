"""Writes docs/configuration.md and docs/wsprism.schema.json: ``python -m wsprism.settings.reference``."""

from __future__ import annotations

import json
import types
import typing
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from wsprism.config_file import ListenAddress
from wsprism.settings.auth import AuthSettings
from wsprism.settings.models import Settings
from wsprism.settings.schema import json_schema
from wsprism.settings.shape import models_in
from wsprism.settings.tenants import ExtServiceSettings, HotServiceSettings

__all__ = ["reference", "schema_text", "write"]

_INTRODUCTION = """# Configuration

One strict YAML file. This page is generated from the models (`python -m wsprism.settings.reference`); the JSON Schema
beside it, [wsprism.schema.json](wsprism.schema.json), lets an editor complete and check the file.

- An unknown key, a wrong type, a value out of range or a bad allowlist entry stops the start with one line per fault:
  file, line, path, what was found, what is allowed. All faults are listed at once; the exit code is 2.
- `wsprism check --config F` validates without starting.
- Any scalar may be `${ENV}` or `${ENV:-default}`. A scalar that is nothing but one reference is read as YAML would
  read its value, so that it may become a number. `${ENV}` with the variable unset or empty stops the start; only
  `${ENV:-default}` has a default for it.
- A key that is left out has its default. One that is given and empty (or null) stops the start: a restriction must not
  end because a variable is empty. `auth` may be empty, which refuses every ticket, and so may the keys whose empty
  value only switches an extra off: `diagnostics.echo_path`, `tracing.endpoint`, `metrics.otlp_endpoint`.
- A secret may be `{file: path}`; a file with nothing in it is a fault.
- `0` means unlimited for every `max_*` count.
"""

_SERVICES = """## services

`ext` maps a service's name to its kind, `hot` an id (0-255) to one of the kinds below: `1: relay`, or as a mapping
`1: {kind: relay, include_sender: true}`. What is not listed here nobody can send to, and what is listed wants an entry
of `policy.ext_allowlist` or `policy.hot_allowlist` as well. `room` and `sys` are always there."""


def reference() -> str:
    """The whole page."""
    lines = [_INTRODUCTION, "| key | default | values | meaning |", "|---|---|---|---|"]
    lines += _rows(Settings, "")
    lines += ["", "## auth", "", "One of these mappings, or a list of them that are tried in order."]
    for model in get_args(AuthSettings):
        lines += ["", f"### {_kind(model)}", "", (model.__doc__ or "").strip(), ""]
        lines += ["| key | default | values | meaning |", "|---|---|---|---|", *_rows(model, "")]
    lines += ["", _SERVICES]
    for model in get_args(get_args(HotServiceSettings)[0]):
        lines += ["", f"### {_kind(model)}", "", (model.__doc__ or "").strip(), ""]
        lines += ["| key | default | values | meaning |", "|---|---|---|---|", *_rows(model, "")]
    for model in get_args(get_args(ExtServiceSettings)[0]):
        if len(model.model_fields) > 1:
            lines += ["", f"## services.ext of kind {_kind(model)}", "", (model.__doc__ or "").strip(), ""]
            lines += ["| key | default | values | meaning |", "|---|---|---|---|", *_rows(model, "")]
    return "\n".join(lines) + "\n"


def schema_text() -> str:
    """The schema as it is shipped."""
    return json.dumps(json_schema(), indent=2) + "\n"


def write(directory: Path) -> None:
    """Write both files into ``directory``."""
    (directory / "configuration.md").write_text(reference(), encoding="utf-8")
    (directory / "wsprism.schema.json").write_text(schema_text(), encoding="utf-8")


def _rows(model: type[BaseModel], prefix: str) -> list[str]:
    rows = []
    for name, field in model.model_fields.items():
        path = prefix + name
        inner = models_in(field.annotation)
        if name == "auth":
            rows.append(f"| {path} | none | see below | {field.description} |")
        elif len(inner) == 1 and get_origin(field.annotation) is not dict:
            several = get_origin(field.annotation) is tuple
            if field.default is None:
                rows.append(f"| {path} | unset | mapping | {field.description} |")
            if several:
                rows.append(f"| {path} | {'required' if field.is_required() else '[]'} | list | {field.description} |")
            rows += _rows(inner[0], path + ("[]." if several else "."))
        else:
            rows.append(f"| {path} | {_default(field)} | {_values(field)} | {field.description} |")
    return rows


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = _shown(field.default)
    return "unset" if value is None else f"`{json.dumps(value)}`" if not isinstance(value, str) else f"`{value}`"


def _shown(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _shown(getattr(value, name)) for name in value.model_fields_set}
    if isinstance(value, ListenAddress):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _shown(one) for key, one in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _values(field: FieldInfo) -> str:
    annotation = field.annotation
    if get_origin(annotation) in (types.UnionType, typing.Union):
        literal = [one for one in get_args(annotation) if get_origin(one) is Literal]
        annotation = literal[0] if literal else annotation
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    bounds = [
        f"{sign} {getattr(one, name)}"
        for one in field.metadata
        for name, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
        if getattr(one, name, None) is not None
    ]
    return ", ".join(bounds)


def _kind(model: type[BaseModel]) -> str:
    return str(get_args(model.model_fields["kind"].annotation)[0])


if __name__ == "__main__":
    write(Path("docs"))
