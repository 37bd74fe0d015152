"""A connection that sends back what it gets, for suites that test a WebSocket implementation by an echo.

Session, limits, closing and sending are those of every connection; only what a message means is different. It greets
nobody and answers no message but with its copy.
"""

from __future__ import annotations

from qos import Frame, Lane
from wsprism.policy.decisions import Reason
from wsprism.realtime.connection.actor import Connection

__all__ = ["EchoConnection"]


class EchoConnection(Connection):
    """Echoes in order, through its outbound queue: a client that does not read is closed 4000 as on any connection."""

    def greet(self) -> None:
        """A suite expects its own messages and nothing else."""

    def hear_message(self, message: str | bytes) -> None:
        if not self.is_open:
            return
        counters = self.counters
        binary = isinstance(message, bytes)
        payload = message if isinstance(message, bytes) else message.encode()
        if binary:
            counters.messages_in_hot += 1
            counters.bytes_in_hot += len(payload)
        else:
            counters.messages_in_ext += 1
            counters.bytes_in_ext += len(payload)
        now = self.tenant_context.now()
        if not self.limiter.allow(now):
            counters.decisions.count(Reason.RATE_LIMITED_HOT if binary else Reason.RATE_LIMITED_EXT)
            self.close_if_too_long_over_limit(now)
            return
        self.outlet.offer(Frame(self.outlet.format.wrap(payload, binary=binary), Lane.RELIABLE, None))
