"""The services of kind relay, state and reply: every vector, in both codecs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from wsprism.effects import Refuse
from wsprism.ports import ExtService
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import JSON, MSGPACK, Codec, Envelope
from wsprism.services import RelayExtService, ReplyService, StateService

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "vectors" / "builtin.json").read_text())


class Context:
    """A sender."""

    tenant = "acme"
    user = "ann"
    sid = "s1"
    generation = 1
    active_room = "lobby"
    metadata: Mapping[str, Any] = {}

    def __init__(self, codec: Codec = JSON) -> None:
        self.codec = codec

    def decode_data(self, envelope: Envelope, type: Any = Any) -> Any:
        return self.codec.decode_data(envelope.data, type)


def service(kind: str) -> ExtService:
    if kind == "relay":
        return RelayExtService("s")
    return StateService() if kind == "state" else ReplyService({"region": "eu"}, lambda: 1_700_000_000.5)


def shown(effect: Any) -> dict[str, Any]:
    fields = {name: getattr(effect, name) for name in effect.__struct_fields__}
    if isinstance(fields.get("data"), bytes):
        fields["data"] = fields["data"].decode()
    return {"effect": type(effect).__name__, **fields}


@pytest.mark.parametrize("binary", [False, True], ids=["json", "msgpack"])
@pytest.mark.parametrize("vector", VECTORS, ids=[one["name"] for one in VECTORS])
def test_vector(vector: dict[str, Any], binary: bool) -> None:
    if binary and "text" in vector:
        return  # MessagePack has no such number
    module: Any = msgspec.msgpack if binary else msgspec.json
    data = msgspec.Raw(module.encode(vector["data"])) if "data" in vector else None
    if "text" in vector:
        data = msgspec.Raw(vector["text"].encode())
    envelope = Envelope(v=1, svc="s", type=vector["type"], room=vector.get("room"), data=data)
    one = service(vector["kind"])
    assert one.types is None or vector["type"] in one.types
    effect = one.handle(Context(MSGPACK if binary else JSON), envelope)
    if "refused" in vector:
        assert effect == Refuse(ErrorCode.BAD_REQUEST, vector["refused"])
    else:
        assert shown(effect) == vector["effect"]


def test_a_value_leaves_room_for_what_is_around_it_when_it_is_told() -> None:
    def refused(levels: int) -> bool:
        data = b'{"key":"k","value":' + b"[" * levels + b"]" * levels + b"}"
        return isinstance(
            StateService().handle(Context(), Envelope(v=1, svc="s", type="set", data=msgspec.Raw(data))), Refuse
        )

    assert (refused(60), refused(61)) == (False, True)
