"""Shapes are chosen by name or prefix, and load what their names say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from load.bars import BARS
from load.shapes import SHAPES, select

_BY_NAME = {shape.name: shape for shape in SHAPES}


def test_names_are_unique() -> None:
    assert len(_BY_NAME) == len(SHAPES)


def test_a_prefix_chooses_all_that_begin_with_it_once() -> None:
    assert [shape.name for shape in select("growth,growth-10")] == [
        "growth-10",
        "growth-100",
        "growth-1000",
        "growth-10000",
    ]


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(ValueError, match="no shape 'nothing'; there are: all, room200-40k"):
        select("nothing")


@pytest.mark.parametrize(
    ("name", "deliveries_per_s", "connections"),
    [
        ("room200-2m", 2_000_000, 200),
        ("room1000-1.6m", 1_600_000, 1000),
        ("matches-20hz", 200_000, 1000),
        ("pairs", 20_000, 2000),
        ("echo-80k", 80_000, 200),
        ("growth-10000", 40_000, 10_000),
        ("slow-reader", 50_000, 51),
        ("history200-800k", 800_000, 200),
    ],
)
def test_a_shape_loads_what_its_name_says(name: str, deliveries_per_s: float, connections: int) -> None:
    group = _BY_NAME[name].groups[0]
    assert group.deliveries_per_s == pytest.approx(deliveries_per_s)
    assert group.connections == connections


def test_a_room_with_a_history_is_loaded_as_the_one_without() -> None:
    for rate in ("40k", "800k"):
        [plain], [remembers] = _BY_NAME[f"room200-{rate}"].groups, _BY_NAME[f"history200-{rate}"].groups
        assert replace(remembers, room=plain.room) == plain


def test_every_bar_names_a_shape_that_exists() -> None:
    named = {bar.case.shape for bar in BARS} | {bar.reference.shape for bar in BARS if bar.reference}
    assert named <= _BY_NAME.keys()
