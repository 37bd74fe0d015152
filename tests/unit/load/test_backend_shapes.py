"""The shapes with a backend behind the gateway: what is configured, asked, answered and expected."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from load.backend import CONDUCTS, ROOM_OF_GAME, _Stream, answer_to
from load.bars import BARS, judge
from load.counting import MARK, PLACEHOLDER, plain_payload, sampled_payload
from load.peers import PEERS, Member, Options
from load.plain_client import BODY
from load.results import Case, Results
from load.shapes import BACKEND_SHAPES, Group, Kind
from wsprism.protocol.envelope import JSON, Envelope
from wsprism.protocol.stream import hot_to_backend
from wsprism.settings import load_settings
from wsprism.settings.tenants import TenantSettings

OURS = PEERS["wsprism"]
BACKENDS = sorted({shape.backend for shape in BACKEND_SHAPES})


def tenant_with(backend: str, directory: Path) -> TenantSettings:
    OURS.command(Options(directory, 18080, 18081, 0, backend, 18082, 18083))
    settings = load_settings(directory / "wsprism.yaml", {})
    assert [one.id for one in settings.tenants] == ["bench", "neighbour", "backend"]
    return settings.tenants[2]


@pytest.mark.parametrize("backend", [one for one in BACKENDS if one != "plain"])
def test_every_backend_is_one_that_the_gateway_takes(backend: str, tmp_path: Path) -> None:
    there = tenant_with(backend, tmp_path).backend
    assert there is not None
    assert there.stream is (backend == "stream")
    assert bool(there.events) is (backend == "events")
    assert there.max_in_flight == 64


def test_only_the_gateway_has_these_shapes_and_what_stands_behind_it_is_known() -> None:
    for shape in BACKEND_SHAPES:
        assert shape.skip == PEERS.keys() - {"wsprism"}
        assert {group.tenant for group in shape.groups} <= {"backend"}
        command = OURS.companion(Options(Path(), 1, 2, 0, shape.backend, 3, 4))
        assert command[2] == "load.backend"
        assert command[3] in CONDUCTS


def test_what_is_compared_with_runs_in_the_gateways_place() -> None:
    [shape] = [one for one in BACKEND_SHAPES if one.kind is Kind.PLAIN]
    command = OURS.command(Options(Path(), 18080, 18081, 0, shape.backend, 18082, 18083))
    assert command[1:] == ["-m", "load.plain_client", "18080", "18082"]
    assert answer_to(json.loads(BODY)) == {"effects": [{"reply": plain_payload().decode()}]}


@pytest.mark.parametrize("says", ["ask", "input", "move"])
def test_what_is_said_to_the_backend_holds_the_payload_once(says: str) -> None:
    member = Member(7, "r1", "backend", says)
    lane = "hot" if says == "input" else "ext"
    assert OURS.publish(member, plain_payload(), lane).count(MARK) == 1
    assert len(OURS.publish(member, sampled_payload(), lane).split(PLACEHOLDER)) == 2


def test_a_question_is_an_ext_message_in_either_lane() -> None:
    frame = OURS.publish(Member(7, "r1", "backend", "ask"), plain_payload(), "hot")
    envelope = JSON.decode(frame[frame.index(b"{") :])
    assert isinstance(envelope, Envelope)
    assert (envelope.svc, envelope.type) == ("ask", "x")


def test_a_move_is_a_join_and_a_leave_of_one_room() -> None:
    frames = OURS.publish(Member(13, "r1", "backend", "move"), plain_payload(), "ext")
    assert frames.count(b'"room":"moves3"') == 2
    assert frames.index(b'"join"') < frames.index(b'"leave"')


def test_every_message_of_a_batch_is_answered() -> None:
    messages = [{"message": {"data": number}} for number in range(3)]
    said = answer_to({"kind": "messages", "messages": messages})
    assert said == {"answers": [{"effects": [{"reply": number}]} for number in range(3)]}
    assert answer_to({"kind": "events", "events": [{}]}) == {}


def test_a_state_is_told_when_every_player_has_said_one_input() -> None:
    stream = _Stream()
    told = [
        stream.state_after(hot_to_backend(room, "user:u1", b"\x09\x01\x00" + plain_payload()))
        for _ in range(ROOM_OF_GAME)
        for room in (3, 5)
    ]
    assert told[:-2] == [None] * (2 * ROOM_OF_GAME - 2)
    assert told[-2:] == [room.to_bytes(4, "little") + b"\x09\x02\x00" + plain_payload() for room in (3, 5)]


def test_of_inputs_only_whole_rounds_are_expected() -> None:
    game = Group(2, 10, 10, 100, says="input", per_message=1)
    assert [game.expected(sent) for sent in (0, 19, 20, 45)] == [0, 0, 20, 40]
    assert game.deliveries_per_s == 100
    assert Group(1, 10, 10, 100).expected(7) == 70


def test_the_backends_bars_are_judged() -> None:
    names = {shape.name for shape in BACKEND_SHAPES}
    bars = [bar for bar in BARS if bar.case.shape in names]
    assert {bar.case.shape for bar in bars} | {bar.reference.shape for bar in bars if bar.reference} == names
    results = Results()
    results.outcome(Case("backend-plain", "wsprism", "ext")).runs.append({"largest_per_s": 1000.0})
    results.outcome(Case("backend-rpc", "wsprism", "ext")).runs.append({"largest_per_s": 800.0, "us_per_delivery": 400})
    results.outcome(Case("backend-stream-rpc", "wsprism", "ext")).runs.append({"us_per_delivery": 60.0})
    verdicts = {verdict.bar.case.shape: verdict.passed for verdict in judge(results)}
    assert verdicts == {"backend-rpc": True, "backend-stream-rpc": False}
