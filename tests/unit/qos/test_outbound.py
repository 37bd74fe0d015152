"""The outbound queue: three classes, their bounds and verdicts, and whole blocks while nothing is in the way."""

from __future__ import annotations

import pytest

from qos import Block, Frame, Lane, LaneCounters, OutboundQueue, QueueLimits, Verdict


def reliable(data: bytes) -> Frame:
    return Frame(data, Lane.RELIABLE)


def hot(data: bytes, key: str | None = None) -> Frame:
    return Frame(data, Lane.HOT, key)


def control(data: bytes) -> Frame:
    return Frame(data, Lane.CONTROL)


@pytest.fixture
def counters() -> LaneCounters:
    return LaneCounters()


@pytest.fixture
def queue(counters: LaneCounters) -> OutboundQueue:
    return OutboundQueue(QueueLimits(), counters)


def small_queue(counters: LaneCounters, **limits: int) -> OutboundQueue:
    return OutboundQueue(QueueLimits(**limits), counters)


def test_first_offer_wakes_and_later_ones_do_not(queue: OutboundQueue) -> None:
    assert queue.offer(control(b"p")) is Verdict.WAKE
    assert queue.offer_block(Block([reliable(b"a")])) is Verdict.QUEUED
    assert queue.offer(hot(b"h")) is Verdict.QUEUED
    assert not Verdict.QUEUED


def test_control_leaves_before_everything_else(queue: OutboundQueue) -> None:
    queue.offer_block(Block([reliable(b"a"), hot(b"h")]))
    queue.offer(reliable(b"b"))
    queue.offer(control(b"ping"))
    assert queue.take(100) == b"pingahb"
    assert queue.take(100) == b""


def test_uncongested_frames_leave_in_publication_order_across_lanes(queue: OutboundQueue) -> None:
    queue.offer(hot(b"1"))
    queue.offer_block(Block([reliable(b"2"), hot(b"3")]))
    queue.offer(reliable(b"4"))
    assert queue.take(100) == b"1234"


def test_members_with_the_same_blocks_share_the_joined_bytes(counters: LaneCounters) -> None:
    blocks = [Block([reliable(b"a" * 50)]), Block([hot(b"h" * 50), reliable(b"b")]), Block([hot(b"c")])]
    taken = []
    for _ in range(3):
        queue = OutboundQueue(QueueLimits(), counters)
        for block in blocks:
            queue.offer_block(block)
        taken.append(queue.take(1000))
    assert taken[0] == b"a" * 50 + b"h" * 50 + b"bc"
    assert taken[0] is taken[1] is taken[2]


def test_a_single_block_leaves_without_a_copy(queue: OutboundQueue) -> None:
    frame = reliable(b"a" * 100)
    queue.offer_block(Block([frame]))
    assert queue.take(1000) is frame.data


def test_whole_blocks_leave_while_they_fit(queue: OutboundQueue) -> None:
    for data in (b"aaaa", b"bbbb", b"cccc"):
        queue.offer_block(Block([reliable(data)]))
    queue.offer(hot(b"dddd"))
    assert queue.take(9) == b"aaaabbbb"
    assert queue.take(4) == b"cccc"
    assert queue.take(4) == b"dddd"
    assert queue.empty


def test_a_block_larger_than_the_budget_leaves_frame_by_frame(queue: OutboundQueue) -> None:
    queue.offer_block(Block([reliable(b"aaaa"), reliable(b"bbbb"), reliable(b"cccc")]))
    assert [queue.take(8), queue.take(8), queue.take(8)] == [b"aaaabbbb", b"cccc", b""]


def test_a_frame_larger_than_the_budget_leaves_alone(queue: OutboundQueue) -> None:
    queue.offer(control(b"c" * 50))
    queue.offer(control(b"d"))
    queue.offer_block(Block([reliable(b"a" * 50), reliable(b"b")]))
    assert [queue.take(10) for _ in range(4)] == [b"c" * 50, b"d", b"a" * 50, b"b"]


def test_an_empty_class_takes_a_message_of_any_size(counters: LaneCounters) -> None:
    queue = small_queue(counters, control_max_messages=1, reliable_max_bytes=10, hot_max_frames=1)
    assert queue.offer_block(Block([reliable(b"a" * 99)])) is Verdict.WAKE
    assert queue.take(1000) == b"a" * 99


@pytest.mark.parametrize("limits", [{"reliable_max_bytes": 10}, {"reliable_max_messages": 2}])
def test_a_full_reliable_class_closes_the_queue(counters: LaneCounters, limits: dict[str, int]) -> None:
    queue = small_queue(counters, **limits)
    queue.offer_block(Block([reliable(b"12345"), hot(b"h"), reliable(b"12345")]))
    assert queue.offer_block(Block([hot(b"h"), reliable(b"x"), reliable(b"y")])) is Verdict.OVERFLOW
    assert queue.empty
    assert queue.offer(reliable(b"z")) is Verdict.CLOSED
    assert counters.offered == [0, 5, 2]
    assert counters.dropped == [0, 1, 0]
    assert counters.discarded == [0, 4, 2]


def test_full_control_closes_the_queue(counters: LaneCounters) -> None:
    queue = small_queue(counters, control_max_messages=1)
    assert queue.offer(control(b"a")) is Verdict.WAKE
    assert queue.offer(control(b"b")) is Verdict.OVERFLOW
    assert queue.control_count == 0
    assert counters.queued == [0, 0, 0]


@pytest.mark.parametrize("congested", [False, True])
def test_full_hot_drops_its_oldest(counters: LaneCounters, congested: bool) -> None:
    queue = small_queue(counters, hot_max_frames=2)
    queue.set_congested(congested)
    queue.offer_block(Block([hot(b"1"), hot(b"2")]))
    queue.offer(hot(b"3"))
    queue.offer_block(Block([hot(b"4")]))
    assert queue.take(100) == b"34"
    assert counters.dropped == [0, 0, 2]


def test_a_newer_frame_of_a_key_takes_the_older_ones_place_while_congested(
    queue: OutboundQueue, counters: LaneCounters
) -> None:
    queue.set_congested(True)
    queue.offer_block(Block([hot(b"a1", "a"), hot(b"b1", "b"), hot(b"n1"), hot(b"a2", "a"), hot(b"n2")]))
    assert queue.take(100) == b"a2b1n1n2"
    assert counters.conflated == [0, 0, 1]
    assert counters.conflated_bytes == [0, 0, 2]


def test_frames_shared_with_other_queues_are_not_changed_by_conflation(queue: OutboundQueue) -> None:
    shared = hot(b"old", "a")
    queue.set_congested(True)
    queue.offer(shared)
    queue.offer(hot(b"new", "a"))
    assert shared.data == b"old"
    assert queue.take(100) == b"new"


def test_congestion_conflates_what_already_stands_there(queue: OutboundQueue) -> None:
    queue.offer_block(Block([hot(b"a1", "a"), hot(b"b1", "b"), hot(b"a2", "a")]))
    assert queue.queued(Lane.HOT) == (3, 6)
    queue.set_congested(True)
    assert queue.queued(Lane.HOT) == (2, 4)
    queue.set_congested(False)
    queue.offer(hot(b"a3", "a"))
    assert queue.queued(Lane.HOT) == (3, 6)
    queue.set_congested(True)
    queue.set_congested(True)
    assert queue.congested
    assert queue.take(100) == b"a3b1"


def test_a_key_that_left_or_was_dropped_starts_anew(counters: LaneCounters) -> None:
    queue = small_queue(counters, hot_max_frames=2)
    queue.set_congested(True)
    queue.offer_block(Block([hot(b"a1", "a"), hot(b"b1", "b"), hot(b"c1", "c"), hot(b"a2", "a")]))
    assert queue.take(2) == b"c1"
    queue.offer(hot(b"c2", "c"))
    assert queue.take(100) == b"a2c2"
    assert counters.dropped == [0, 0, 2]


def test_hot_frames_are_bounded_in_bytes_too_and_the_oldest_go(counters: LaneCounters) -> None:
    queue = small_queue(counters, hot_max_bytes=5)
    queue.offer_block(Block([hot(b"a1"), hot(b"b1")]))
    queue.offer_block(Block([hot(b"c1"), hot(b"d1")]))
    assert queue.queued(Lane.HOT) == (2, 4)
    queue.offer(hot(b"larger"))
    assert queue.queued(Lane.HOT) == (1, 6)
    assert counters.dropped == [0, 0, 4]
    assert counters.dropped_bytes == [0, 0, 8]
    assert queue.take(100) == b"larger"


def test_lanes_share_a_congested_connection_by_weight(counters: LaneCounters) -> None:
    queue = small_queue(counters, reliable_weight=3, hot_weight=1)
    queue.set_congested(True)
    for _ in range(100):
        queue.offer_block(Block([reliable(b"r" * 512), hot(b"h" * 512)]))
    data = queue.take(512 * 40)
    assert (data.count(b"r"), data.count(b"h")) == (30 * 512, 10 * 512)


def test_held_hot_frames_stay_while_the_rest_leaves(counters: LaneCounters) -> None:
    queue = OutboundQueue(QueueLimits(), counters, hold_hot=True)
    assert queue.offer_block(Block([hot(b"h1")])) is Verdict.WAKE
    assert queue.take(100, hot=False) == b""
    assert not queue.urgent
    assert queue.offer_block(Block([hot(b"h2"), reliable(b"a")])) is Verdict.WAKE
    assert queue.urgent
    assert queue.take(100, hot=False) == b"a"
    assert queue.offer(reliable(b"b")) is Verdict.WAKE
    assert queue.offer(reliable(b"c")) is Verdict.QUEUED
    assert queue.take(1, hot=False) == b"b"
    assert queue.offer(hot(b"h3")) is Verdict.QUEUED
    assert queue.take(100) == b"ch1h2h3"


def test_held_queue_without_hot_frames_gives_its_blocks(counters: LaneCounters) -> None:
    queue = OutboundQueue(QueueLimits(), counters, hold_hot=True)
    blocks = [Block([reliable(b"a"), reliable(b"a")]), Block([reliable(b"bb")])]
    for block in blocks:
        queue.offer_block(block)
    assert queue.take(3, hot=False) is blocks[0].data
    assert queue.take(3, hot=False) == b"bb"


def test_held_hot_frames_and_control_have_told_that_there_is_something(counters: LaneCounters) -> None:
    queue = OutboundQueue(QueueLimits(), counters, hold_hot=True)
    assert queue.offer_block(Block([hot(b"h")])) is Verdict.WAKE
    assert queue.offer(control(b"p")) is Verdict.WAKE
    assert queue.offer_block(Block([reliable(b"a")])) is Verdict.QUEUED
    assert queue.take(100, hot=False) == b"pa"


def test_one_class_alone_can_be_taken_up_to_a_size(queue: OutboundQueue, counters: LaneCounters) -> None:
    queue.offer(Frame(b"c", Lane.CONTROL))
    queue.offer_block(Block([Frame(b"r1", Lane.RELIABLE), Frame(b"hot1", Lane.HOT), Frame(b"r2", Lane.RELIABLE)]))
    queue.offer(Frame(b"hot2", Lane.HOT))
    assert queue.take_lane(Lane.HOT, 4) == b"hot1"
    assert queue.take_lane(Lane.HOT, 1) == b"hot2"
    assert queue.take_lane(Lane.HOT, 100) == b""
    assert queue.take_lane(Lane.RELIABLE, 100) == b"r1r2"
    assert queue.take_lane(Lane.CONTROL, 100) == b"c"
    assert queue.empty
    assert list(counters.sent) == [1, 2, 2]


def test_sealing_keeps_control_and_reliable_and_discards_hot(queue: OutboundQueue, counters: LaneCounters) -> None:
    queue.offer_block(Block([reliable(b"a"), hot(b"h"), reliable(b"b")]))
    queue.offer(control(b"p"))
    queue.seal()
    assert queue.offer_block(Block([reliable(b"c"), hot(b"h")])) is Verdict.CLOSED
    assert queue.take(100) == b"pab"
    assert queue.empty
    assert counters.discarded == [0, 1, 2]


def test_a_sealed_queue_takes_nothing_after_it_ran_empty(queue: OutboundQueue) -> None:
    queue.seal()
    queue.set_congested(True)
    queue.set_congested(False)
    assert queue.offer_block(Block([reliable(b"c")])) is Verdict.CLOSED
    assert queue.take(100) == b""


def test_dropping_hot_in_a_congested_queue_forgets_its_keys(queue: OutboundQueue, counters: LaneCounters) -> None:
    queue.set_congested(True)
    queue.offer_block(Block([hot(b"a1", "a"), reliable(b"r")]))
    queue.drop_hot()
    queue.offer(hot(b"a2", "a"))
    assert queue.take(100) == b"ra2"
    assert counters.conflated == [0, 0, 0]


def test_closing_discards_everything_and_is_idempotent(queue: OutboundQueue, counters: LaneCounters) -> None:
    queue.offer(control(b"p"))
    queue.offer_block(Block([reliable(b"a"), hot(b"h")]))
    queue.close()
    queue.close()
    assert queue.empty
    assert queue.take(100) == b""
    assert counters.discarded == [1, 1, 1]
    assert counters.discarded_bytes == [1, 1, 1]


def test_queues_of_a_tenant_share_one_account(counters: LaneCounters) -> None:
    queues = [OutboundQueue(QueueLimits(), counters) for _ in range(3)]
    for queue in queues:
        queue.offer_block(Block([reliable(b"ab"), hot(b"h")]))
    queues[0].take(100)
    assert counters.queued == [0, 2, 2]
    assert counters.queued_bytes == [0, 4, 2]
    assert counters.sent_bytes == [0, 2, 1]


def test_a_congested_queue_that_ran_empty_goes_back_to_whole_blocks(queue: OutboundQueue) -> None:
    queue.set_congested(True)
    queue.offer(reliable(b"a"))
    assert queue.take(100) == b"a"
    queue.set_congested(False)
    block = Block([reliable(b"b"), hot(b"c")])
    queue.offer_block(block)
    assert queue.take(100) is block.data


def test_a_block_beyond_the_hot_bound_drops_the_oldest_and_its_reliable_frames_stay(counters: LaneCounters) -> None:
    queue = small_queue(counters, hot_max_frames=2)
    assert queue.offer_block(Block([hot(b"1"), reliable(b"r"), hot(b"2"), hot(b"3")])) is Verdict.WAKE
    assert queue.offer_block(Block([hot(b"4"), reliable(b"s")])) is Verdict.QUEUED
    assert queue.take(100) == b"rs34"
    assert counters.dropped == [0, 0, 2]


def test_single_frames_leave_while_they_fit(queue: OutboundQueue, counters: LaneCounters) -> None:
    for frame in (reliable(b"aa"), hot(b"bbb"), reliable(b"cc")):
        queue.offer(frame)
    assert queue.take(6) == b"aabbb"
    assert (counters.sent, counters.sent_bytes) == ([0, 1, 1], [0, 2, 3])
    assert queue.take(6) == b"cc"


def test_empty_frames_are_counted_and_leave(queue: OutboundQueue, counters: LaneCounters) -> None:
    queue.offer(reliable(b""))
    assert not queue.empty
    assert queue.take(0) == b""
    assert queue.empty
    assert counters.sent == [0, 1, 0]


def test_congestion_does_not_reach_over_to_the_next_one(queue: OutboundQueue) -> None:
    queue.set_congested(True)
    queue.offer(hot(b"a1", "a"))
    assert queue.take(100) == b"a1"
    queue.offer_block(Block([hot(b"a2", "a"), hot(b"a3", "a")]))
    assert queue.take(100) == b"a3"


def test_frames_shared_with_other_queues_are_not_changed_when_congestion_begins(queue: OutboundQueue) -> None:
    block = Block([hot(b"a1", "a"), hot(b"a2", "a")])
    queue.offer_block(block)
    queue.set_congested(True)
    queue.offer(hot(b"a3", "a"))
    assert queue.take(100) == b"a3"
    assert [frame.data for frame in block.frames] == [b"a1", b"a2"]
    assert block.data == b"a1a2"


# Other bounds


def test_other_bounds_count_from_the_next_offer_on_and_lose_nothing_that_stands_here(counters: LaneCounters) -> None:
    queue = small_queue(counters, reliable_max_messages=3, hot_max_frames=3)
    for data in (b"1", b"2", b"3"):
        queue.offer(reliable(data))
        queue.offer(hot(data))
    queue.configure(QueueLimits(reliable_max_messages=2, hot_max_frames=2), hold_hot=False)
    assert queue.queued(Lane.RELIABLE) == (3, 3)
    queue.offer(hot(b"4"))
    assert queue.queued(Lane.HOT) == (3, 3)
    assert counters.dropped[Lane.HOT] == 1
    assert queue.offer(reliable(b"4")) is Verdict.OVERFLOW


def test_wider_bounds_let_more_in(counters: LaneCounters) -> None:
    queue = small_queue(counters, reliable_max_messages=1)
    queue.offer(reliable(b"1"))
    queue.configure(QueueLimits(reliable_max_messages=2), hold_hot=False)
    assert queue.offer(reliable(b"2")) is Verdict.QUEUED
    assert queue.take(10) == b"12"
