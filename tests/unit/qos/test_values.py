"""Lanes, verdicts, limits, errors and the package's face."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

import qos
from qos import BlockError, ConflationSyntaxError, Lane, QosError, QueueLimits, Verdict


def test_lanes_stand_in_the_order_of_urgency_and_index_the_counters() -> None:
    assert list(Lane) == sorted(Lane)
    assert [lane.value for lane in Lane] == [0, 1, 2]


def test_only_a_verdict_that_asks_for_something_is_true() -> None:
    assert [verdict for verdict in Verdict if not verdict] == [Verdict.QUEUED]


def test_a_refusal_outranks_being_taken() -> None:
    assert max(Verdict.QUEUED, Verdict.WAKE) is Verdict.WAKE
    assert min(Verdict.OVERFLOW, Verdict.CLOSED) > Verdict.WAKE


def test_limits_are_values() -> None:
    assert QueueLimits() == QueueLimits()
    assert len({QueueLimits(), QueueLimits(hot_max_frames=1), QueueLimits()}) == 2
    with pytest.raises(FrozenInstanceError):
        QueueLimits().hot_max_frames = 3  # type: ignore[misc]


@pytest.mark.parametrize("error", [ConflationSyntaxError("x"), BlockError("x")])
def test_every_error_has_the_packages_root(error: Exception) -> None:
    assert isinstance(error, QosError)
    assert isinstance(error, ValueError)


def test_a_rule_that_is_none_is_named_beside_those_that_are() -> None:
    assert str(ConflationSyntaxError("keys")) == (
        "found 'keys', allowed: none, sender, sender_opcode, key:<n> with n of 1 or more"
    )


def test_the_face_exports_what_it_names_in_order() -> None:
    assert qos.__all__ == sorted(qos.__all__)
    assert all(hasattr(qos, name) for name in qos.__all__)
