"""The one writer: batching, blocked transports, stalls, closing, order and pacing."""

from __future__ import annotations

import pytest

from actors import ActorSystem
from actors.testing import ManualScheduler, Probe
from qos import Block, Frame, Lane, LaneCounters, OutboundQueue, Pacer, QueueLimits, Verdict
from tests.realtime_support import FakeTransport
from wsprism.protocol.codes import CloseCode
from wsprism.protocol.envelope import JSON
from wsprism.protocol.frames import close_frame, ping_frame
from wsprism.realtime.messages import CloseConnection
from wsprism.realtime.outbound.flusher import MOST_SURPLUS, SLICE_SIZE, SURPLUS_LINGER_S, VIOLATION_LINGER_S, Flusher
from wsprism.realtime.outbound.outlet import Closing, Outlet
from wsprism.realtime.outbound.wire import wire_format

STALL_S = 1.5
END = (1000, "over")
CLOSE = close_frame(*END)
PING = ping_frame()


class Bench:
    """A flusher and outlets whose transports take notes in ``order``."""

    def __init__(self, pacer: Pacer | None = None) -> None:
        self.scheduler = ManualScheduler()
        self.system = ActorSystem(self.scheduler)
        self.connection = Probe(self.system)
        self.counters = LaneCounters()
        self.stalled: list[Outlet] = []
        self.order: list[Outlet] = []
        self.flusher = Flusher(
            self.scheduler, pacer or Pacer(share=1), stall_timeout_s=STALL_S, on_stall=self.stalled.append
        )

    def outlet(
        self, limits: QueueLimits | None = None, hot_flush_s: float = 0.0, *, attach: bool = True
    ) -> tuple[Outlet, FakeTransport]:
        queue = OutboundQueue(limits or QueueLimits(), self.counters, hold_hot=hot_flush_s > 0)
        outlet = Outlet(queue, self.flusher, wire_format(JSON, deflated=False), hot_flush_s)
        outlet.connection = self.connection.ref
        transport = NotingTransport(outlet, self.order)
        if attach:
            outlet.attach(transport)
        return outlet, transport

    def settle(self) -> None:
        self.scheduler.run_until_idle()


class NotingTransport(FakeTransport):
    """Notes who was written to, and when it is told to, is full after a write."""

    def __init__(self, outlet: Outlet, order: list[Outlet]) -> None:
        super().__init__(outlet)
        self._order = order
        self.fills_up = False

    def write(self, data: bytes) -> None:
        super().write(data)
        self._order.append(self.outlet)
        if self.fills_up:
            self.fill(1000)


def control(data: bytes) -> Frame:
    return Frame(data, Lane.CONTROL, None)


def reliable(data: bytes) -> Frame:
    return Frame(data, Lane.RELIABLE, None)


def hot(data: bytes) -> Frame:
    return Frame(data, Lane.HOT, None)


def block_up(bench: Bench, outlet: Outlet, transport: NotingTransport | FakeTransport) -> None:
    """One write after which the transport is full."""
    assert isinstance(transport, NotingTransport)
    transport.fills_up = True
    outlet.offer(reliable(b"first."))
    bench.settle()
    transport.fills_up = False
    transport.written = b""
    transport.writes = 0


# Writing


def test_all_that_waits_for_a_connection_leaves_in_one_write() -> None:
    bench = Bench()
    outlet, transport = bench.outlet()
    for data in (b"a", b"b", b"c"):
        outlet.offer(reliable(data))
    outlet.offer_block(Block([reliable(b"d"), hot(b"e")]))
    bench.settle()
    assert (transport.written, transport.writes) == (b"abcde", 1)
    assert bench.flusher.writes == 1


def test_control_leaves_first() -> None:
    bench = Bench()
    outlet, transport = bench.outlet()
    outlet.offer(reliable(b"r"))
    outlet.offer(control(b"c"))
    bench.settle()
    assert transport.written == b"cr"


def test_each_connection_is_written_to_once_per_flush() -> None:
    bench = Bench()
    outlets = [bench.outlet() for _ in range(3)]
    for _ in range(5):
        for outlet, _ in outlets:
            outlet.offer(reliable(b"x"))
    bench.settle()
    assert [(transport.written, transport.writes) for _, transport in outlets] == [(b"xxxxx", 1)] * 3


def test_what_was_queued_before_the_socket_came_leaves_when_it_is_there() -> None:
    bench = Bench()
    outlet, transport = bench.outlet(attach=False)
    outlet.offer(reliable(b"early"))
    bench.settle()
    assert transport.written == b""
    outlet.attach(transport)
    bench.settle()
    assert transport.written == b"early"


def test_a_large_backlog_leaves_in_several_writes_and_others_get_their_turn_in_between() -> None:
    bench = Bench()
    greedy, greedy_transport = bench.outlet()
    modest, _ = bench.outlet()
    for _ in range(5):
        greedy.offer(reliable(b"x" * 20_000))
    modest.offer(reliable(b"y"))
    bench.settle()
    assert len(greedy_transport.written) == 100_000
    assert greedy_transport.writes > 1
    assert bench.order.index(modest) == 1


def test_a_lost_connection_is_not_written_to_and_what_it_held_is_counted() -> None:
    bench = Bench()
    outlet, transport = bench.outlet()
    outlet.offer(reliable(b"x"))
    outlet.lost()
    outlet.lost()
    bench.settle()
    assert transport.written == b""
    assert bench.counters.discarded[Lane.RELIABLE] == 1
    assert list(bench.counters.queued) == [0, 0, 0]


# Slow readers


def test_nothing_is_written_to_a_full_transport_until_it_has_drained() -> None:
    bench = Bench()
    outlet, transport = bench.outlet()
    block_up(bench, outlet, transport)
    outlet.offer(reliable(b"second"))
    outlet.offer(control(b"ping."))
    bench.settle()
    assert transport.written == b""
    transport.drain()
    bench.settle()
    assert transport.written == b"ping.second"
    outlet.offer(reliable(b"third"))
    bench.settle()
    assert transport.written == b"ping.secondthird"


def test_a_blocked_connection_does_not_hold_up_another() -> None:
    bench = Bench()
    slow, slow_transport = bench.outlet()
    quick, quick_transport = bench.outlet()
    block_up(bench, slow, slow_transport)
    slow.offer(reliable(b"x"))
    quick.offer(reliable(b"x"))
    bench.settle()
    assert (slow_transport.written, quick_transport.written) == (b"", b"x")


def test_a_transport_without_progress_is_reported_once_after_the_stall_timeout() -> None:
    bench = Bench()
    outlet, transport = bench.outlet()
    block_up(bench, outlet, transport)
    bench.scheduler.advance(STALL_S - 0.1)
    assert bench.stalled == []
    bench.scheduler.advance(0.2)
    assert bench.stalled == [outlet]
    bench.scheduler.advance(10)
    assert bench.stalled == [outlet]


def test_a_slow_but_steady_reader_is_never_a_stall() -> None:
    bench = Bench()
    outlet, transport = bench.outlet()
    block_up(bench, outlet, transport)
    for left in range(990, 900, -10):
        bench.scheduler.advance(STALL_S - 0.1)
        transport.stuck_bytes = left
    assert bench.stalled == []
    bench.scheduler.advance(STALL_S + 0.2)
    assert bench.stalled == [outlet]


def test_a_transport_that_drained_in_time_is_not_watched_any_more() -> None:
    bench = Bench()
    outlet, transport = bench.outlet()
    block_up(bench, outlet, transport)
    bench.scheduler.advance(STALL_S - 0.1)
    transport.drain()
    bench.scheduler.advance(10)
    assert bench.stalled == []
    assert bench.scheduler.timers == 0


def test_new_settings_hold_for_what_is_blocked_already() -> None:
    bench = Bench()
    outlet, transport = bench.outlet()
    block_up(bench, outlet, transport)
    bench.flusher.configure(Pacer(share=1), 0.2)
    bench.scheduler.advance(0.3)
    assert bench.stalled == [outlet]


def test_an_overflowing_queue_asks_for_the_end_of_its_connection() -> None:
    bench = Bench()
    outlet, transport = bench.outlet(QueueLimits(reliable_max_messages=2))
    block_up(bench, outlet, transport)
    for data in (b"1", b"2", b"3", b"4"):
        outlet.offer(reliable(data))
    outlet.offer_block(Block([reliable(b"5")]))
    bench.connection.expect(CloseConnection(CloseCode.SLOW_CONSUMER, "slow consumer", discard=True))
    assert list(bench.counters.queued) == [0, 0, 0]


# Pings


def test_a_ping_leaves_before_what_waits_and_counts_in_no_class() -> None:
    bench = Bench()
    outlet, transport = bench.outlet()
    outlet.offer(reliable(b"r"))
    outlet.ping()
    bench.settle()
    assert transport.written == PING + b"r"
    outlet.ping()
    bench.settle()
    assert transport.written == PING + b"r" + PING
    assert list(bench.counters.offered) == [0, 1, 0]


def test_a_ping_reaches_a_connection_whose_hot_frames_wait_for_their_tick() -> None:
    bench = Bench()
    outlet, transport = bench.outlet(hot_flush_s=0.1)
    outlet.offer(hot(b"h"))
    outlet.ping()
    bench.scheduler.advance(0.2)
    assert transport.written == PING + b"h"
    outlet.ping()
    bench.scheduler.advance(0.2)
    assert transport.written == PING + b"h" + PING


def test_pings_wait_as_one_while_the_transport_is_full() -> None:
    bench = Bench()
    outlet, transport = bench.outlet()
    block_up(bench, outlet, transport)
    outlet.ping()
    outlet.ping()
    bench.settle()
    assert transport.written == b""
    transport.drain()
    bench.settle()
    assert transport.written == PING


def test_nobody_is_pinged_whose_end_has_begun() -> None:
    bench = Bench()
    outlet, transport = bench.outlet()
    outlet.ping()
    outlet.close(*END, discard=True)
    outlet.ping()
    bench.settle()
    assert transport.written == CLOSE


# Closing


def test_a_close_leaves_after_control_and_reliable_and_without_the_hot_frames() -> None:
    bench = Bench()
    outlet, transport = bench.outlet()
    outlet.offer(hot(b"h"))
    outlet.offer(reliable(b"r"))
    outlet.offer(control(b"c"))
    outlet.close(*END, discard=False)
    bench.settle()
    assert transport.written == b"cr" + CLOSE
    assert outlet.closing is Closing.CLOSE_SENT
    assert bench.counters.discarded[Lane.HOT] == 1


def test_a_close_that_discards_leaves_alone_and_at_once() -> None:
    bench = Bench()
    outlet, transport = bench.outlet()
    outlet.offer(reliable(b"r"))
    outlet.offer(control(b"c"))
    outlet.close(*END, discard=True)
    bench.settle()
    assert transport.written == CLOSE
    assert list(bench.counters.queued) == [0, 0, 0]


def test_nothing_is_taken_after_a_close_and_a_second_close_changes_nothing() -> None:
    bench = Bench()
    outlet, transport = bench.outlet()
    outlet.close(*END, discard=False)
    outlet.close(1001, "other", discard=True)
    outlet.offer(reliable(b"late"))
    outlet.offer_block(Block([reliable(b"late")]))
    bench.settle()
    assert transport.written == CLOSE
    bench.connection.expect_nothing()


def test_a_close_waits_for_a_blocked_transport() -> None:
    bench = Bench()
    outlet, transport = bench.outlet()
    block_up(bench, outlet, transport)
    outlet.offer(reliable(b"r"))
    outlet.close(*END, discard=False)
    bench.settle()
    assert transport.written == b""
    transport.drain()
    bench.settle()
    assert transport.written == b"r" + CLOSE


def test_a_close_whose_last_write_filled_the_transport_follows_when_it_has_drained() -> None:
    bench = Bench()
    outlet, transport = bench.outlet()
    assert isinstance(transport, NotingTransport)
    transport.fills_up = True
    outlet.offer(reliable(b"r"))
    outlet.close(*END, discard=False)
    bench.settle()
    assert transport.written == b"r"
    transport.fills_up = False
    transport.drain()
    bench.settle()
    assert transport.written == b"r" + CLOSE


@pytest.mark.parametrize(("linger", "patience_s"), [(True, STALL_S), (False, VIOLATION_LINGER_S)])
def test_a_peer_that_does_not_answer_the_close_is_aborted_at_the_deadline(linger: bool, patience_s: float) -> None:
    bench = Bench()
    outlet, transport = bench.outlet()
    outlet.close(*END, discard=False, linger=linger)
    bench.scheduler.advance(patience_s - 0.06)
    assert transport.ended is None
    bench.scheduler.advance(0.12)
    assert transport.ended == "aborted"


def test_a_queue_that_does_not_flush_is_aborted_at_the_deadline() -> None:
    bench = Bench()
    outlet, transport = bench.outlet()
    block_up(bench, outlet, transport)
    outlet.offer(reliable(b"r"))
    outlet.close(*END, discard=False)
    bench.scheduler.advance(STALL_S + 0.1)
    assert transport.ended == "aborted"
    assert bench.stalled == []


def test_a_close_that_came_before_the_socket_is_sent_when_it_is_there_and_has_a_deadline() -> None:
    for discard in (False, True):
        bench = Bench()
        outlet, transport = bench.outlet(attach=False)
        outlet.offer(control(b"c"))
        outlet.close(*END, discard=discard)
        bench.scheduler.advance(10)
        outlet.attach(transport)
        bench.settle()
        assert transport.written == (b"" if discard else b"c") + CLOSE
        assert transport.ended is None
        bench.scheduler.advance(STALL_S + 0.1)
        assert transport.ended == "aborted"


def test_the_transport_is_closed_once_both_closes_are_there_whichever_came_first() -> None:
    bench = Bench()
    ours_first, transport = bench.outlet()
    ours_first.close(*END, discard=False)
    bench.settle()
    assert transport.ended is None
    ours_first.peer_closed()
    assert transport.ended == "closed"

    theirs_first, other = bench.outlet()
    theirs_first.offer(reliable(b"r"))
    theirs_first.close(*END, discard=False)
    theirs_first.peer_closed()
    assert other.ended is None
    bench.settle()
    assert other.written == b"r" + CLOSE
    assert other.ended == "closed"


def test_nothing_is_left_to_watch_when_closed_connections_are_gone() -> None:
    bench = Bench()
    outlet, _ = bench.outlet()
    outlet.close(*END, discard=False)
    bench.settle()
    outlet.lost()
    bench.scheduler.advance(1)
    assert bench.scheduler.timers == 0


# Order


def test_small_rooms_are_written_to_before_large_ones_without_starving_them() -> None:
    bench = Bench()
    large = [bench.outlet()[0] for _ in range(SLICE_SIZE * 2)]
    small = [bench.outlet()[0] for _ in range(3)]
    for outlet in large:
        assert outlet.queue.offer(reliable(b"x")) is Verdict.WAKE
    bench.flusher.mark_all(large, large=True)
    for outlet in small:
        outlet.offer(reliable(b"x"))
    bench.scheduler.run_once()
    assert bench.order[:3] == small
    assert len(bench.order) == SLICE_SIZE
    bench.settle()
    assert bench.order[3:] == large


# Pacing


class Costly(ManualScheduler):
    """A clock that each write moves on."""

    def spend(self, seconds: float) -> None:
        self._now += seconds


class CostlyTransport(FakeTransport):
    """A write costs 2 ms."""

    def __init__(self, outlet: Outlet, scheduler: Costly) -> None:
        super().__init__(outlet)
        self._scheduler = scheduler
        self.times: list[float] = []

    def write(self, data: bytes) -> None:
        self.times.append(self._scheduler.now())
        super().write(data)
        self._scheduler.spend(0.002)


@pytest.mark.parametrize(
    ("share", "max_delay_s", "expected_s"),
    [(0.5, 0.010, 0.002), (0.05, 0.010, 0.010), (1.0, 0.010, 0.0), (0.05, 0.0, 0.0)],
)
def test_the_next_slice_is_held_for_its_share_and_never_beyond_the_longest_delay(
    share: float, max_delay_s: float, expected_s: float
) -> None:
    scheduler = Costly()
    flusher = Flusher(
        scheduler, Pacer(share=share, max_delay_s=max_delay_s), stall_timeout_s=STALL_S, on_stall=lambda _: None
    )
    outlet = Outlet(OutboundQueue(QueueLimits(), LaneCounters()), flusher, wire_format(JSON, deflated=False))
    transport = CostlyTransport(outlet, scheduler)
    outlet.attach(transport)
    outlet.offer(reliable(b"a"))
    scheduler.run_until_idle()
    assert transport.times == [0.0]
    ended_at = scheduler.now()
    for data in (b"b", b"c", b"d"):
        outlet.offer(reliable(data))
    scheduler.advance(0.02)
    assert transport.written == b"abcd"
    assert transport.writes == 2
    assert transport.times[1] - ended_at == pytest.approx(expected_s)


# hot_flush_ms


def test_hot_frames_gather_until_the_tick_of_their_interval() -> None:
    bench = Bench()
    outlet, transport = bench.outlet(hot_flush_s=0.1)
    bench.scheduler.advance(0.03)
    for data in (b"1", b"2", b"3"):
        outlet.offer(hot(data))
        bench.scheduler.advance(0.02)
    assert transport.written == b""
    bench.scheduler.advance(0.02)
    assert (transport.written, transport.writes) == (b"123", 1)


def test_a_message_that_is_not_hot_leaves_at_once_and_hot_frames_stay_for_their_tick() -> None:
    bench = Bench()
    outlet, transport = bench.outlet(hot_flush_s=0.1)
    outlet.offer(hot(b"h"))
    outlet.offer(reliable(b"r"))
    bench.settle()
    assert transport.written == b"r"
    bench.scheduler.advance(0.11)
    assert transport.written == b"rh"
    bench.scheduler.advance(1)
    assert bench.scheduler.timers == 0


def test_all_connections_of_an_interval_share_its_timer() -> None:
    bench = Bench()
    for _ in range(5):
        bench.outlet(hot_flush_s=0.1)[0].offer(hot(b"h"))
    assert bench.scheduler.timers == 1


class Broken(NotingTransport):
    """A transport with a fault of its own."""

    def write(self, data: bytes) -> None:  # noqa: ARG002
        raise RuntimeError("the handler is closed")

    def progress(self) -> int:
        raise RuntimeError("the handler is closed")


def test_whatever_goes_wrong_with_one_transport_ends_that_connection_only() -> None:
    bench = Bench()
    first, _ = bench.outlet(attach=False)
    broken = Broken(first, bench.order)
    first.attach(broken)
    others = [bench.outlet() for _ in range(3)]
    for outlet in (first, *(outlet for outlet, _ in others)):
        outlet.offer(reliable(b"one"))
    bench.settle()
    assert broken.ended == "aborted"
    for outlet, _ in others:
        outlet.offer(reliable(b"two"))
    bench.settle()
    assert [transport.written for _, transport in others] == [b"onetwo"] * 3


def test_a_transport_that_cannot_be_asked_is_ended_by_the_watch() -> None:
    bench = Bench()
    first, _ = bench.outlet(attach=False)
    broken = Broken(first, bench.order)
    first.attach(broken)
    other, transport = bench.outlet()
    block_up(bench, other, transport)
    first.blocked = True
    bench.flusher._watch(first)
    bench.scheduler.advance(STALL_S + 0.1)
    assert broken.ended == "aborted"
    assert bench.stalled == [other]


def test_a_close_that_cannot_be_written_ends_the_connection() -> None:
    bench = Bench()
    outlet, _ = bench.outlet(attach=False)
    broken = Broken(outlet, bench.order)
    outlet.attach(broken)
    outlet.close(*END, discard=True)
    assert broken.ended == "aborted"


def test_sockets_of_sessions_that_count_no_more_are_bounded_the_oldest_gives_way() -> None:
    bench = Bench()
    crowd = [bench.outlet() for _ in range(MOST_SURPLUS + 1)]
    for outlet, _ in crowd:
        outlet.close(*END, discard=False, surplus=True)
    bench.settle()
    assert [transport.ended for _, transport in crowd] == ["aborted"] + [None] * MOST_SURPLUS
    assert all(transport.written == CLOSE for _, transport in crowd)


def test_a_socket_of_a_session_that_counts_no_more_goes_soon() -> None:
    bench = Bench()
    bench.flusher.configure(Pacer(share=1), 60.0)
    outlet, transport = bench.outlet()
    outlet.close(*END, discard=False, surplus=True)
    bench.scheduler.advance(SURPLUS_LINGER_S - 0.1)
    assert transport.ended is None
    bench.scheduler.advance(0.2)
    assert transport.ended == "aborted"
