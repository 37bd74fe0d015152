"""The servers that a benchmark runs against, each behind ``base.Peer``."""

from __future__ import annotations

from load.peers.base import Member, Options, Peer
from load.peers.naive import Naive
from load.peers.nats import Nats
from load.peers.nchan import Nchan
from load.peers.wsprism import WsPrism

__all__ = ["PEERS", "Member", "Options", "Peer"]

PEERS: dict[str, Peer] = {peer.name: peer for peer in (WsPrism(), Nats(), Nchan(), Naive())}
