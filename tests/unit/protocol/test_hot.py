"""Hot frames: what an encoder refuses."""

from typing import Any

import pytest

from wsprism.protocol import HotFrame, decode_hot, encode_hot, with_sender


@pytest.mark.parametrize(
    "arguments",
    [
        {"service_id": 256, "opcode": 0},
        {"service_id": 0, "opcode": -1},
        {"service_id": 0, "opcode": 0, "flags": 256},
        {"service_id": 0, "opcode": 0, "flags": 1},
        {"service_id": 0, "opcode": 0, "flags": 4},
        {"service_id": 0, "opcode": 0, "seq": 2**32},
    ],
)
def test_number_that_does_not_fit_its_field_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"needs|byte|u32|only"):
        encode_hot(**arguments)


def test_sender_is_never_shortened() -> None:
    frame = decode_hot(b"\x01\x01\x00")
    assert isinstance(frame, HotFrame)
    assert len(with_sender(frame, "ü" * 127)) == 4 + 254
    with pytest.raises(ValueError, match="255"):
        with_sender(frame, "ü" * 128)
