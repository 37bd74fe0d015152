"""What tells an author without a gateway what a gateway would do."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from wsprism.plugin import DROP, PASS, Context, Effects, Service, publish, refuse, reply, send
from wsprism.plugin.testing import Harness, Refused


class Board:
    def __init__(self) -> None:
        self.moves: list[int] = []


class Move(msgspec.Struct):
    x: int


service = Service(state=Board)


@service.on("move")
def move(context: Context, data: Move) -> Effects:
    context.state.moves.append(data.x)
    return [publish("moved", {"by": context.user, "x": data.x}), reply({"n": len(context.state.moves)})]


@service.on("slow")
async def slow(context: Context, data: Any) -> Effects:
    await asyncio.sleep(0)
    return [reply([context.tenant, dict(context.options), context.now_ms, data])]


@service.on("no")
def no(context: Context) -> Effects:  # noqa: ARG001
    return [refuse("NOT_ALLOWED", "not your turn")]


@service.on("odd")
def odd(context: Context) -> Any:  # noqa: ARG001
    return "garbage"


@service.on("raises")
def raises(context: Context) -> Effects:  # noqa: ARG001
    raise KeyError("x")


@service.every(0.5)
def tick(context: Context) -> Effects:
    return [publish("tick", context.room)]


@service.joined
def joined(context: Context) -> Effects:
    return [send(context.user or "", "welcome", context.sid)]


@service.left
def left(context: Context) -> Effects:
    return [publish("gone", context.user)]


@service.hot
def hot(context: Context, frame: bytes) -> bytes | Any:  # noqa: ARG001
    return PASS if frame.endswith(b"p") else frame + b"!"


@service.hot(2)
def dropped(context: Context, frame: bytes) -> Any:  # noqa: ARG001
    return DROP


def test_effects_are_values_and_the_state_is_the_rooms() -> None:
    harness = Harness(service)
    assert harness.join("ann", "r") == [send("ann", "welcome", "1")]
    assert harness.join("ann", "r") == []
    assert harness.message("move", {"x": 1}) == [publish("moved", {"by": "ann", "x": 1}), reply({"n": 1})]
    assert harness.message("move", Move(2), user="bob", room="r")[1] == reply({"n": 2})
    assert harness.state("r").moves == [1, 2]
    assert harness.state("another") is None
    assert harness.leave("ann", "r") == [publish("gone", "ann")]
    assert harness.leave("ann", "r") == []
    assert harness.state("r") is None


def test_a_message_goes_to_the_room_that_its_sender_has_joined_last() -> None:
    harness = Harness(service)
    for room in ("a", "b"):
        harness.join("bob", room)
    harness.join("ann", "b")
    harness.join("ann", "a")
    harness.message("move", {"x": 1})
    harness.leave("ann", "a")
    harness.message("move", {"x": 2})
    assert (harness.state("a").moves, harness.state("b").moves) == ([1], [2])


@pytest.mark.parametrize(
    ("type", "data", "code"),
    [
        ("move", {"x": "1"}, "BAD_REQUEST"),
        ("move", None, "BAD_REQUEST"),
        ("no", None, "NOT_ALLOWED"),
        ("nothing", None, "NOT_ALLOWED"),
        ("odd", None, "INTERNAL"),
        ("raises", None, "INTERNAL"),
    ],
)
def test_what_a_gateway_would_refuse_raises_its_code(type: str, data: Any, code: str) -> None:
    with pytest.raises(Refused) as refused:
        Harness(service).message(type, data)
    assert refused.value.code == code
    assert isinstance(refused.value.__cause__, KeyError) or type != "raises"


def test_an_async_handler_is_run_to_its_end() -> None:
    harness = Harness(service, tenant="acme", options={"board": 8})
    harness.advance(1.5)
    assert harness.message("slow", [1]) == [reply(["acme", {"board": 8}, 1_767_225_601_500, [1]])]


async def test_also_where_a_loop_runs_already() -> None:
    [answer] = Harness(service).message("slow", 1)
    assert answer == reply(["test", {}, 1_767_225_600_000, 1])


def test_ticks_come_when_they_are_due_for_rooms_that_have_members() -> None:
    harness = Harness(service)
    assert harness.advance(5.0) == []
    harness.join("ann", "a")
    harness.join("bob", "b")
    assert harness.advance(0.4) == []
    assert harness.advance(0.1) == [publish("tick", "a"), publish("tick", "b")]
    assert len(harness.advance(2.0)) == 8


def test_hot_frames_pass_are_dropped_or_rewritten() -> None:
    harness = Harness(service)
    assert harness.hot(b"\x03\x01\x00p", "ann", "r") is PASS
    assert harness.hot(b"\x03\x02\x00p", "ann", "r") is DROP
    assert harness.hot(b"\x03\x01\x00x", "ann", "r") == b"\x03\x01\x00x!"
    with pytest.raises(Refused):
        harness.hot(b"\x03", "ann", "r")


def test_a_service_cannot_change_the_options_of_others() -> None:
    options: dict[str, Any] = {"list": [1]}
    greedy = Service()

    @greedy.on("x")
    def take(context: Context) -> Effects:
        context.options["list"].append(2)
        return [reply(len(context.options["list"]))]

    assert Harness(greedy, options=options).message("x") == [reply(2)]
    assert options == {"list": [1]}
