"""What services that do not stop cost everybody else, over real sockets and against a gateway of its own process."""

from __future__ import annotations

import pytest

from load.hostile_services import SUSPENDED_WITHIN_S, HostileServices, measure
from load.servers import serve
from wsprism.adapters.wasm.guest import FAULTS

pytestmark = [pytest.mark.alone, pytest.mark.any_python]

SCENE_S = 2.0
TRIES = 6
"""A machine with others on it has a bad p99 now and then; a guest that is not stopped makes every one bad."""
MOST_RATIO = 1.5
TIMER_MS = 3.0
"""What two timers and the machine itself may add to a p99."""


async def test_a_guest_that_loops_for_ever_is_suspended_within_a_second_and_the_others_hardly_notice() -> None:
    with serve(HostileServices()) as server:
        await measure(server, "alone", 0.5)
        tries = []
        for _ in range(TRIES):
            alone = await measure(server, "alone", SCENE_S)
            beside = await measure(server, "endless", SCENE_S)
            codes = [code for _, code in beside.answers]
            assert codes.count("INTERNAL") <= 2 * FAULTS, codes  # one more at the end of each pause
            after_s = beside.suspended_after_s
            tries.append((beside.p99_ms, alone.p99_ms, after_s))
            in_time = after_s is not None and after_s < SUSPENDED_WITHIN_S
            if in_time and beside.p99_ms <= MOST_RATIO * alone.p99_ms + TIMER_MS:
                return
        pytest.fail(f"p99 beside it and alone, ms, and suspended after s: {tries}")


async def test_a_handler_that_holds_the_loop_is_counted_by_name_each_time() -> None:
    with serve(HostileServices()) as server:
        before = await measure(server, "alone", 0.5)
        beside = await measure(server, "holds", SCENE_S)
        answered = sum(code == "" for _, code in beside.answers)
        assert answered > 0
        assert before.slow_calls == 0
        assert beside.slow_calls >= answered
        assert beside.p99_ms > 5, "everybody waits for it, as docs/services.md says"
