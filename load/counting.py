"""Counts messages in received bytes without parsing frames, and reads the time stamps of a sample.

Every payload ends with ``MARK``, which nothing else in any peer's stream contains, so the number of messages is the
number of marks. A sampled payload has ``SAMPLE`` too, behind its intended send time in microseconds as decimal digits.
A mark that two reads cut apart is found because each connection carries its last ``CARRY`` bytes in front of its next
read. Pure: the sockets are ``swarm``'s, the clock is the caller's.
"""

from __future__ import annotations

from array import array

__all__ = [
    "CARRY",
    "MARK",
    "PAYLOAD_BYTES",
    "PLACEHOLDER",
    "SAMPLE",
    "Receiver",
    "Tally",
    "plain_payload",
    "sampled_payload",
    "stamp",
]

MARK = b"<wsprism#bench1>"
SAMPLE = b"<sampled>"
STAMP_DIGITS = 16
PLACEHOLDER = b"0" * STAMP_DIGITS
"""Stands in a payload where the stamp goes, so that a frame is built once and cut there."""
PAYLOAD_BYTES = 60
CARRY = 32

_MARK_START = CARRY - len(MARK) + 1
_SAMPLE_START = CARRY - len(SAMPLE) + 1


def plain_payload() -> bytes:
    """A payload that is counted and not sampled; ``PAYLOAD_BYTES`` long."""
    return b"." * (PAYLOAD_BYTES - len(MARK)) + MARK


def sampled_payload() -> bytes:
    """A payload of the same size whose ``PLACEHOLDER`` a stamp replaces."""
    rest = PLACEHOLDER + SAMPLE + MARK
    return b"." * (PAYLOAD_BYTES - len(rest)) + rest


def stamp(time_us: int) -> bytes:
    """The digits that stand for ``time_us`` in a sampled payload."""
    return b"%016d" % time_us


class Tally:
    """What one group of connections received: messages, bytes, and latencies in microseconds.

    Latencies are of samples whose intended send time is in the window.
    """

    __slots__ = ("bytes", "latencies_us", "received", "since_us", "until_us")

    def __init__(self) -> None:
        self.received = 0
        self.bytes = 0
        self.latencies_us = array("q")
        self.since_us = 0
        self.until_us = 0

    def window(self, since_us: int, until_us: int) -> None:
        """From now on record latencies of messages meant for ``since_us <= time < until_us`` only."""
        self.since_us, self.until_us = since_us, until_us
        self.latencies_us = array("q")


class Receiver:
    """One connection's place in the stream: ``prepare`` before bytes are read to ``buffer[CARRY:]``, ``take`` after."""

    __slots__ = ("_carry", "tally")

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self._carry = bytearray(CARRY)

    def prepare(self, buffer: bytearray) -> None:
        """Put this connection's last bytes in front of what comes next."""
        buffer[:CARRY] = self._carry

    def take(self, buffer: bytearray, size: int, now_us: int) -> None:
        """Count what ``size`` new bytes at ``CARRY`` complete; ``now_us`` is when they arrived."""
        end = CARRY + size
        tally = self.tally
        tally.bytes += size
        tally.received += buffer.count(MARK, _MARK_START, end)
        at = buffer.find(SAMPLE, _SAMPLE_START, end)
        while at >= 0:
            meant_us = int(buffer[at - STAMP_DIGITS : at])
            if tally.since_us <= meant_us < tally.until_us:
                tally.latencies_us.append(now_us - meant_us)
            at = buffer.find(SAMPLE, at + len(SAMPLE), end)
        self._carry = buffer[size:end]
