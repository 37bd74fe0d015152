"""docs/api.md: its configuration starts a gateway, and its examples answer what it shows."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.client import Client
from tests.components import free_port, program
from tests.process import GatewayCommand
from wsprism import is_compiled
from wsprism.transport.api.problems import CODES

PAGE = (
    (Path(__file__).parents[2] / "docs" / "api.md")
    .read_text()
    .replace('"compiled": true', f'"compiled": {json.dumps(is_compiled())}')
)
KEYS = {"OPERATOR_KEY": "an-operator's-key", "BACKEND_KEY": "a-backend's-key"}
EXAMPLES = re.findall(r"```sh\n(.*?)```\n```json\n(.*?)```", PAGE, re.DOTALL)


async def test_the_examples_answer_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program("curl")
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    port = free_port()
    found = re.search(r"<!-- config -->\n```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert found
    config = found[1].replace("127.0.0.1:9090", f"127.0.0.1:{port}").replace("0.0.0.0:8080", "127.0.0.1:0")
    assert len(EXAMPLES) > 10
    async with (
        GatewayCommand(config, tmp_path) as gateway,
        Client(gateway.base, ticket="dev:ann", sid="phone") as ann,
    ):
        await ann.join("match:1")
        for script, shown in EXAMPLES:
            assert_like(values(shown), values(await run(script, f"http://127.0.0.1:{port}")), script)


def test_its_table_of_refusals_is_that_of_the_code() -> None:
    shown = {int(status): code for status, code in re.findall(r"^\| (\d{3}) \| `(\w+)` \|", PAGE, re.MULTILINE)}
    assert shown == {status: code.value for status, code in CODES.items()}


async def run(script: str, api: str) -> str:
    """What a shell prints for ``script``."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", script),
        env={**os.environ, **KEYS, "API": api},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode()


def values(text: str) -> list[Any]:
    """JSON values that stand one after the other."""
    decoder = json.JSONDecoder()
    found = []
    at = 0
    text = text.strip()
    while at < len(text):
        value, end = decoder.raw_decode(text, at)
        found.append(value)
        at = end + len(text[end:]) - len(text[end:].lstrip())
    return found


def assert_like(shown: Any, found: Any, where: str) -> None:
    """Equal, but for ``…`` in a text, which is anything, and fractions, which are any number."""
    match shown:
        case dict():
            assert isinstance(found, dict), where
            assert set(shown) == set(found), where
            for key, value in shown.items():
                assert_like(value, found[key], where)
        case list():
            assert len(shown) == len(found), where
            for one, other in zip(shown, found, strict=True):
                assert_like(one, other, where)
        case str():
            assert re.fullmatch(".+".join(map(re.escape, shown.split("…"))), found), (where, shown, found)
        case float():
            assert isinstance(found, float), where
        case _:
            assert shown == found, (where, shown, found)
