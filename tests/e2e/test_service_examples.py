"""examples/services: the same game in Python, C and AssemblyScript plays the same, message by message."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.client import Client
from tests.components import program
from tests.required import skip_unless_required
from wsprism.cli import main
from wsprism.composition.app import GatewayProcess
from wsprism.settings import load_settings

EXAMPLE = Path(__file__).parents[2] / "examples" / "services"
BUILD_S = 240
ZIG = "cc -target wasm32-freestanding -O2 -nostdlib -Wl,--no-entry -Wl,-z,stack-size=65536 -o guess-c.wasm guess.c"


def run(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=BUILD_S, check=False)
    if done.returncode:
        skip_unless_required(f"{' '.join(command)}: {done.stderr[-1000:]}")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with its modules, built as its README says."""
    directory = tmp_path_factory.mktemp("services") / "example"
    shutil.copytree(EXAMPLE, directory, ignore=shutil.ignore_patterns("node_modules", "*.wasm", "__pycache__"))
    assert f"python -m ziglang {ZIG}\n" in (EXAMPLE / "README.md").read_text()
    run(sys.executable, "-m", "ziglang", *ZIG.split(), cwd=directory)
    program("node")
    npm = program("npm")
    run(npm, "ci", "--no-audit", "--no-fund", "--prefer-offline", cwd=directory)
    run(npm, "run", "build", cwd=directory)
    return directory


@pytest.fixture
async def base(built: Path) -> AsyncIterator[str]:
    data = yaml.safe_load((built / "wsprism.yaml").read_text())
    data["gateway"]["listen"] = "127.0.0.1:0"
    file = built / "here.yaml"
    file.write_text(yaml.safe_dump(data))
    process = GatewayProcess(load_settings(str(file)), file=str(file))
    await process.start()
    yield f"http://127.0.0.1:{process.address.port}"
    await process.stop()


async def test_the_same_game_plays_the_same_in_every_language(base: str) -> None:
    heard = [await _play(base, service) for service in ("python", "c", "assemblyscript")]
    assert heard[0] == heard[1] == heard[2]
    assert sum(one[0] == "won" for one in heard[0]) == 6
    assert {one[1] for one in heard[0] if one[0] == "error"} == {"BAD_REQUEST", "NOT_ALLOWED"}


async def _play(base: str, service: str) -> list[tuple[str, Any]]:
    """Three rounds in each of two rooms by halves, and what cannot be guessed; type and data of what is heard."""
    heard: list[tuple[str, Any]] = []

    async def say(client: Client, kind: str, data: Any = None) -> str:
        """The hint, or the code of the refusal. Who is right hears it as a member of the room too, in either order."""
        await client.send(service, kind, data)
        said, won = "", False
        while not said or (said == "right" and not won):
            message = await client.receive()
            told = message["data"]
            heard.append((message["type"], told["code"] if message["type"] == "error" else told))
            if message["type"] == "won":
                won = True
            else:
                said = told.get("hint") or told["code"]
        return said

    async with Client(base, ticket='dev:"ann" \\ ü') as ann:
        await say(ann, "guess", {"n": 50})
        for room in ("r", 'a "room" \\ ü {[,'):
            await ann.join(room)
            wrongs: list[Any] = [
                {"n": 0},
                {"n": 101},
                {"n": -1},
                {"n": 1.5},
                {"n": "50"},
                {"n": None},
                {},
                [],
                None,
                50,
            ]
            for wrong in wrongs:
                await say(ann, "guess", wrong)
            await say(ann, "look")
            for _ in range(3):
                low, high, hint = 1, 100, ""
                for _ in range(8):
                    if hint == "right":
                        break
                    middle = (low + high) // 2
                    data = {"before": [1, {"n": 3}, '\\"}'], "n": middle, "after": {"x": []}}
                    hint = await say(ann, "guess", data)
                    low, high = (middle + 1, high) if hint == "higher" else (low, middle - 1)
    return sorted(heard, key=repr)


def test_check_is_content_with_the_example(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(built / "wsprism.yaml")]) == 0, capsys.readouterr().err
