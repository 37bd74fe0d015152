"""A configuration with every key of every model in it, and a walk through it: for tests that leave no key out."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel

from tests.keys import public_pem, signing_key
from wsprism.config_file import Document
from wsprism.settings import (
    PythonHotSettings,
    PythonServiceSettings,
    Settings,
    SettingsError,
    WebhookServiceSettings,
    load_settings,
)
from wsprism.settings.auth import AuthSettings
from wsprism.settings.builtin import ReplySettings, StateSettings
from wsprism.settings.loader import settings_in
from wsprism.settings.shape import models_in
from wsprism.settings.wasm import WasmHotSettings, WasmServiceSettings

KeyPath = tuple[str | int, ...]

SECRET = "hush-hush-hush-hush-hush-hush-hush-hush"
WHSEC = "whsec_aHVzaC1odXNoLWh1c2gtaHVzaC1odXNoLWh1c2g="


_EXT: dict[str, type[BaseModel]] = {
    "python": PythonServiceSettings,
    "reply": ReplySettings,
    "state": StateSettings,
    "wasm": WasmServiceSettings,
    "webhook": WebhookServiceSettings,
}
_HOT: dict[str, type[BaseModel]] = {"python": PythonHotSettings, "wasm": WasmHotSettings}


def whole() -> dict[str, Any]:
    """Valid, and nothing is left to a default."""
    all_of_jwt = {
        "kind": "jwt",
        "issuer": "i",
        "audience": "a",
        "leeway_s": 1,
        "require_exp": True,
        "user_claim": "sub",
    }
    all_of_jwt |= {"tenant_claim": "t", "rooms_claim": "rooms", "read_only_claim": "ro"}
    all_of_jwt |= {"info_claim": "info"}
    all_of_jwt |= {"jwks_lifetime_s": 300, "jwks_min_refresh_s": 10, "algorithms": ["HS256"], "secret": SECRET}
    jwt = {"kind": "jwt", "algorithms": ["ES256"]}
    auths: list[dict[str, Any]] = [
        {"kind": "dev"},
        {"kind": "tokens", "tokens": {SECRET: "ann"}},
        all_of_jwt,
        jwt | {"public_key": public_pem(signing_key("ES256"))},
        jwt | {"public_key_file": "key.pem"},
        jwt | {"jwks_url": "https://issuer/keys"},
        {"kind": "one_time"},
        {"kind": "webhook", "url": "https://backend/", "timeout_ms": 50, "secret": WHSEC},
    ]
    data = {
        "version": 1,
        "gateway": {
            "public_url": "wss://rt.example.org",
            "state_file": "state.db",
            "broker": {"url": "redis://redis:6379/0", "prefix": "p", "epoch_survives_failover": True},
            "node": {"name": "n1", "lease_ms": 5000, "on_isolation": "keep"},
            "internal": {"listen": "127.0.0.1:1", "api_keys": [{"name": "ops", "key": SECRET, "tenants": ["acme"]}]},
            "tls": {"cert_file": "cert.pem", "key_file": "key.pem", "min_version": "1.3"},
            "diagnostics": {"echo_path": "/echo"},
            "tracing": {"endpoint": "http://collector:4318", "headers": {"authorization": SECRET}},
            "metrics": {"otlp_endpoint": "http://collector:4318"},
            "trusted_proxies": ["10.0.0.0/8"],
        },
        "logging": {"levels": {"api": "debug"}},
        "tenants": [
            {
                "id": "acme",
                "allowed_origins": ["https://a.example"],
                "auth": auths,
                "qos": {"conflate": "sender"},
                "rooms": [{"match": "game:*", "history": {}, "snapshot": {"delete_opcodes": [1]}, "scope": "node"}],
                "backend": {
                    "url": "https://backend/",
                    "secret": [WHSEC],
                    "ask": ["connect"],
                    "events": ["joined"],
                    "event_rooms": ["match:*"],
                },
                "policy": {"ext_allowlist": ["room:join"], "hot_allowlist": ["1:*"]},
                "services": {
                    "ext": {
                        "chat": {"kind": "chat"},
                        "fx": {"kind": "relay"},
                        "board": {"kind": "state"},
                        "server": {"kind": "reply"},
                        "game": {"kind": "python", "file": "game.py"},
                        "rules": {"kind": "python", "factory": "rules:make"},
                        "physics": {"kind": "python", "entry_point": "physics"},
                        "guest": {"kind": "wasm", "file": "rules.wasm"},
                        "orders": {"kind": "webhook", "url": "https://orders/", "timeout_ms": 50},
                    },
                    "hot": {
                        "1": {"kind": "echo"},
                        "2": {"kind": "relay"},
                        "3": {"kind": "python", "file": "moves.py"},
                        "4": {"kind": "wasm", "file": "moves.wasm"},
                    },
                },
            }
        ],
    }
    _fill(data, Settings)
    return data


def _fill(data: dict[str, Any], model: type[BaseModel]) -> None:
    """Write out the defaults of what is not there."""
    for name, field in model.model_fields.items():
        below = models_in(field.annotation)
        if name == "auth" or (isinstance(data.get(name), list | dict) and len(below) != 1):
            continue
        if len(below) == 1 and isinstance(data.get(name, {}), dict) and name != "ext":
            _fill(data.setdefault(name, {}), below[0])
        elif len(below) == 1 and isinstance(data[name], list):
            for one in data[name]:
                _fill(one, below[0])
        elif name not in data and not field.is_required() and field.default is not None:
            data[name] = str(field.default) if name == "listen" else copy.deepcopy(field.default)
    for ext in data.get("ext", {}).values():
        if ext["kind"] in _EXT:
            _fill(ext, _EXT[ext["kind"]])
    for hot in data.get("hot", {}).values():
        if hot["kind"] in _HOT:
            _fill(hot, _HOT[hot["kind"]])
        elif hot["kind"] != "backend":
            hot.setdefault("include_sender", False)


def all_models() -> Iterator[type[BaseModel]]:
    """Every model that a file can hold."""
    seen: set[type[BaseModel]] = set()
    waiting: list[type[BaseModel]] = [Settings, *get_args(AuthSettings)]
    while waiting:
        model = waiting.pop()
        if model not in seen:
            seen.add(model)
            yield model
            waiting += [one for field in model.model_fields.values() for one in models_in(field.annotation)]


def places(data: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every key and list item with its value, containers before what is in them."""
    if path:
        yield path, data
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from places(value, (*path, key))


def holder(data: Any, path: KeyPath) -> Any:
    """What ``path`` stands in."""
    for part in path[:-1]:
        data = data[part]
    return data


def with_value(data: dict[str, Any], path: KeyPath, value: Any) -> dict[str, Any]:
    """A copy that has ``value`` at ``path``."""
    changed = copy.deepcopy(data)
    holder(changed, path)[path[-1]] = value
    return changed


def without(data: dict[str, Any], path: KeyPath) -> dict[str, Any]:
    """A copy that has nothing at ``path``."""
    changed = copy.deepcopy(data)
    del holder(changed, path)[path[-1]]
    return changed


def faults_of(data: Any, directory: Path, env: dict[str, str] | None = None) -> list[tuple[str, str]]:
    """``(path, problem)`` of every fault; none for a good one. Only with ``env`` are references in it looked at."""
    (directory / "key.pem").write_text(public_pem(signing_key("ES256")))
    file = str(directory / "wsprism.yaml")
    try:
        if env is None:
            settings_in(Document(file, data))
        else:
            load_settings(file, env, yaml.safe_dump(data).encode())
    except SettingsError as error:
        return [(fault.path, fault.problem) for fault in error.faults]
    return []
