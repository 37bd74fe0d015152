"""The outbound queue against a naive model that keeps three plain lists."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from qos import Block, Frame, Lane, LaneCounters, OutboundQueue, QueueLimits, Verdict
from qos.backlog import QUANTUM_BYTES
from tests.examples import examples

Item = tuple[Hashable | None, bytes]

LIMITS = QueueLimits(
    control_max_messages=3, reliable_max_bytes=300, reliable_max_messages=6, hot_max_frames=4, hot_weight=2
)

NARROW = QueueLimits(control_max_messages=1, reliable_max_bytes=100, reliable_max_messages=2, hot_max_frames=1)
BYTES = QueueLimits(reliable_max_bytes=300, reliable_max_messages=6, hot_max_frames=100, hot_max_bytes=90)


class Tally:
    """Messages and bytes of each lane that went one way."""

    def __init__(self) -> None:
        self.messages, self.size_bytes = [0, 0, 0], [0, 0, 0]

    def add(self, lane: Lane, items: Iterable[Item]) -> None:
        for _, data in items:
            self.messages[lane] += 1
            self.size_bytes[lane] += len(data)


@dataclass
class Model:
    """What the queue promises, said as plainly as possible."""

    lanes: dict[Lane, list[Item]] = field(default_factory=lambda: {lane: [] for lane in Lane})
    limits: QueueLimits = LIMITS
    congested: bool = False
    open: bool = True
    offered: Tally = field(default_factory=Tally)
    dropped: Tally = field(default_factory=Tally)
    conflated: Tally = field(default_factory=Tally)
    discarded: Tally = field(default_factory=Tally)
    sent: Tally = field(default_factory=Tally)

    def offer(self, lane: Lane, key: Hashable | None, data: bytes) -> bool:
        self.offered.add(lane, [(key, data)])
        if not self.open:
            self.discarded.add(lane, [(key, data)])
            return False
        items = self.lanes[lane]
        count = len(items)
        if lane is Lane.HOT:
            self._add_hot(key, data)
            if len(items) > max(count, self.limits.hot_max_frames):
                self.dropped.add(lane, [items.pop(0)])
            while len(items) > 1 and sum(len(item[1]) for item in items) > self.limits.hot_max_bytes:
                self.dropped.add(lane, [items.pop(0)])
            return True
        limits = self.limits
        size = sum(len(item[1]) for item in items) + len(data)
        full = len(items) >= (
            limits.control_max_messages if lane is Lane.CONTROL else limits.reliable_max_messages
        ) or (lane is Lane.RELIABLE and size > limits.reliable_max_bytes)
        if items and full:
            self.dropped.add(lane, [(key, data)])
            self.close()
            return False
        items.append((key, data))
        return True

    def _add_hot(self, key: Hashable | None, data: bytes) -> None:
        items = self.lanes[Lane.HOT]
        if self.congested and key is not None and any(item[0] == key for item in items):
            at = next(at for at, item in enumerate(items) if item[0] == key)
            self.conflated.add(Lane.HOT, [items[at]])
            items[at] = (key, data)
            return
        items.append((key, data))

    def congest(self, congested: bool) -> None:
        if congested and not self.congested:
            waiting, self.lanes[Lane.HOT] = self.lanes[Lane.HOT], []
            self.congested = True
            for key, data in waiting:
                self._add_hot(key, data)
        self.congested = congested

    def drop_hot(self) -> None:
        self.discarded.add(Lane.HOT, self.lanes[Lane.HOT])
        self.lanes[Lane.HOT].clear()

    def close(self) -> None:
        self.open = False
        for lane, items in self.lanes.items():
            self.discarded.add(lane, items)
            items.clear()

    def expect_sent(self, data: bytes, max_bytes: int, hot: bool) -> None:
        """``data`` is a beginning of every class, control before the rest, and fits."""
        urgent = self.lanes[Lane.CONTROL] + self.lanes[Lane.RELIABLE]
        assert bool(data) == bool(urgent or (hot and self.lanes[Lane.HOT]))
        taken = 0
        others_seen = False
        size = len(data)
        while data:
            lane = next(lane for lane in Lane if self.lanes[lane] and data.startswith(self.lanes[lane][0][1]))
            assert hot or lane is not Lane.HOT
            assert not (others_seen and lane is Lane.CONTROL)
            others_seen = others_seen or lane is not Lane.CONTROL
            assert lane is Lane.CONTROL or not self.lanes[Lane.CONTROL]
            item = self.lanes[lane].pop(0)
            self.sent.add(lane, [item])
            data = data[len(item[1]) :]
            taken += 1
        assert size <= max_bytes or taken == 1

    def expect_lane_sent(self, lane: Lane, data: bytes, max_bytes: int) -> None:
        """``data`` is a beginning of ``lane`` that fits, and there is no more of it that would."""
        items = self.lanes[lane]
        size = len(data)
        taken = []
        while data:
            assert data.startswith(items[0][1])
            data = data[len(items[0][1]) :]
            taken.append(items.pop(0))
        assert bool(taken) or not items
        assert size <= max_bytes or len(taken) == 1
        assert not items or size + len(items[0][1]) > max_bytes
        self.sent.add(lane, taken)

    def check(self, queue: OutboundQueue) -> None:
        for lane, items in self.lanes.items():
            assert queue.queued(lane) == (len(items), sum(len(item[1]) for item in items))
        assert queue.empty == (not any(self.lanes.values()))
        assert queue.urgent == bool(self.lanes[Lane.CONTROL] or self.lanes[Lane.RELIABLE])
        assert queue.control_count == len(self.lanes[Lane.CONTROL])


def check_account(counters: LaneCounters, models: Sequence[Model]) -> None:
    """Every counter is the sum over the models, and nothing that was offered is missing."""
    for way in ("offered", "sent", "dropped", "conflated", "discarded"):
        tallies: list[Tally] = [getattr(model, way) for model in models]
        assert getattr(counters, way) == [sum(tally.messages[lane] for tally in tallies) for lane in Lane], way
        sizes = [sum(tally.size_bytes[lane] for tally in tallies) for lane in Lane]
        assert getattr(counters, f"{way}_bytes") == sizes, way
    standing = [[data for model in models for _, data in model.lanes[lane]] for lane in Lane]
    assert counters.queued == [len(items) for items in standing]
    assert counters.queued_bytes == [sum(map(len, items)) for items in standing]


SIZES = st.one_of(st.integers(6, 60), st.just(400))
DATA_FRAMES = st.tuples(st.sampled_from([Lane.RELIABLE, Lane.HOT]), st.sampled_from([None, "a", "b", "c"]), SIZES)
STEPS = st.one_of(
    st.tuples(st.just("offer"), st.tuples(st.sampled_from(list(Lane)), st.sampled_from([None, "a", "b"]), SIZES)),
    st.tuples(st.just("block"), st.lists(DATA_FRAMES, min_size=1, max_size=4)),
    st.tuples(st.just("block"), st.lists(DATA_FRAMES, min_size=1, max_size=2)),
    st.tuples(st.just("take"), st.tuples(st.sampled_from([20, 90, 100_000]), st.sampled_from([True, True, False]))),
    st.tuples(st.just("take_lane"), st.tuples(st.sampled_from(list(Lane)), st.sampled_from([20, 90, 100_000]))),
    st.tuples(st.just("congest"), st.booleans()),
    st.tuples(st.just("drop_hot"), st.none()),
    st.tuples(st.just("offer_control"), st.integers(6, 60)),
    st.tuples(st.just("configure"), st.tuples(st.sampled_from([LIMITS, NARROW, BYTES]), st.booleans())),
)


class Run:
    """A queue and its model, given the same steps."""

    def __init__(self, hold_hot: bool) -> None:
        self.counters = LaneCounters()
        self.queue = OutboundQueue(LIMITS, self.counters, hold_hot=hold_hot)
        self.model = Model()
        self._serial = 0

    def frame(self, lane: Lane, key: Hashable | None, size: int) -> Frame:
        self._serial += 1
        return Frame(self._serial.to_bytes(4, "big").ljust(size, b"\xff"), lane, key)

    def offered(self, frames: list[Frame], offer: Callable[[], Verdict]) -> None:
        was_open, was_empty, was_urgent = self.model.open, self.queue.empty, self.queue.urgent
        verdict = offer()
        taken = [self.model.offer(frame.lane, frame.key, frame.data) for frame in frames]
        urgent = any(frame.lane is not Lane.HOT for frame in frames)
        if not was_open:
            assert verdict is Verdict.CLOSED
        elif not all(taken):
            assert verdict is Verdict.OVERFLOW
        elif was_empty or (self.queue.hold_hot and urgent and not was_urgent):
            assert verdict is Verdict.WAKE
        else:
            assert verdict is Verdict.QUEUED

    def step(self, name: str, value: object) -> None:
        queue, model = self.queue, self.model
        match name, value:
            case "offer", (Lane() as lane, key, int(size)):
                frame = self.frame(lane, key, size)
                self.offered([frame], lambda: queue.offer(frame))
            case "offer_control", int(size):
                frame = self.frame(Lane.CONTROL, None, size)
                self.offered([frame], lambda: queue.offer(frame))
            case "block", list(rows):
                frames = [self.frame(*row) for row in rows]
                self.offered(frames, lambda: queue.offer_block(Block(frames)))
            case "take", (int(max_bytes), bool(hot)):
                model.expect_sent(queue.take(max_bytes, hot=hot), max_bytes, hot)
            case "take_lane", (Lane() as lane, int(max_bytes)):
                model.expect_lane_sent(lane, queue.take_lane(lane, max_bytes), max_bytes)
            case "congest", bool(congested):
                queue.set_congested(congested)
                model.congest(congested)
            case "configure", (QueueLimits() as limits, bool(hold_hot)):
                queue.configure(limits, hold_hot=hold_hot)
                model.limits = limits
            case _:
                queue.drop_hot()
                model.drop_hot()
        model.check(queue)
        check_account(self.counters, [model])


@settings(max_examples=examples(150), deadline=None)
@given(hold_hot=st.booleans(), steps=st.lists(STEPS, max_size=40), ending=st.sampled_from(["seal", "close"]))
def test_queue_keeps_every_promise_of_the_model(hold_hot: bool, steps: list[tuple[str, object]], ending: str) -> None:
    run = Run(hold_hot)
    for name, value in steps:
        run.step(name, value)
    if ending == "seal":
        run.queue.seal()
        run.model.drop_hot()
        run.model.open = False
    else:
        run.queue.close()
        run.model.close()
    run.model.check(run.queue)
    check_account(run.counters, [run.model])
    run.step("offer", (Lane.HOT, None, 9))
    run.step("block", [(Lane.RELIABLE, None, 9), (Lane.HOT, "a", 9)])
    while not run.queue.empty:
        run.step("take", (50, True))
    assert run.counters.queued == [0, 0, 0]


MEMBER_STEPS = st.one_of(
    st.tuples(st.just("block"), st.lists(DATA_FRAMES, min_size=1, max_size=3)),
    st.tuples(st.just("take"), st.tuples(st.integers(0, 2), st.sampled_from([40, 100_000]))),
    st.tuples(st.just("congest"), st.tuples(st.integers(0, 2), st.booleans())),
)


@settings(max_examples=examples(80), deadline=None)
@given(steps=st.lists(MEMBER_STEPS, max_size=40))
def test_members_share_blocks_and_an_account_and_nothing_else(steps: list[tuple[str, object]]) -> None:
    counters = LaneCounters()
    members = [(OutboundQueue(LIMITS, counters), Model()) for _ in range(3)]
    serial = 0
    published: list[tuple[Block, list[bytes]]] = []
    for name, value in steps:
        match name, value:
            case "block", list(rows):
                frames = []
                for lane, key, size in rows:
                    serial += 1
                    frames.append(Frame(serial.to_bytes(4, "big").ljust(size, b"\xff"), lane, key))
                block = Block(frames)
                published.append((block, [frame.data for frame in frames]))
                for queue, model in members:
                    queue.offer_block(block)
                    for frame in frames:
                        model.offer(frame.lane, frame.key, frame.data)
            case "take", (int(at), int(max_bytes)):
                queue, model = members[at]
                model.expect_sent(queue.take(max_bytes), max_bytes, True)
            case "congest", (int(at), bool(congested)):
                queue, model = members[at]
                queue.set_congested(congested)
                model.congest(congested)
            case _:
                raise AssertionError(name)
        for queue, model in members:
            model.check(queue)
        check_account(counters, [model for _, model in members])
    for block, data in published:
        assert [frame.data for frame in block.frames] == data
        assert block.data == b"".join(data)


@settings(max_examples=examples(40), deadline=None)
@given(
    weights=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    sizes=st.tuples(st.lists(st.integers(2, 3000), min_size=1), st.lists(st.integers(2, 3000), min_size=1)),
    budgets=st.lists(st.integers(1, 40_000), min_size=1, max_size=10),
)
def test_backlogged_lanes_share_bytes_by_weight_within_a_quantum(
    weights: tuple[int, int], sizes: tuple[list[int], list[int]], budgets: list[int]
) -> None:
    limits = QueueLimits(
        reliable_max_bytes=10**9,
        reliable_max_messages=10**6,
        hot_max_frames=10**6,
        reliable_weight=weights[0],
        hot_weight=weights[1],
    )
    counters = LaneCounters()
    queue = OutboundQueue(limits, counters)
    queue.set_congested(True)
    serial = 0

    def refill() -> None:
        nonlocal serial
        for lane, lengths in ((Lane.RELIABLE, sizes[0]), (Lane.HOT, sizes[1])):
            while queue.queued(lane)[1] < 42_000:
                queue.offer(Frame(bytes(lengths[serial % len(lengths)]), lane))
                serial += 1

    for budget in budgets:
        refill()
        queue.take(budget)
        rounds = [counters.sent_bytes[lane] / weight for lane, weight in zip((1, 2), weights, strict=True)]
        slack = QUANTUM_BYTES + sum(3000 / weight for weight in weights)
        assert abs(rounds[0] - rounds[1]) <= slack
