"""Seeds of the fuzzers, made from the protocol's own vectors and the shipped configurations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tests.fuzz.guests import HEAD, answers
from tests.fuzz.machine import record

__all__ = ["findings", "seeds"]

ROOT = Path(__file__).parents[2]


def seeds(target: str) -> list[bytes]:
    """The inputs that ``target`` begins with."""
    return list(_SEEDS[target]())


def findings(target: str) -> list[bytes]:
    """What was found once: every input that made ``target`` break a promise."""
    return [path.read_bytes() for path in sorted((Path(__file__).parent / "findings" / target).glob("*"))]


def _vectors(name: str) -> list[dict[str, Any]]:
    vectors: list[dict[str, Any]] = json.loads((ROOT / "tests" / "vectors" / f"{name}.json").read_text())
    return vectors


def _payloads() -> Iterator[tuple[bool, bytes]]:
    """Every ext message of the vectors: whether it is MessagePack, and its payload."""
    for vector in _vectors("envelope"):
        if "hex" in vector:
            yield vector.get("codec") == "msgpack", bytes.fromhex(vector["hex"])
        elif "text" in vector:
            yield False, vector["text"].encode("utf-8", "surrogatepass")
        else:
            yield False, json.dumps(vector["message"]).encode()
            yield True, msgspec.msgpack.encode(vector["message"])


def _envelope() -> Iterator[bytes]:
    for binary, payload in _payloads():
        yield (b"\x01" if binary else b"\x00") + payload
        if not binary:
            yield b"\x02" + payload


def _hot() -> Iterator[bytes]:
    for vector in _vectors("hot"):
        if "hex" in vector:
            yield bytes((vector.get("framing") == "versioned",)) + bytes.fromhex(vector["hex"])


def _effects() -> Iterator[bytes]:
    for vector in _vectors("effects"):
        body = vector["body"]
        yield b"\x00" + (body if isinstance(body, str) else json.dumps(body)).encode()


def _guest() -> Iterator[bytes]:
    yield from answers()
    at = 4096 + HEAD.size
    for seed in _effects():
        yield HEAD.pack((at << 32) | len(seed[1:]), 1024, at, 16) + seed[1:]


def _settings() -> Iterator[bytes]:
    for path in sorted((ROOT / "config").glob("**/*.yaml")):
        text = path.read_bytes()
        if b"tenants:" in text:
            yield text
    yield b"version: ${FUZZ}\ntenants: [{id: a, auth: {kind: tokens, tokens: {t: u}}, services: {hot: {1: relay}}}]\n"
    yield b"version: 1\ngateway: &g {listen: '[::]:80'}\ntenants:\n- {id: a, <<: *g, policy: {hot_allowlist: [1:*]}}\n"
    yield b"version: 1\ntenants:\n- id: a\n  auth: [{kind: jwt, algorithms: [RS256], jwks_url: 'https://x/'}]\n"


def _connection() -> Iterator[bytes]:
    join = record("text", b'{"v":1,"svc":"room","type":"join","room":"r","seq":1}')
    chat = record("text", b'{"v":1,"svc":"chat","type":"send","flags":4,"seq":2,"data":{"msg":"x"}}')
    hot = record("binary", b"\x01\x01\x03\x07\x00\x00\x00state")
    leave = record("text", b'{"v":1,"svc":"room","type":"leave","room":"r"}')
    refresh = record("text", b'{"v":1,"svc":"sys","type":"refresh","data":{"ticket":"refresh:hostile"}}')
    fragments = (
        record("begin text", b'{"v":1,"svc":"sys"') + record("ping", b"p") + record("finish", b',"type":"ping"}')
    )
    close = record("close", b"\x03\xe8bye")
    settle = record("settle")
    for variant in (0, 2, 4, 8, 16 | 64, 32, 128, 0x86):
        head = bytes((variant,))
        yield head + join + settle + chat + hot + leave + settle + hot + close
        yield head + join + chat * 5 + record("fill") + hot * 9 + chat * 3 + record("wait", b"." * 200)
        yield head + join + settle + record("fill") + hot * 12 + record("neighbour") + record("drain") + settle + close
        yield head + join + chat + close + settle
        yield head + join + chat * 3 + leave + chat + record("eof") + settle
        yield head + fragments + refresh + refresh + settle + record("pong") + record("eof")
        yield head + record("text", b"nonsense") * 17 + settle
        yield head + (join + leave + chat) * 6 + record("compressed", b'{"v":1,"svc":"sys","type":"ping"}') + settle
        yield head + record("raw", bytes.fromhex("818537fa213d7f9f4d5158")) + record("raw", b"\x81\xff") + settle
    for binary, payload in _payloads():
        yield bytes((binary,)) + record("binary" if binary else "text", payload) + settle
    for vector in _vectors("hot"):
        if "hex" in vector:
            script = join + settle + record("binary", bytes.fromhex(vector["hex"])) + settle
            yield bytes((8 if vector.get("framing") == "versioned" else 0,)) + script


_SEEDS = {
    "envelope": _envelope,
    "hot": _hot,
    "effects": _effects,
    "guest": _guest,
    "settings": _settings,
    "connection": _connection,
}
