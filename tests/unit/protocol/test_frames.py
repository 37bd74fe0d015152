"""Server frames: what must not be built is refused."""

import pytest

from wsprism.protocol import close_frame, ping_frame, pong_frame


@pytest.mark.parametrize("build", [ping_frame, pong_frame])
def test_control_frame_above_125_bytes_is_refused(build: object) -> None:
    assert callable(build)
    with pytest.raises(ValueError, match="at most 125"):
        build(bytes(126))


def test_close_code_that_is_reserved_is_not_sent() -> None:
    with pytest.raises(ValueError, match="1006"):
        close_frame(1006)
