"""How the page reads a frame that a person writes: bytes in hex and numbers with their type."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.components import program

FRAMES = Path(__file__).parents[4] / "wsprism" / "transport" / "ui" / "static" / "frames.js"
SCRIPT = """
const { parseFrame, takeApart } = await import(process.argv[1]);
const told = JSON.parse(process.argv[2]).map((text) => {
  try {
    const frame = parseFrame(text);
    let apart = null;
    try { apart = takeApart(frame).payload.length; } catch (error) { apart = error.message; }
    return [[...frame], apart];
  } catch (error) {
    return error.message;
  }
});
console.log(JSON.stringify(told));
"""


def read(*texts: str) -> list[Any]:
    command = [program("node"), "--input-type=module", "-e", SCRIPT, FRAMES.as_uri(), json.dumps(texts)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("", ""),
        ("010700", "010700"),
        ("01 07,00", "010700"),
        ("0x01 0xFF", "01ff"),
        ("f3 01 f320 01", "f301f32001"),
        ("01 07 00 u8 7 u16 500 f32 1.5", "01070007f4010000c03f"),
        ("u8:255 U16(65535) i8 -1 i16:-2 u32 1 i32 -1", "ffffffff" + "feff" + "01000000" + "ffffffff"),
        ("f64 1e3", "0000000000408f40"),
    ],
)
def test_a_frame_is_what_was_written(text: str, frame: str) -> None:
    [(told, _)] = read(text)
    assert bytes(told).hex() == frame


def test_what_is_no_frame_is_told_in_words() -> None:
    told = read("0", "zz", "u8 256", "u8 -1", "u16 1.5", "u8", "u64 1", "f32 1.2.3", "1 2")
    assert all(isinstance(one, str) for one in told), told
    assert told[0] == '"0" is not bytes in hex.'
    assert told[2] == "256 is no u8."


def test_a_frame_is_taken_apart_for_the_sdk() -> None:
    [(_, whole), (_, short), (_, flagged)] = read("01 02 00 aa bb", "01 02", "01 02 01 aa")
    assert whole == 2
    assert "three bytes" in short
    assert "flags" in flagged
