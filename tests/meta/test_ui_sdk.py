"""The SDK that the dashboard serves is the one of clients/js, as it is built and published."""

from __future__ import annotations

from pathlib import Path

from tests.sdk.packages import built_js

SERVED = Path(__file__).parents[2] / "wsprism" / "transport" / "ui" / "static" / "sdk"


def test_the_served_sdk_is_the_built_one() -> None:
    built = {path.name: path.read_text() for path in (built_js() / "dist").glob("*.js")}
    assert {path.name: path.read_text() for path in SERVED.iterdir()} == built, "run make ui-sdk"
