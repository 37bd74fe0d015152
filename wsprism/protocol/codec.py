"""What a connection needs of the encoding of its ext lane; ``envelope.py`` has both that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

if TYPE_CHECKING:
    import msgspec

    from wsprism.protocol.faults import DataFault, EnvelopeFault
    from wsprism.protocol.fields import Envelope

__all__ = ["ExtCodec"]

T = TypeVar("T")


class ExtCodec(Protocol):
    """What a connection needs of the encoding that its client negotiated."""

    @property
    def name(self) -> str: ...

    @property
    def binary(self) -> bool: ...

    def decode(self, payload: str | bytes) -> Envelope | EnvelopeFault:
        """Reads one message. Anything at all gives an envelope or a fault; nothing is raised."""

    def read_seq(self, payload: str | bytes) -> int | None:
        """The seq of a message that is not going to be heard, without the checks that a heard one is worth."""

    @overload
    def decode_data(self, raw: msgspec.Raw | None) -> Any: ...
    @overload
    def decode_data(self, raw: msgspec.Raw | None, type: type[T]) -> T | DataFault:
        """Reads the `data` of an envelope that this codec decoded, as `type` (default: anything that JSON can say).

        Absent data is None when no type is asked for, else a fault. Every value returned without a type can be encoded
        by every codec. As ``msgspec.Raw`` it is JSON, whatever the codec.
        """

    def encode(self, message: object) -> bytes:
        """The payload of `message` (a mapping or a Struct), without a frame around it."""

    def frame(self, payload: bytes) -> bytes:
        """A ready WebSocket frame of the kind that this codec's clients expect."""
