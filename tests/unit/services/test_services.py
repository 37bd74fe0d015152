"""The built-in services: a message in, an effect out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from wsprism.effects import JoinRoom, LeaveRoom, ListMembers, Publish, Refuse
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import JSON, Envelope
from wsprism.protocol.publication_data import data_of
from wsprism.services import ChatService, EchoService, RelayService, RoomService


class Context:
    """A sender."""

    tenant = "t"
    user = "user:ann"
    sid = "1"
    active_room = "lobby"
    generation = 1
    metadata: Mapping[str, Any] = {}

    def decode_data(self, envelope: Envelope, type: Any = Any) -> Any:
        return JSON.decode_data(envelope.data, type)


def envelope(svc: str, type: str, room: str | None = None, data: object = None) -> Envelope:
    raw = None if data is None else msgspec.Raw(msgspec.json.encode(data))
    return Envelope(v=1, svc=svc, type=type, room=room, data=raw)


@pytest.mark.parametrize("room", ["match:1", None])
def test_chat_publishes_the_text_with_its_senders_user_id(room: str | None) -> None:
    effect = ChatService("chat").handle(Context(), envelope("chat", "send", room, {"msg": "hi"}))
    assert isinstance(effect, Publish)
    assert (effect.room, effect.svc, effect.type, effect.echo) == (room, "chat", "msg", True)
    assert data_of(effect.data) == b'{"from":"user:ann","msg":"hi"}'


def test_chat_under_another_name_publishes_under_that_name() -> None:
    effect = ChatService("talk").handle(Context(), envelope("talk", "send", data={"msg": ""}))
    assert isinstance(effect, Publish)
    assert effect.svc == "talk"


@pytest.mark.parametrize("data", [None, {}, {"msg": 1}, {"msg": None}, {"msg": "x", "from": "root"}, ["x"], "x"])
def test_chat_refuses_data_that_is_not_one_text(data: object) -> None:
    effect = ChatService("chat").handle(Context(), envelope("chat", "send", data=data))
    assert isinstance(effect, Refuse)
    assert effect.code is ErrorCode.BAD_REQUEST


def test_room_turns_messages_into_effects() -> None:
    service = RoomService()
    assert service.handle(Context(), envelope("room", "join", "a")) == JoinRoom("a")
    assert service.handle(Context(), envelope("room", "join")) == JoinRoom("default")
    assert service.handle(Context(), envelope("room", "leave", "a")) == LeaveRoom("a")
    assert service.handle(Context(), envelope("room", "leave")) == LeaveRoom(None)
    assert service.handle(Context(), envelope("room", "members", "a")) == ListMembers("a")
    assert service.handle(Context(), envelope("room", "members")) == ListMembers(None)


def test_services_name_the_types_that_they_answer() -> None:
    assert ChatService("chat").types == {"send"}
    assert RoomService().types == {"join", "leave", "members", "history", "presence", "state"}


def test_echo_and_relay_differ_in_whether_the_sender_gets_its_own_frame() -> None:
    assert (EchoService().echo, RelayService().echo) == (True, False)
    assert not EchoService().include_sender
    assert RelayService(include_sender=True).include_sender
