"""Peers build the bytes that their servers understand."""

from __future__ import annotations

from pathlib import Path

import pytest

from load.counting import MARK, PLACEHOLDER, plain_payload, sampled_payload
from load.peers import PEERS, Member, Options
from load.prometheus import total_by_name
from wsprism.protocol.envelope import JSON, Envelope
from wsprism.settings import load_settings

_MEMBER = Member(7, "r1", "bench")


@pytest.mark.parametrize("name", PEERS)
def test_a_publication_holds_the_payload_once_and_its_stamp_can_be_cut_out(name: str) -> None:
    peer = PEERS[name]
    for lane in peer.lanes:
        assert peer.publish(_MEMBER, plain_payload(), lane).count(MARK) == 1
        assert len(peer.publish(_MEMBER, sampled_payload(), lane).split(PLACEHOLDER)) == 2


def test_what_is_published_to_the_gateway_is_a_valid_envelope() -> None:
    frame = PEERS["wsprism"].publish(_MEMBER, plain_payload(), "ext")
    envelope = JSON.decode(frame[frame.index(b"{") :])
    assert isinstance(envelope, Envelope)
    assert (envelope.svc, envelope.type, envelope.room) == ("chat", "send", "r1")


def test_the_gateways_configuration_is_valid_and_has_a_neighbour(tmp_path: Path) -> None:
    PEERS["wsprism"].command(Options(tmp_path, 18080, 18081, hot_flush_ms=20))
    settings = load_settings(tmp_path / "wsprism.yaml", {})
    assert [tenant.id for tenant in settings.tenants] == ["bench", "neighbour"]
    assert {tenant.qos.hot_flush_ms for tenant in settings.tenants} == {20}


def test_nodes_share_a_broker(tmp_path: Path) -> None:
    PEERS["wsprism"].command(Options(tmp_path, 18080, 18081, broker_url="unix:///tmp/r.sock", node="n1"))
    gateway = load_settings(tmp_path / "wsprism.yaml", {}).gateway
    assert gateway.broker is not None
    assert (gateway.broker.url.get_secret_value(), gateway.node.name) == ("unix:///tmp/r.sock", "n1")


def test_nats_frames_the_payload_with_its_length() -> None:
    assert b"PUB bench.r1 60\r\n" in PEERS["nats"].publish(_MEMBER, plain_payload(), "ext")


def test_totals_are_summed_over_labels_and_comments_are_passed_over() -> None:
    text = '# HELP a b\na_total{class="hot",x="} 9"} 2.0\na_total{class="control"} 3\nb 4 1700000000\nbroken\n\n'
    assert total_by_name(text) == {"a_total": 5.0, "b": 4.0}
