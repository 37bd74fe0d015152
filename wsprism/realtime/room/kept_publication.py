"""A publication as a history keeps it.

Never compiled: compiled, its class would lose ``gc=False``, and each message that is kept cost some 16 bytes more.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import msgspec

from wsprism.protocol.envelope import JSON
from wsprism.protocol.frames import payload_of
from wsprism.realtime.outbound.wire import WireFormat, wire_format

__all__ = ["PLAIN_JSON", "KeptPublication"]

PLAIN_JSON: Final = wire_format(JSON, deflated=False)


class KeptPublication(msgspec.Struct, gc=False):
    """Its ready frame in plain JSON, and those of ``others``: other wire formats that it went out in."""

    json: bytes
    others: Any = None

    @property
    def size_bytes(self) -> int:
        """Of all its frames."""
        return len(self.json) if self.others is None else len(self.json) + sum(map(len, self.others.values()))

    def keep_for(self, wires: Collection[WireFormat]) -> None:
        """Have the frames of ``wires`` ready from now on."""
        others = {wire: self.frame(wire) for wire in wires if wire is not PLAIN_JSON}
        if others:
            self.others = others

    def frame(self, wire: WireFormat) -> bytes:
        """As receivers of ``wire`` get it; made anew each time where it is not kept."""
        if wire is PLAIN_JSON:
            return self.json
        if self.others is not None and wire in self.others:
            return self.others[wire]  # type: ignore[no-any-return]
        payload = payload_of(self.json)
        if wire.codec.binary:
            payload = wire.codec.encode(msgspec.json.decode(payload))
        return wire.frame(payload)
