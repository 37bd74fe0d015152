"""Whatever a file has in it, reading it gives settings or SettingsError, and nothing else."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from wsprism.settings import SettingsError, configuration_hash, load_settings, masked

KEYS = [
    "version",
    "gateway",
    "tenants",
    "logging",
    "id",
    "limits",
    "policy",
    "qos",
    "auth",
    "services",
    "ext",
    "hot",
    "kind",
    "tokens",
    "secret",
    "file",
    "algorithms",
    "jwks_url",
    "key_file",
    "cert_file",
    "tls",
    "listen",
    "internal",
    "api_keys",
    "name",
    "key",
    "headers",
    "tracing",
    "sessions",
    "mode",
    "ext_allowlist",
    "hot_allowlist",
    "allowed_origins",
    "trusted_proxies",
    "levels",
    "level",
    "flush",
    "share",
    "conflate",
    "url",
    "min_version",
    "<<",
    "on",
    "1",
    "0",
]
WORDS = [
    *KEYS,
    "dev",
    "jwt",
    "webhook",
    "single",
    "echo",
    "chat",
    "1:*",
    "room:join",
    "${A}",
    "${B:-1}",
    "${",
    "unix:/a",
]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(max_size=8)
)
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=6), inner, max_size=6)
    ),
    max_leaves=25,
)
fragments = st.lists(
    st.sampled_from(
        [
            *KEYS,
            ": ",
            "\n",
            "  ",
            "- ",
            "[",
            "]",
            "{",
            "}",
            ", ",
            "&a ",
            "*a",
            "!!int ",
            "!!bool ",
            "!x ",
            "'",
            '"',
            "<<: ",
            "? ",
            "| ",
            "---\n",
            "%YAML 1.1\n",
            "\\U",
            "\\x",
            "010",
            "1:2",
            ".inf",
            "0x",
            "=",
            "#",
            "\t",
            "${A}",
        ]
    ),
    max_size=40,
).map("".join)

GOOD: dict[str, Any] = {
    "version": 1,
    "gateway": {"listen": "127.0.0.1:0", "tls": {"cert_file": "a", "key_file": "b"}, "flush": {"share": 0.5}},
    "tenants": [
        {
            "id": "a",
            "auth": [
                {"kind": "jwt", "algorithms": ["HS256"], "secret": "x"},
                {"kind": "tokens", "tokens": {"tokens": "kind"}},
                {"kind": "webhook", "url": "http://a", "secret": "whsec_c2VjcmV0"},
            ],
            "limits": {"max_rooms_total": 1},
            "policy": {"hot_allowlist": ["1:*"], "sessions": {"mode": "single"}},
            "services": {"ext": {"chat": "chat"}, "hot": {"1": {"kind": "echo"}}},
        }
    ],
}


@pytest.fixture(scope="module")
def path() -> Any:
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory) / "wsprism.yaml"


def check_faults(error: SettingsError) -> None:
    assert error.faults
    assert all("\n" not in str(fault) for fault in error.faults)
    assert len(set(error.faults)) == len(error.faults)


def read(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        found = load_settings(path, {"A": "5"})
    except SettingsError as error:
        check_faults(error)
        return
    assert masked(found)
    assert configuration_hash(found)


@given(st.binary(max_size=60))
def test_any_bytes(path: Path, content: bytes) -> None:
    read(path, content)


@given(fragments)
@settings(max_examples=examples(400))
def test_anything_that_looks_like_yaml(path: Path, text: str) -> None:
    read(path, text.encode())


@given(trees)
@settings(max_examples=examples(200))
def test_any_tree(path: Path, tree: Any) -> None:
    read(path, yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "replace"))


def places(tree: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [here] + [place for key, value in items for place in places(value, (*here, key))]


def replaced(tree: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    changed = dict(tree) if isinstance(tree, dict) else list(tree)
    changed[place[0]] = replaced(tree[place[0]], place[1:], value)
    return changed


@given(st.sampled_from(places(GOOD)), trees)
@settings(max_examples=examples(400))
def test_a_good_file_with_one_thing_replaced(path: Path, place: tuple[Any, ...], value: Any) -> None:
    read(path, yaml.safe_dump(replaced(GOOD, place, value), allow_unicode=True).encode("utf-8", "replace"))


def test_the_good_file_is_good(path: Path) -> None:
    path.write_text(yaml.safe_dump(GOOD))
    assert load_settings(path, {}).tenants[0].id == "a"
