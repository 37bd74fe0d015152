"""The bars to reach, as data, and whether a set of results reaches them.

A bar compares one figure of the gateway with a fixed limit or with a reference case of the same run. Nothing is said
about a bar whose figures were not measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from load.results import Case, Results
from load.shapes import SHAPES

__all__ = ["BARS", "Bar", "Verdict", "judge"]

_ALL_HOT = tuple(shape.name for shape in SHAPES if "hot" in shape.lanes and "ext" in shape.lanes and not shape.backend)
_GROWTH_TOLERANCE = 1.1
_NOISE = 1.1
_TICKS_PER_S = 2.2
"""Two, and one more at the edge of a window of 5 s."""


@dataclass(frozen=True, slots=True)
class Bar:
    """``figure`` of ``case`` is at most ``limit`` times ``reference``'s (or at most ``limit`` itself, without one).

    ``added``: at most ``limit`` more than ``reference``'s.
    """

    case: Case
    figure: str
    limit: float
    stretch: float | None = None
    reference: Case | None = None
    at_least: bool = False
    only_stretch: bool = False
    added: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A bar with what was measured: ``value`` is the ratio where there is a reference."""

    bar: Bar
    value: float
    passed: bool
    stretched: bool | None


def _ours(shape: str, lane: str = "ext") -> Case:
    return Case(shape, "wsprism", lane)


def _to_nats(shape: str, figure: str, limit: float, stretch: float | None = None, lane: str = "ext") -> Bar:
    return Bar(_ours(shape, lane), figure, limit, stretch, Case(shape, "nats", "ext"))


def _fixed(shape: str, figure: str, limit: float, stretch: float | None = None, *, at_least: bool = False) -> Bar:
    return Bar(_ours(shape), figure, limit, stretch, at_least=at_least)


def _hot_not_dearer() -> Iterator[Bar]:
    for shape in _ALL_HOT:
        figures = ("largest_per_s",) if shape == "largest" else ("us_per_delivery", "p99_ms")
        for figure in figures:
            at_least = figure == "largest_per_s"
            limit = 1 / _NOISE if at_least else _NOISE
            yield Bar(_ours(shape, "hot"), figure, limit, reference=_ours(shape), at_least=at_least)


def _growth() -> Iterator[Bar]:
    sizes = (10, 100, 1000, 10_000)
    for lane in ("ext", "hot"):
        for smaller, larger in pairwise(sizes):
            reference = _ours(f"growth-{smaller}", lane)
            yield Bar(_ours(f"growth-{larger}", lane), "us_per_delivery", _GROWTH_TOLERANCE, reference=reference)


def _rooms_that_remember() -> Iterator[Bar]:
    for rate in ("40k", "800k"):
        yield Bar(_ours(f"history200-{rate}"), "us_per_delivery", 1.08, reference=_ours(f"room200-{rate}"))
    yield _fixed("storm", "neighbour_p99_ms", 50)
    yield _fixed("storm", "losses", 0)
    yield _fixed("presence1000", "diffs_per_s", _TICKS_PER_S)
    yield _fixed("presence1000", "cpu_share", 0.15)
    yield _fixed("histories", "bytes_per_message", 350)


def _to_ours(
    shape: str, figure: str, limit: float, reference: str, lane: str = "ext", *, at_least: bool = False
) -> Bar:
    return Bar(_ours(shape, lane), figure, limit, reference=_ours(reference, lane), at_least=at_least)


def _backend() -> Iterator[Bar]:
    """What a tenant's backend costs, and what a dead one does not."""
    yield _to_ours("backend-rpc", "largest_per_s", 0.7, "backend-plain", at_least=True)
    yield _to_ours("backend-rpc-beside", "p99_ms", 1.25, "backend-rpc-quiet")
    yield _fixed("backend-batch", "largest_per_s", 10_000, at_least=True)
    yield _fixed("backend-batch-5k", "p99_ms", 50)
    for dead in ("backend-refused", "backend-silent", "backend-trickle"):
        for lane in ("ext", "hot"):
            for figure in ("us_per_delivery", "p99_ms"):
                yield _to_ours(dead, figure, _NOISE, "backend-live", lane)
            yield Bar(_ours(dead, lane), "rss_growth_mib", 8)
    for what in ("events", "news"):
        yield _to_ours(f"backend-{what}-on", "cpu_share", 1.15, f"backend-{what}-off")
    yield _to_ours("backend-stream-rpc", "us_per_delivery", 1 / 8, "backend-rpc")
    yield _fixed("backend-stream-added", "added_p50_ms", 0.5)
    yield Bar(_ours("backend-stream-game", "hot"), "sustained", 1, at_least=True)
    yield Bar(_ours("backend-stream-game", "hot"), "p99_ms", 25)


def _cluster() -> Iterator[Bar]:
    """What it costs to be many."""
    yield _fixed("cluster-room200", "sustained", 1, at_least=True)
    yield _fixed("cluster-room200", "p99_ms", 25)
    yield _to_ours("cluster-room200", "us_per_delivery", 1.25, "cluster-share")
    yield Bar(_ours("cluster-chat"), "p50_ms", 1.0, reference=_ours("cluster-chat-alone"), added=True)
    for shape in ("cluster-room200", "cluster-chat"):
        yield _fixed(shape, "redis_us_per_turn", 15)
    yield _to_ours("cluster-handshakes", "us_per_handshake", 1.5, "handshakes")
    yield _fixed("cluster-reap", "lag_ms", 20)
    yield _fixed("cluster-reap", "reaped_entries", 20_000, at_least=True)
    yield _to_ours("cluster-matches-4", "carried_per_s", 1.7, "cluster-matches-1", at_least=True)


_FLUSHED = Case("matches-20hz-flush20", "wsprism", "hot")
_NATS_20HZ = Case("matches-20hz", "nats", "ext")

BARS: tuple[Bar, ...] = (
    _to_nats("room200-40k", "us_per_delivery", 1.1, 0.9),
    _to_nats("room200-40k", "p99_ms", 1.0),
    _to_nats("room200-800k", "p99_ms", 1.0, 0.6),
    _to_nats("room200-800k", "cpu_share", 0.9, 0.6),
    _fixed("room200-2m", "sustained", 1, at_least=True),
    _to_nats("room200-2m", "p99_ms", 1.0, 0.5),
    _fixed("room1000-1.6m", "sustained", 1, at_least=True),
    _to_nats("room1000-1.6m", "p99_ms", 0.5),
    Bar(_ours("room1000-1.6m"), "p99_ms", 30, only_stretch=True),
    _to_nats("stage10000", "p99_ms", 0.8, 0.5),
    _fixed("stage10000", "neighbour_p99_ms", 20, 10),
    _to_nats("matches-10hz", "p99_ms", 0.5),
    _to_nats("matches-10hz", "us_per_delivery", 1.1, 0.9),
    _to_nats("matches-20hz", "p99_ms", 0.5),
    _to_nats("matches-20hz", "us_per_delivery", 1.1, 0.9),
    Bar(_FLUSHED, "cpu_share", 0.75, 0.5, _NATS_20HZ),
    Bar(_FLUSHED, "p99_ms", 1.0, None, _NATS_20HZ),
    _to_nats("pairs", "us_per_delivery", 1.0, 0.8),
    _to_nats("echo-20k", "us_per_delivery", 1.0, 0.9),
    _to_nats("echo-80k", "us_per_delivery", 1.2, 1.0),
    _to_nats("echo-80k", "p99_ms", 2.0, 1.0),
    *(
        Bar(_ours(shape), "us_per_delivery", 1.0, reference=Case(shape, "nchan", "ext"), only_stretch=True)
        for shape in ("pairs", "echo-20k")
    ),
    _fixed("idle-10k", "kib_per_connection", 18, 16),
    _fixed("handshakes", "handshakes_per_s", 2500, at_least=True),
    Bar(_ours("handshakes"), "us_per_handshake", 240, only_stretch=True),
    _fixed("echo-2k", "p99_ms", 1.0),
    _fixed("waves", "last_to_first", _NOISE),
    _fixed("waves", "rss_growth_mib", 4),
    *_growth(),
    *_rooms_that_remember(),
    *(
        Bar(_ours("slow-reader", lane), "p99_ms", 1.25, reference=_ours("slow-control", lane))
        for lane in ("ext", "hot")
    ),
    *(Bar(_ours("slow-reader", lane), "rss_growth_mib", 8) for lane in ("ext", "hot")),
    *_hot_not_dearer(),
    *_backend(),
    *_cluster(),
)


def _reaches(value: float, limit: float, at_least: bool) -> bool:
    return value >= limit if at_least else value <= limit


def judge(results: Results) -> list[Verdict]:
    """A verdict for every bar whose figures are there."""
    verdicts = []
    for bar in BARS:
        value = _value(bar, results)
        if value is not None:
            stretched = None if bar.stretch is None else _reaches(value, bar.stretch, bar.at_least)
            verdicts.append(Verdict(bar, value, _reaches(value, bar.limit, bar.at_least), stretched))
    return verdicts


def _value(bar: Bar, results: Results) -> float | None:
    own = results.median(bar.case.shape, bar.case.server, bar.case.lane).get(bar.figure)
    if own is None or bar.reference is None:
        return own
    reference = results.median(bar.reference.shape, bar.reference.server, bar.reference.lane)
    other = reference.get(bar.figure)
    if other is None or (other == 0 and not bar.added):
        return None
    return own - other if bar.added else own / other
