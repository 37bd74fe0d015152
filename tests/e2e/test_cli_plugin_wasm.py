"""``wsprism plugin run FILE.wasm``: what a module answers, and what it costs, without a gateway."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.guests import LOG, answering, guest
from wsprism.cli import main

EFFECTS = [{"publish": {"type": "moved", "data": {"x": 1}}}, {"reply": None}]


class Ran:
    """Exit code, the lines of JSON on standard output, standard error."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.lines: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
        self.err = err


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Any:
    def feed(content: bytes, said: str, *arguments: str) -> Ran:
        file = tmp_path / "rules.wasm"
        file.write_bytes(content)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(said.encode())))
        code = main(["plugin", "run", str(file), *arguments])
        out, err = capfdbinary.readouterr()
        return Ran(code, out.decode(), err.decode())

    return feed


def test_effects_fuel_and_memory_of_each_line(run: Any) -> None:
    ran = run(answering(json.dumps({"effects": EFFECTS})), '{"type":"move"}\n\n{"type":"move","room":"r"}\n')
    assert ran.code == 0
    assert [one["effects"] for one in ran.lines] == [EFFECTS, EFFECTS]
    assert all(0 < one["fuel"] < 100 and one["memory_bytes"] == 65_536 for one in ran.lines)


def test_faults_are_told_and_the_next_line_begins_anew(run: Any) -> None:
    ran = run(guest("(loop (br 0)) i64.const 0"), '{"type":"x"}\nnonsense\n[]\n{"type":"x"}\n', "--fuel", "5000")
    assert [one["fault"] for one in ran.lines] == [
        "it has used up its fuel (5000 a call)",
        "this line is not JSON",
        "this line is no message: it takes an object, and an object as its session",
        "it has used up its fuel (5000 a call)",
    ]
    assert [one["fuel"] for one in ran.lines] == [5000, 0, 0, 5000]
    assert ran.code == 0


def test_limits_are_arguments(run: Any) -> None:
    content = answering(json.dumps({"effects": EFFECTS}))
    [line] = run(content, '{"type":"x"}', "--effects", "1").lines
    assert "1 are allowed" in line["fault"]
    [line] = run(content, '{"type":"x"}', "--output-bytes", "10").lines
    assert "10 are allowed" in line["fault"]
    with pytest.raises(SystemExit) as exit:
        run(content, "", "--memory-mib", "17")
    assert exit.value.code == 2


def test_options_are_given_to_its_init(run: Any) -> None:
    init = "(i32.ne (local.get $size) (i32.const 9))"
    assert run(guest(init=init), '{"type":"x"}', "--options", '{"seed":7}').code == 1
    assert run(guest(init=init), '{"type":"x"}', "--options", '{"seed":""}').code == 1
    assert run(guest(init=init), '{"type":"x"}', "--options", '{"see":7}').lines[0]["effects"] == []


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"no module", "no WebAssembly module"), (guest(abi="i32.const 9"), "it speaks ABI 9")],
)
def test_a_module_that_is_refused_ends_it(run: Any, content: bytes, words: str) -> None:
    ran = run(content, '{"type":"x"}')
    assert (ran.code, ran.lines) == (1, [])
    assert words in ran.err


def test_what_it_says_goes_to_standard_error(run: Any) -> None:
    handle = "(call $log (i32.const 2) (i32.const 4096) (i32.const 5)) i64.const 0"
    ran = run(guest(handle, imports=LOG, more='(data (i32.const 4096) "hello")'), '{"type":"x"}')
    assert ran.err == "warning: 'hello'\n"
