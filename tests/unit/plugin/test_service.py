"""What an author may declare, and what is refused in the line where it stands."""

from __future__ import annotations

import dataclasses
import itertools
from collections import deque
from collections.abc import Callable
from typing import Any, TypedDict

import msgspec
import pytest

from wsprism.effects import Disconnect, JoinRoom, LeaveRoom, Publish, PublishHot, Refuse, Reply, Send, SendHot
from wsprism.plugin import (
    Service,
    disconnect,
    join,
    leave,
    publish,
    publish_hot,
    refuse,
    reply,
    send,
    send_hot,
)
from wsprism.plugin.answers import FROM_MESSAGES, UNASKED, BadAnswer, checked, checked_frame
from wsprism.plugin.service import handlers_of
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.hot import Framing


def test_effects_are_values_of_the_one_vocabulary() -> None:
    assert reply({"x": 1}) == Reply({"x": 1}, None)
    assert publish("moved", 1, "r", "chat") == Publish("r", "chat", "moved", 1)
    assert publish_hot(b"\x01\x02\x00") == PublishHot(None, b"\x01\x02\x00")
    assert send("ann", "hi", None, "phone") == Send("ann", "phone", None, "hi", None)
    assert send_hot("ann", b"\x01\x02\x00") == SendHot("ann", None, b"\x01\x02\x00")
    assert (join("r"), leave("r")) == (JoinRoom("r"), LeaveRoom("r"))
    assert refuse("NOT_ALLOWED", "no") == Refuse(ErrorCode.NOT_ALLOWED, "no")
    assert disconnect() == Disconnect(4500, "")


ODD: Any = 5


@pytest.mark.parametrize(
    "made",
    [
        lambda: reply(1, "a b"),
        lambda: publish(""),
        lambda: publish("x", room=""),
        lambda: publish("x", room="\ud800"),
        lambda: publish("x", svc="sys"),
        lambda: publish("x", svc="room"),
        lambda: publish(ODD),
        lambda: publish_hot(ODD),
        lambda: send("", "x"),
        lambda: send("u" * 256, "x"),
        lambda: send("u", "x", sid=ODD),
        lambda: join(ODD),
        lambda: refuse("NONSENSE", ""),
        lambda: refuse("NOT_ALLOWED", "x" * 201),
        lambda: disconnect(1000),
        lambda: disconnect(4500, "ä" * 62),
        lambda: disconnect(4500, "\ud800"),
    ],
)
def test_what_cannot_be_an_effect_is_refused_where_it_is_made(made: Callable[[], object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (its words differ)
        made()


class Shape(msgspec.Struct):
    x: int


@dataclasses.dataclass
class Data:
    x: int


class Typed(TypedDict):
    x: int


@pytest.mark.parametrize("kind", [Shape, Data, Typed, dict[str, int], "Shape", int | None])
def test_data_is_a_struct_a_dataclass_a_typed_dict_or_what_json_has(kind: Any) -> None:
    service = Service()

    def handler(context: Any, data: Any) -> None: ...

    handler.__annotations__["data"] = kind
    service.on("move")(handler)
    assert handlers_of(service).on["move"].data is not None


def test_an_annotation_may_name_what_stands_beside_the_handler_or_below_it() -> None:
    service = Service()

    class Local(msgspec.Struct):
        x: int

    @service.on("here")
    def here(context: Any, data: Local) -> None: ...

    @service.on("below")
    def below(context: Any, data: Below) -> None: ...

    found = [handlers_of(service).on[name].data for name in ("here", "below")]
    assert [one.type for one in found if one is not None] == [Local, Below]


class Below(msgspec.Struct):
    x: int


def odd_state() -> None:
    Service(state=5)  # type: ignore[arg-type]


def odd_type() -> None:
    Service().on("a b")


def handler(context: Any) -> None: ...


def no_parameter() -> None:
    Service().on("x")(lambda: None)


def too_many_parameters() -> None:
    def hungry(context: Any, data: Any, more: Any) -> None: ...

    Service().on("x")(hungry)


def twice() -> None:
    service = Service()
    service.on("x")(handler)
    service.on("x")(handler)


def joined_twice() -> None:
    service = Service()
    service.joined(handler)
    service.joined(handler)


def too_fast() -> None:
    Service().every(0.0001)


def never() -> None:
    Service().every(float("nan"))


def async_tick() -> None:
    async def tick(context: Any) -> None: ...

    Service().every(1)(tick)


def odd_opcode() -> None:
    Service().hot(256)


def no_function() -> None:
    Service().joined(5)  # type: ignore[type-var]


@pytest.mark.parametrize(
    "declare",
    [
        odd_state,
        odd_type,
        no_parameter,
        too_many_parameters,
        twice,
        joined_twice,
        too_fast,
        never,
        async_tick,
        odd_opcode,
        no_function,
    ],
)
def test_what_cannot_be_declared_is_refused_in_its_line(declare: Callable[[], None]) -> None:
    with pytest.raises((TypeError, ValueError)):
        declare()


CIRCULAR: list[Any] = []
CIRCULAR.append(CIRCULAR)
DEEP: Any = 1
for _ in range(64):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (5, "a list of effects or None, found int"),
        (reply(1), "a list of effects or None, found reply"),
        ([5], "effects[0] must be an effect, found int"),
        ([reply(object())], "cannot be told to every client"),
        ([reply({1j: 2})], "cannot be told to every client"),
        ([reply(CIRCULAR)], "cannot be told to every client"),
        ([reply(DEEP)], "nests more than 63 levels"),
        ([reply(2**64)], "cannot be told to every client"),
        ([reply("\ud800")], "cannot be told to every client"),
        ([publish("x", "y" * 2000)], "has 2002 bytes of data; 1000 are allowed"),
        ([publish_hot(b"\x01")], "the frame is none"),
        ([publish_hot(b"\x01\x01\x04")], "the frame is none"),
        ([publish_hot(b"\x01\x01\x00" + bytes(2000))], "the frame has 2003 bytes"),
        ([refuse("NOT_ALLOWED", ""), reply(1)], "refuse stands alone"),
        ([reply(1)] * 65, "there are 65 effects; 64 are allowed"),
        (Publish, "found StructMeta"),
    ],
)
def test_what_is_no_answer_is_told_in_words(returned: object, words: str) -> None:
    with pytest.raises(BadAnswer) as fault:
        checked(returned, FROM_MESSAGES, Framing.COMPACT, 1000)
    assert words in str(fault.value)


class Endless(list[Any]):
    """A list whose own class lies about it."""

    def __iter__(self) -> Any:
        return itertools.repeat(reply(1))

    def __len__(self) -> int:
        return 1


def test_of_a_list_of_the_authors_own_class_is_taken_what_is_in_it() -> None:
    assert len(checked(Endless([reply(1), reply(2)]), FROM_MESSAGES, Framing.COMPACT, 1000)) == 2
    with pytest.raises(BadAnswer, match="there are 65 effects"):
        checked(Endless([reply(1)] * 65), FROM_MESSAGES, Framing.COMPACT, 1000)


@pytest.mark.parametrize("returned", [itertools.repeat(reply(1)), {reply(1): 1}.keys(), deque([1]), "text", {"a": 1}])
def test_nothing_but_a_list_or_tuple_is_a_list(returned: object) -> None:
    with pytest.raises(BadAnswer, match="a list of effects or None"):
        checked(returned, FROM_MESSAGES, Framing.COMPACT, 1000)


def test_what_is_carried_out_is_no_more_the_handlers_own() -> None:
    data = {"a": [1]}
    kept: list[Any] = [publish("x", data)]
    effects = checked(kept, FROM_MESSAGES, Framing.COMPACT, 1000)
    data["a"].append(2)
    msgspec.structs.force_setattr(kept[0], "type", 5)
    kept.clear()
    assert effects == [publish("x", msgspec.Raw(b'{"a":[1]}'))]


def test_strings_and_bytes_of_the_authors_own_classes_become_plain_ones() -> None:
    class Kind(str):
        def __len__(self) -> int:
            raise KeyError

    class Frame(bytes):
        __len__ = Kind.__len__

    effects: list[Any] = [
        publish(Kind("moved"), None, Kind("room"), Kind("svc")),
        send(Kind("user"), Kind("x"), None, Kind("sid")),
        publish_hot(Frame(b"\x01\x01\x00")),
        join(Kind("room")),
        disconnect(4500, Kind("why")),
    ]
    for effect in effects:
        for value in msgspec.structs.astuple(effect):
            assert type(value) in (str, bytes, int, bool, type(None))
    assert checked_frame(Frame(b"\x01\x01\x00"), Framing.COMPACT, 10) == b"\x01\x01\x00"


def test_a_coroutine_that_nobody_awaits_is_told_as_what_it_is() -> None:
    async def wait() -> None: ...

    with pytest.raises(BadAnswer, match="async def"):
        checked(wait(), FROM_MESSAGES, Framing.COMPACT, 1000)


@pytest.mark.parametrize("effect", [reply(1), join("r"), leave("r"), refuse("INTERNAL", ""), disconnect()])
def test_unasked_only_publish_and_send_are_effects(effect: object) -> None:
    with pytest.raises(BadAnswer) as fault:
        checked([effect], UNASKED, Framing.COMPACT, 1000)
    assert "belongs to a message" in str(fault.value)
    allowed = [publish("x"), publish_hot(b"\x01\x01\x00"), send("u", "x"), send_hot("u", b"\x01\x01\x00")]
    assert len(checked(allowed, UNASKED, Framing.COMPACT, 1000)) == 4
