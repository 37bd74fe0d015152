"""What a Redis has used is read out of its own account."""

from __future__ import annotations

import pytest

from load.engine import EngineUse, parse_calls

_INFO = """# Commandstats\r
cmdstat_info:calls=3,usec=70,usec_per_call=23.33,rejected_calls=0,failed_calls=0\r
cmdstat_evalsha:calls=40,usec=300,usec_per_call=7.50,rejected_calls=0,failed_calls=0\r
cmdstat_script|load:calls=30,usec=900,usec_per_call=30.00,rejected_calls=0,failed_calls=0\r
cmdstat_eval:calls=2,usec=20,usec_per_call=10.00,rejected_calls=0,failed_calls=0\r
"""


def test_scripts_that_were_called_are_counted_and_nothing_else() -> None:
    calls, script_s = parse_calls(_INFO)
    assert calls == 42
    assert script_s == pytest.approx(320e-6)


def test_a_turn_is_a_script_call_between_two_moments() -> None:
    first, last = EngineUse(1.0, 100, 0.5), EngineUse(1.2, 1100, 0.51)
    assert last.since(first, 2.0) == {
        "redis_cpu_share": pytest.approx(0.1),
        "redis_turns_per_s": 500,
        "redis_us_per_turn": pytest.approx(200),
        "redis_script_us": pytest.approx(10),
    }
