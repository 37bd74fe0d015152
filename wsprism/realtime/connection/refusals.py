"""A connection's noes: each is counted, and told to its client, but never so many that they close an honest one.

Refusals stand in the control class, whose bound is small and strict. Of many in one moment the first are told one by
one; of the rest the client is told how many there were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qos import Lane
from wsprism.policy.decisions import Reason
from wsprism.protocol import sysmsg
from wsprism.protocol.codes import ErrorCode

if TYPE_CHECKING:
    from wsprism.realtime.connection.actor import Connection

__all__ = ["TELL_LEFT_OUT_S", "TellLeftOut", "refuse", "tell_left_out"]

_MOST_AT_ONCE: Final = 64
"""Control frames that may stand in the queue before a refusal is only counted: a quarter of the smallest bound."""

TELL_LEFT_OUT_S: Final = 0.1


class TellLeftOut:
    """A connection to itself: say how many refusals were left out, if there is room for it now."""


def refuse(connection: Connection, reason: Reason, code: ErrorCode, msg: str, seq: int | None) -> None:
    """Count a refusal and tell the client; ``msg`` must hold nothing internal."""
    connection.tenant_context.counters.decisions.count(reason)
    if connection.trace is not None:
        connection.trace.outcome = reason.value
    outlet = connection.session.outlet
    if outlet.queue.control_count < _MOST_AT_ONCE:
        outlet.send(sysmsg.error(code, msg, connection.session.trace_id, seq), Lane.CONTROL)
        return
    if not connection.left_out:
        connection.context.call_later(TELL_LEFT_OUT_S, TellLeftOut())
    connection.left_out += 1
    connection.left_out_code = code


def tell_left_out(connection: Connection, _: TellLeftOut) -> None:
    """One message for all that were left out since the last."""
    if not connection.is_open or not connection.left_out:
        return
    outlet = connection.session.outlet
    if outlet.queue.control_count >= _MOST_AT_ONCE:
        connection.context.call_later(TELL_LEFT_OUT_S, TellLeftOut())
        return
    count, connection.left_out = connection.left_out, 0
    msg = f"{count} more messages were refused, which are not told one by one"
    outlet.send(sysmsg.error(connection.left_out_code, msg, connection.session.trace_id), Lane.CONTROL)
