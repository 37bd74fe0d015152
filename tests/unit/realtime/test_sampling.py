"""Which messages are watched, what is noted of them, and what those that are not watched cost."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from typing import Any

import pytest

from tests.realtime_support import Peer, World
from wsprism.protocol.trace import TraceParent
from wsprism.protocol.traces import MAX_EVENTS, CallTrace, ConnectionTrace, MessageTrace
from wsprism.realtime.room.actor import FAN_OUT_WORK
from wsprism.realtime.sampling import ASKED_FOR_RPS, Sampler
from wsprism.services import EchoService

SAMPLED = f"00-{'a' * 32}-{'b' * 16}-01"
UNSAMPLED = f"00-{'a' * 32}-{'b' * 16}-00"
NEVER = 10**9


class Clock:
    """Nanoseconds that pass by one microsecond a reading."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        self.now_ns += 1000
        return self.now_ns


class Recorder:
    """A tracer that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[MessageTrace] = []
        self.connections: list[ConnectionTrace] = []
        self.calls: list[CallTrace] = []

    def message_done(self, trace: MessageTrace) -> None:
        self.messages.append(trace)

    def connection_done(self, trace: ConnectionTrace) -> None:
        self.connections.append(trace)

    def call_done(self, trace: CallTrace) -> None:
        self.calls.append(trace)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def world(recorder: Recorder | None, ratio: float = 1.0, **options: Any) -> World:
    sampler = Sampler(recorder, ratio, clock_ns=Clock(), wall_ns=lambda: 10**18, chance=lambda: 0.5)
    return World(sampler=sampler, **options)


def stages(trace: MessageTrace) -> list[str]:
    return [stage.name for stage in trace.stages]


async def a_member(of: World, **options: Any) -> Peer:
    peer = await of.connect(**options)
    peer.join("lobby")
    peer.heard()
    return peer


async def test_an_ext_message_is_followed_until_a_member_s_socket_has_it(recorder: Recorder) -> None:
    peer = await a_member(world(recorder))
    recorder.messages.clear()
    peer.chat("hi")
    (trace,) = recorder.messages
    assert stages(trace) == ["policy", "service", "dispatch", "room", "enqueue", "write"]
    assert trace.stages[1].attributes == {"service": "chat", "type": "send"}
    assert trace.stages[4].attributes == {"class": "reliable", "members": 1}
    assert (trace.lane, trace.outcome, trace.tenant) == ("ext", "written", "t")
    assert [stage.ended_ns for stage in trace.stages] == sorted(stage.ended_ns for stage in trace.stages)


async def test_a_hot_frame_is_followed_too(recorder: Recorder) -> None:
    peer = await a_member(world(recorder))
    recorder.messages.clear()
    peer.say(b"\x01\x07\x00state")
    (trace,) = recorder.messages
    assert stages(trace) == ["policy", "dispatch", "room", "enqueue", "write"]
    assert trace.stages[0].attributes == {"service": "1", "opcode": 7}
    assert (trace.lane, trace.outcome) == ("hot", "written")
    assert peer.heard() == [b"\x01\x07\x00state"]


async def test_a_refused_message_ends_with_its_reason(recorder: Recorder) -> None:
    peer = await a_member(world(recorder))
    recorder.messages.clear()
    peer.say({"v": 1, "svc": "nobody", "type": "x"})
    (trace,) = recorder.messages
    assert trace.outcome == "not_allowed_ext"


async def test_a_hot_frame_that_its_room_sheds_ends_its_trace(recorder: Recorder) -> None:
    of = world(recorder, hot={1: EchoService()}, qos={"hot_max_frames": 4})
    peer = await a_member(of)
    recorder.messages.clear()
    peer.say(*[b"\x01\x00\x00" + bytes([number]) for number in range(20)])
    outcomes = [trace.outcome for trace in recorder.messages]
    assert sorted(outcomes) == ["room_hot_shed"] * 16 + ["written"] * 4


async def test_a_reader_that_is_slow_or_gone_is_told_of_as_that(recorder: Recorder) -> None:
    one = world(recorder)
    peer = await a_member(one)
    recorder.messages.clear()
    peer.transport.fill()
    peer.chat("blocks")
    peer.chat("waits")
    assert [trace.outcome for trace in recorder.messages] == ["written"]
    peer.vanish()
    other = await a_member(one)
    other.chat("goes on")
    assert [trace.outcome for trace in recorder.messages if "write" in stages(trace)] == ["written", "lost", "written"]


async def test_a_sampled_publication_keeps_its_place_in_the_order() -> None:
    one = World(sampler=Sampler(Recorder(), 0.5, chance=iter([0.9, 0.1] * 1000).__next__))
    peer = await a_member(one)
    peer.say(*({"v": 1, "svc": "chat", "type": "send", "data": {"msg": str(n)}} for n in range(200)))
    assert [one["data"]["msg"] for one in peer.heard() if isinstance(one, dict)] == [str(n) for n in range(200)]


async def test_in_a_room_that_is_fanned_out_in_slices_it_is_followed_to_the_last_member(recorder: Recorder) -> None:
    one = world(recorder)
    peers = [await a_member(one, user=f"u{n}") for n in range(FAN_OUT_WORK + 1)]
    recorder.messages.clear()
    peers[0].chat("hi all")
    (trace,) = recorder.messages
    assert trace.stages[4].attributes["members"] == FAN_OUT_WORK + 1
    assert trace.outcome == "written"
    assert peers[-1].types() == ["msg"]


async def test_the_durations_of_samples_are_counted_by_lane() -> None:
    one = World(sampler=Sampler(clock_ns=Clock(), chance=lambda: 0.0))
    peer = await a_member(one)
    peer.chat("hi")
    peer.say(b"\x01\x07\x00state")
    sampler = one.tenant.sampler
    assert (sum(sampler.dispatch["ext"].counts), sum(sampler.delivery["ext"].counts)) == (2, 1)
    assert (sum(sampler.dispatch["hot"].counts), sum(sampler.delivery["hot"].counts)) == (1, 1)
    assert sampler.delivery["ext"].sum_s > 0


async def test_a_message_s_own_trace_is_its_parent(recorder: Recorder) -> None:
    peer = await a_member(world(recorder))
    recorder.messages.clear()
    peer.chat("hi", trace=UNSAMPLED)
    peer.chat("hi", trace="nonsense")
    assert [trace.parent for trace in recorder.messages] == [TraceParent("a" * 32, "b" * 16, False), None]


async def test_a_client_may_ask_for_traces_up_to_a_rate_and_not_beyond(recorder: Recorder) -> None:
    one = world(recorder, ratio=0.0)
    peer = await a_member(one)
    one.tenant.sampler.remaining = NEVER
    for _ in range(3 * int(ASKED_FOR_RPS)):
        peer.chat("look at me", trace=SAMPLED)
    assert len(recorder.messages) == ASKED_FOR_RPS
    assert {trace.outcome for trace in recorder.messages} == {"written"}
    peer.chat("unasked", trace=UNSAMPLED)
    assert len(recorder.messages) == ASKED_FOR_RPS


async def test_nothing_is_traced_on_request_when_traces_are_off() -> None:
    one = World(sampler=Sampler())
    peer = await a_member(one)
    one.tenant.sampler.remaining = NEVER
    peer.chat("look at me", trace=SAMPLED)
    assert sum(one.tenant.sampler.dispatch["ext"].counts) <= 1


def test_one_of_so_many_is_sampled_on_average_at_uneven_distances() -> None:
    sampler = Sampler(Recorder(), 0.1)
    distances = []
    for _ in range(3000):
        distances.append(sampler.remaining + 1)
        sampler._draw()
    assert 9 < sum(distances) / len(distances) < 11
    assert len(set(distances)) > 10


async def test_a_connection_s_life_is_noted_and_links_to_its_messages(recorder: Recorder) -> None:
    one = world(recorder)
    sampler = one.tenant.sampler
    trace = sampler.connection(TraceParent("a" * 32, "b" * 16, False))
    assert trace is not None
    opened = await one.ask("ann", "s1", trace=trace)
    peer = one.attach(opened.session)
    peer.join("lobby")
    peer.chat("hi")
    peer.vanish()
    (done,) = recorder.connections
    assert done is trace
    assert done.ref.trace_id == "a" * 32
    assert [event.name for event in done.events] == ["opened", "joined"]
    assert done.attributes["code"] == 1006
    chat = recorder.messages[-1]
    assert chat.connection == done.ref
    assert chat.links == [done.ref]


def test_a_connection_s_notes_are_bounded() -> None:
    trace = Sampler(Recorder(), 1.0).connection(None)
    assert trace is not None
    for _ in range(2 * MAX_EVENTS):
        trace.note("joined")
    assert len(trace.events) == MAX_EVENTS


async def test_a_call_about_a_traced_message_is_traced_and_about_a_timed_one_not(recorder: Recorder) -> None:
    of = world(recorder)
    ann = await a_member(of)
    message = recorder.messages[-1]
    sampler = of.tenant.sampler
    call = sampler.call(message.span())
    assert call is not None
    assert call.of == message.span()
    assert call.traceparent == f"00-{call.of.trace_id}-{call.ref.span_id}-01"
    other = sampler.call(message.span())
    assert other is not None
    call.begin([other])
    call.done(result="ok")
    assert recorder.calls == [call]
    assert call.links == [call.of, other.of]
    assert call.ended_ns > call.started_ns
    timed = Sampler(recorder, 0.0).begin("t", ann.session)
    assert timed.span() is None
    assert sampler.call(timed.span()) is None
    assert Sampler(None).call(message.span()) is None


def test_connections_are_sampled_by_share_or_as_asked_for() -> None:
    sampler = Sampler(Recorder(), 0.0, clock_ns=lambda: 0)
    assert sampler.connection(None) is None
    assert sampler.connection(TraceParent("a" * 32, "b" * 16, False)) is None
    asked = [sampler.connection(TraceParent("a" * 32, "b" * 16, True)) for _ in range(30)]
    assert sum(one is not None for one in asked) == ASKED_FOR_RPS
    assert Sampler().connection(TraceParent("a" * 32, "b" * 16, True)) is None


async def test_a_message_that_is_not_sampled_allocates_nothing_for_it(recorder: Recorder) -> None:
    """Refused hot frames pass the whole hook; what they leave, and what they need meanwhile, must not grow."""
    one = world(recorder, policy={"hot_error_mode": "silent", "hot_allowlist": []})
    peer = await a_member(one)
    sampler = one.tenant.sampler
    recorder.messages.clear()
    frames = [b"\x01\x07\x00state"] * 1000
    connection = peer.session.connection

    def allocated(messages: int) -> int:
        sampler.remaining = 200  # ints up to 256 exist already
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(messages // 100):
            sampler.remaining = 200
            connection.deliver(frames[:100])
        return sys.getallocatedblocks() - before

    allocated(1000)
    gc.disable()
    try:
        few, many = allocated(1000), allocated(10_000)
        tracemalloc.start()
        sampler.remaining = 200
        connection.deliver(frames[:100])
        ours = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/realtime/sampling.py")])
    finally:
        tracemalloc.stop()
        gc.enable()
    assert abs(many - few) < 20
    assert not ours.traces
    assert not recorder.messages
