"""Frames and the blocks of them that many queues share."""

from __future__ import annotations

import gc
import weakref

import pytest

from qos import Block, BlockError, Frame, Lane


def test_block_counts_its_lanes_and_joins_once() -> None:
    block = Block([Frame(b"ab", Lane.RELIABLE), Frame(b"c", Lane.HOT, "k"), Frame(b"def", Lane.RELIABLE)])
    assert (block.reliable_count, block.reliable_bytes, block.hot_count, block.hot_bytes) == (2, 5, 1, 1)
    assert block.size_bytes == 6
    assert block.data == b"abcdef"
    assert block.data is block.data


@pytest.mark.parametrize("frames", [[], [Frame(b"p", Lane.CONTROL)]])
def test_block_refuses_no_frames_and_control_frames(frames: list[Frame]) -> None:
    with pytest.raises(BlockError):
        Block(frames)


def test_frame_tells_its_size_and_not_its_content() -> None:
    assert repr(Frame(b"secret", Lane.HOT, 3)) == "Frame(HOT, 6 bytes, key=3)"


def test_a_block_of_one_frame_is_its_bytes() -> None:
    frame = Frame(b"a" * 100, Lane.RELIABLE)
    assert Block([frame]).data is frame.data


def test_a_run_is_joined_once_for_all_who_hold_the_same() -> None:
    block = Block([Frame(b"a", Lane.HOT)])
    rest: list[Frame | Block] = [Frame(b"b", Lane.HOT), Block([Frame(b"c", Lane.RELIABLE)])]
    joined = block.join_run(list(rest))
    assert joined == b"abc"
    assert block.join_run(list(rest)) is joined
    assert block.join_run([rest[1], rest[0]]) == b"acb"
    assert block.join_run(list(rest)) == b"abc"


def test_a_run_of_other_blocks_with_the_same_bytes_is_another_run() -> None:
    block = Block([Frame(b"a" * 50, Lane.HOT)])
    first = block.join_run([Block([Frame(b"b" * 50, Lane.HOT)])])
    second = block.join_run([Block([Frame(b"b" * 50, Lane.HOT)])])
    assert first == second
    assert first is not second


def test_blocks_that_remember_each_others_run_do_not_stay_for_ever() -> None:
    """Of two rooms whose fan-outs take turns, each stands before the other in some queue."""

    class Held:
        """What a key may hold."""

    held = Held()
    gone = weakref.ref(held)
    first, second = (Block([Frame(b"x", Lane.HOT, held)]) for _ in range(2))
    assert first.join_run([second]) == second.join_run([first]) == b"xx"
    del first, second, held
    gc.collect()
    assert gone() is None
