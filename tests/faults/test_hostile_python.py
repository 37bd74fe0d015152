"""Services in Python that do everything wrong: what it costs their own clients, and nobody else."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.client import Client, until
from tests.conftest import Running, StartGateway
from tests.python_services import tenant_with, write
from wsprism.policy import suspension
from wsprism.realtime.counters import ServiceCounters

HOSTILE = """
    import asyncio, sys, time
    from wsprism.plugin import Service, publish, reply, join, refuse, disconnect

    class Rude(Exception):
        def __str__(self):
            raise RuntimeError("no words")

    class Broken:
        def __init__(self):
            raise RuntimeError("no state")

    service = Service(state=Broken)
    circular = []
    circular.append(circular)

    @service.on("good")
    def good(context, data): return [reply(data)]

    @service.on("raises")
    def raises(context): raise KeyError("x")

    @service.on("rude")
    def rude(context): raise Rude

    @service.on("exits")
    def exits(context): sys.exit(3)

    @service.on("cancels")
    def cancels(context): raise asyncio.CancelledError

    class Base(BaseException): pass

    @service.on("interrupts")
    def interrupts(context): raise KeyboardInterrupt

    @service.on("base")
    def base(context): raise Base

    @service.on("closes")
    def closes(context): raise GeneratorExit

    @service.on("slow-interrupts")
    async def slow_interrupts(context): raise KeyboardInterrupt

    @service.on("slow-base")
    async def slow_base(context): raise Base

    @service.on("slow-cancels")
    async def slow_cancels(context):
        asyncio.current_task().cancel()
        await asyncio.sleep(1)

    @service.on("recurses")
    def recurses(context): return recurses(context)

    @service.on("state")
    def state(context): return context.state

    @service.on("options")
    def options(context):
        context.options["nested"].append("evil")
        return [reply(len(context.options["nested"]))]

    @service.on("number")
    def number(context): return 5

    @service.on("effect")
    def effect(context): return reply(1)

    @service.on("object")
    def object_(context): return [publish("x", object()), reply(1)]

    @service.on("circular")
    def circular_(context): return [publish("x", circular)]

    @service.on("huge")
    def huge(context): return [reply("x" * 70_000)]

    @service.on("many")
    def many(context): return [reply(1)] * 65

    @service.on("coroutine")
    def coroutine(context): return (yield 1)

    @service.on("holds")
    def holds(context): time.sleep(0.02)

    @service.on("slow-raises")
    async def slow_raises(context): raise KeyError("x")

    @service.on("slow-holds")
    async def slow_holds(context):
        await asyncio.sleep(0)
        time.sleep(0.02)
        return [reply(1)]

    @service.on("slow-garbage")
    async def slow_garbage(context): return [5]

    from msgspec import Raw, Struct, structs
    from wsprism import effects

    class Evil:
        def evil(self, *args): raise KeyError("evil")
        __class__ = property(evil)
        __repr__ = __str__ = __eq__ = __hash__ = __len__ = __iter__ = __bool__ = __format__ = __getattr__ = evil

    class Words(str):
        __len__ = __format__ = __str__ = __eq__ = Evil.evil
        __hash__ = str.__hash__

    class Unsaid(Exception):
        def __str__(self): return Words("no")
        __notes__ = property(Evil.evil)

    class Fields:
        __dataclass_fields__ = property(Evil.evil)

    class Called:
        __repr__ = Evil.evil
        def __call__(self, context): raise KeyError("x")

    service.on("called")(Called())

    def mutated(effect, **fields):
        for name, value in fields.items():
            structs.force_setattr(effect, name, value)
        return [effect]

    PAST = {
        "past-type": lambda: [effects.Publish(None, None, 5, 1)],
        "past-room": lambda: [effects.Publish(5, None, "x", 1)],
        "past-svc": lambda: [effects.Publish("r", "sys", "x", 1)],
        "past-reply": lambda: [effects.Reply(1, 5)],
        "past-refuse": lambda: [effects.Refuse("NOPE", "x")],
        "past-refuse-msg": lambda: mutated(refuse("NOT_ALLOWED", "x"), msg=5),
        "past-disconnect": lambda: [effects.Disconnect("x", 5)],
        "past-join": lambda: [effects.JoinRoom(5)],
        "past-leave": lambda: [effects.LeaveRoom(5)],
        "past-send": lambda: [effects.Send(5, None, None, "x", 1)],
        "past-frame": lambda: [effects.PublishHot("r", "text")],
        "mutated": lambda: mutated(publish("x"), type=Evil()),
        "unset": lambda: [effects.Publish.__new__(effects.Publish)],
        "raw": lambda: [publish("x", {"a": Raw(b"{nope")}, room="r")],
        "raw-bytes": lambda: [reply(Raw(b'"\\xff"'))],
        "raw-number": lambda: [reply([Raw(b"1" * 40)])],
        "evil": Evil,
        "evil-in-list": lambda: [Evil()],
        "evil-name": lambda: [publish(Evil())],
        "evil-data": lambda: [reply(Fields())],
    }
    for name, make in PAST.items():
        service.on(name)(lambda context: PAST[context.type]())
        async def slow(context): return PAST[context.type[5:]]()
        service.on("slow-" + name)(slow)

    @service.on("unsaid")
    def unsaid(context): raise Unsaid

    class Masked(BaseException):
        __class__ = property(lambda self: sys.exit(3))
        __traceback__ = property(lambda self: sys.exit(3))

    @service.on("masked")
    def masked(context): raise Masked

    @service.on("slow-masked")
    async def slow_masked(context): raise Masked

    @service.on("half")
    def half(context): raise ValueError("\\ud800")

    @service.on("returns-coroutine")
    def returns_coroutine(context): return slow(context)

    class Made(Struct):
        x: int
        def __post_init__(self):
            if self.x: raise KeyError(self.x)

    @service.on("made")
    def made(context, data: Made): return [reply(data.x)]

    @service.on("slow-made")
    async def slow_made(context, data: Made): return [reply(data.x)]

    @service.joined
    def joined(context): return [join("elsewhere")]

    @service.left
    def left(context): raise ValueError("left")

    @service.hot
    def hot(context, frame): raise ValueError("hot")

    @service.hot(2)
    def odd(context, frame): return "text"

    @service.hot(3)
    def none(context, frame): return b"\\x01"
"""

FAULTS = (
    *("raises", "rude", "exits", "cancels", "recurses", "state", "number", "effect", "object", "circular"),
    *("huge", "many", "coroutine", "slow-raises", "slow-garbage"),
    *("interrupts", "base", "closes", "slow-interrupts", "slow-base", "slow-cancels"),
    *("called", "unsaid", "returns-coroutine", "masked", "slow-masked"),
)
PAST_THE_FACE = (
    *("past-type", "past-room", "past-svc", "past-reply", "past-refuse", "past-refuse-msg", "past-disconnect"),
    *("past-join", "past-leave", "past-send", "past-frame", "mutated", "unset", "raw", "raw-bytes", "raw-number"),
    *("evil", "evil-in-list", "evil-name", "evil-data"),
)


async def start(start_gateway: StartGateway, tmp_path: Path, **options: Any) -> tuple[Running, ServiceCounters]:
    file = write(tmp_path, HOSTILE)
    gateway = await start_gateway(acme=tenant_with(file, hot={3: {"kind": "python", "file": file}}, **options))
    return gateway, counters_of(gateway)


def counters_of(gateway: Running, lane: str = "ext", name: str = "game") -> ServiceCounters:
    tenant = gateway.process.tenant("acme")
    assert tenant is not None
    return tenant.counters.services[lane, name]


@pytest.mark.parametrize("type", FAULTS)
async def test_each_fault_is_internal_to_its_sender_and_the_next_message_is_answered(
    start_gateway: StartGateway, tmp_path: Path, type: str
) -> None:
    gateway, counters = await start(start_gateway, tmp_path)
    async with Client(gateway.base) as client:
        for seq in range(15):
            await client.send("game", type, seq=seq, flags=4)
            error = await client.expect_error("INTERNAL")
            assert error["seq"] == seq
            assert error["data"]["msg"] == "the service failed"
            await client.send("game", "good", seq)
            assert (await client.receive())["data"] == seq
    assert sum(counters.faults.values()) == 15
    assert counters.suspensions == 0


async def test_what_was_made_past_the_public_face_is_the_services_fault_and_the_sender_stays(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway, counters = await start(start_gateway, tmp_path)
    async with Client(gateway.base) as client, Client(gateway.base, ticket="dev:bob") as bob:
        await bob.join("r")
        await client.join("r")
        for seq, type in enumerate([*PAST_THE_FACE, *(f"slow-{one}" for one in PAST_THE_FACE)]):
            await client.send("game", type, seq=seq, flags=4)
            assert (await client.expect_error("INTERNAL"))["seq"] == seq, type
            await client.send("game", "good", type)
            assert (await client.receive())["data"] == type
        await client.send("chat", "send", {"msg": "after all"})
        said = await bob.receive()
        assert (said["type"], said["data"]["msg"]) == ("msg", "after all"), "bob got nothing else"
        assert sum(counters.faults.values()) == 2 * len(PAST_THE_FACE) + 2, "and what it said to their coming"
        assert gateway.process.actors().failures == 0


@pytest.mark.parametrize("type", ["made", "slow-made"])
async def test_data_whose_own_class_raises_is_a_fault_and_suspends(
    start_gateway: StartGateway, tmp_path: Path, type: str
) -> None:
    gateway, counters = await start(start_gateway, tmp_path)
    async with Client(gateway.base) as client:
        await client.send("game", type, {"x": 0})
        assert (await client.receive())["data"] == 0
        for code in ["INTERNAL"] * 10 + ["UNAVAILABLE"]:
            await client.send("game", type, {"x": 1}, seq=1)
            await client.expect_error(code)
    assert (counters.faults["exception"], counters.suspensions) == (10, 1)


async def test_the_last_fault_can_be_shown_whatever_its_words(
    start_gateway: StartGateway, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "wsprism.services")  # half a character is nothing that a test's report can hold
    gateway, _ = await start(start_gateway, tmp_path)
    tenant = gateway.process.tenant("acme")
    assert tenant is not None
    [ext, _] = tenant.rules.services.hosted
    async with Client(gateway.base) as client:
        for type, words in (("half", "ValueError: \\ud800"), ("unsaid", "Unsaid"), ("called", "Called: KeyError: 'x'")):
            await client.send("game", type)
            await client.expect_error("INTERNAL")
            assert ext.status.last_fault is not None
            assert words in msgspec.json.decode(msgspec.json.encode(ext.status.last_fault))


async def test_ten_faults_in_a_row_suspend_it_alone_until_one_message_decides(
    start_gateway: StartGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspension, "FIRST_PAUSE_S", 3.0)
    gateway, counters = await start(start_gateway, tmp_path)
    async with Client(gateway.base) as client:
        await client.join("r")  # the first fault: what it says to that
        for _ in range(9):
            await client.send("game", "raises")
            await client.expect_error("INTERNAL")
        for _ in range(3):
            await client.send("game", "good", 1, seq=7)
            assert (await client.expect_error("UNAVAILABLE"))["seq"] == 7
        await client.ws.send_bytes(b"\x03\x01\x00x")
        await client.send("chat", "send", {"msg": "x"})
        assert (await client.receive())["type"] == "msg"
        assert (counters.suspended, counters.suspensions) == (True, 1)
        tenant = gateway.process.tenant("acme")
        assert tenant is not None
        [ext, hot] = [one.status for one in tenant.rules.services.hosted]
        assert (ext.suspended, hot.suspended) == (True, True), "both lanes are one service"
        assert ext.last_fault is not None
        assert "KeyError: 'x'" in ext.last_fault
        await asyncio.sleep(3.1)
        await client.send("game", "good", 2)
        assert (await client.receive())["data"] == 2
        assert not counters.suspended


async def test_who_comes_and_goes_is_not_held_up_by_what_a_service_says_to_it(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway, counters = await start(start_gateway, tmp_path)
    for _ in range(20):
        async with Client(gateway.base) as client:
            await client.join("r")
            await client.send("chat", "send", {"msg": "x"})
            assert (await client.receive())["type"] == "msg"
    await until(lambda: gateway.process.connections() == 0)
    await until(lambda: counters.faults["answer"] + counters.faults["exception"] == 40)
    assert gateway.process.actors().failures == 0


@pytest.mark.parametrize("opcode", [1, 2, 3])
async def test_a_hot_frame_is_dropped_where_its_service_fails(
    start_gateway: StartGateway, tmp_path: Path, opcode: int
) -> None:
    gateway, _ = await start(start_gateway, tmp_path)
    async with Client(gateway.base, ticket="dev:ann") as ann, Client(gateway.base, ticket="dev:bob") as bob:
        await ann.join("r")
        await bob.join("r")
        await ann.ws.send_bytes(bytes([3, opcode, 0, 7]))
        await ann.ws.send_bytes(b"\x01\x01\x00x")
        assert await bob.receive_hot() == b"\x01\x01\x00x"
    assert sum(counters_of(gateway, "hot", "3").faults.values()) == 1


@pytest.mark.parametrize(("type", "handler"), [("holds", "holds"), ("slow-holds", "slow_holds")])
async def test_a_handler_that_holds_the_loop_is_named_once_a_second(
    start_gateway: StartGateway, tmp_path: Path, caplog: pytest.LogCaptureFixture, type: str, handler: str
) -> None:
    caplog.set_level(logging.WARNING)
    gateway, counters = await start(start_gateway, tmp_path)
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with Client(gateway.base) as client:
        for seq in range(5):
            await client.send("game", type, seq=seq, flags=4)
            while (await client.receive())["type"] != "ack":
                pass
    assert counters.slow >= 5
    warnings = [one for one in caplog.records if "holds the event loop" in one.message]
    assert 1 <= len(warnings) <= loop.time() - began + 1
    assert {handler in str(one.__dict__["handler"]) for one in warnings} == {True}


async def test_what_a_service_does_to_its_options_is_its_own(start_gateway: StartGateway, tmp_path: Path) -> None:
    gateway, _ = await start(start_gateway, tmp_path, options={"nested": [1]})
    async with Client(gateway.base) as client:
        await client.send("game", "options")
        assert (await client.receive())["data"] == 2
    [ext] = [one for name, one in gateway.process.settings.tenants[0].services.ext.items() if name == "game"]
    assert getattr(ext, "options", None) == {"nested": [1]}
    assert not (await gateway.process.reload()).applied


ROOMS = """
    from wsprism.plugin import Service, publish, reply, refuse

    class State:
        made = 0
        def __init__(self):
            State.made += 1
            self.ticks = 0

    service = Service(state=State)

    @service.every(0.05)
    def tick(context):
        context.state.ticks += 1
        if context.state.ticks == 2:
            return [publish("second")]

    @service.on("touch")
    def touch(context, data):
        return [reply([State.made, context.state.ticks]), publish("deeper", [[[data]]])]
"""


async def test_a_thousand_rooms_tick_and_nothing_is_kept_of_rooms_that_nobody_is_in(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway(acme=tenant_with(write(tmp_path, ROOMS)))
    tenant = gateway.process.tenant("acme")
    assert tenant is not None
    engine = tenant.rules.services.watchers[0]
    states = getattr(engine, "states")  # noqa: B009 (a port does not have it)
    async with Client(gateway.base) as client:
        for number in range(1000):
            await client.send("room", "join", room=f"r{number}")
        seconds: set[str] = set()
        while len(seconds) < 1000:
            said = await client.receive()
            if said["type"] == "second":
                seconds.add(said["room"])
        assert len(states) == 1000
        for number in range(500):
            await client.send("game", "touch", room=f"nobody{number}", seq=number)
            while (await client.receive())["type"] != "touch":
                pass
        assert len(states) == 1000
    await until(lambda: not states)


@pytest.mark.parametrize("data", [10**30, [[[[1e400]]]], "deep"])
async def test_no_client_can_make_an_honest_handler_fail(
    start_gateway: StartGateway, tmp_path: Path, data: Any
) -> None:
    nested: Any = 1
    for _ in range(60):
        nested = [nested]
    gateway = await start_gateway(acme=tenant_with(write(tmp_path, ROOMS)))
    async with Client(gateway.base) as client:
        await client.join("r")
        for _ in range(20):
            if data == "deep":
                await client.send("game", "touch", nested)
            else:
                text = '{"v":1,"svc":"game","type":"touch","data":%s}' % ("1" * 31 if data == 10**30 else "[1e400]")
                await client.ws.send_str(text)
            while (said := await client.receive())["type"] != "error":
                pass
            assert said["data"]["code"] == "BAD_REQUEST"
    counters = counters_of(gateway)
    assert (sum(counters.faults.values()), counters.suspensions) == (0, 0)


TICKS = """
    from wsprism.plugin import Service, reply
    service = Service()

    @service.every(0.01)
    def tick(context):
        {tick}
"""


@pytest.mark.parametrize(("tick", "cause"), [("raise ValueError", "exception"), ("return [reply(1)]", "answer")])
async def test_ticks_that_fail_suspend_their_service_and_cost_nobody_else_anything(
    start_gateway: StartGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tick: str, cause: str
) -> None:
    monkeypatch.setattr(suspension, "FIRST_PAUSE_S", 600.0)
    gateway = await start_gateway(acme=tenant_with(write(tmp_path, TICKS.format(tick=tick))))
    counters = counters_of(gateway)
    async with Client(gateway.base) as client:
        await client.join("r")
        await until(lambda: counters.suspended)
        assert counters.faults[cause] == 10
        await client.send("chat", "send", {"msg": "x"})
        assert (await client.receive())["type"] == "msg"
        await asyncio.sleep(0.3)
        assert counters.faults[cause] == 10, "it is left alone meanwhile"
