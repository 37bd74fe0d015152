"""Services in Python that do everything wrong: what it costs their own clients, and nobody else."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

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
