"""Outbound queues and the flusher's pacing: pure data structures, without asyncio and without a clock.

One `OutboundQueue` per connection keeps three classes of ready frames with three promises; `DirtyLists` and `Pacer`
say who is written to next, and when. Standard library only; it has never heard of a WebSocket.
"""

from qos.conflation import Conflation, ConflationKind
from qos.counters import LaneCounters
from qos.dirty import DirtyLists
from qos.errors import BlockError, ConflationSyntaxError, QosError
from qos.frame import Block, Frame
from qos.lane import Lane, Verdict
from qos.limits import QueueLimits
from qos.outbound import OutboundQueue
from qos.pacing import Pacer

__all__ = [
    "Block",
    "BlockError",
    "Conflation",
    "ConflationKind",
    "ConflationSyntaxError",
    "DirtyLists",
    "Frame",
    "Lane",
    "LaneCounters",
    "OutboundQueue",
    "Pacer",
    "QosError",
    "QueueLimits",
    "Verdict",
]
