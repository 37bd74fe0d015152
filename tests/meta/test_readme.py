"""README's session is run as it stands, and its commands are the ones that CI and users run."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from tests.process import GatewayCommand

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def block(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert found, name
    return found[1]


async def test_the_session_prints_what_the_readme_shows(tmp_path: Path) -> None:
    config = (ROOT / "config" / "wsprism.yaml").read_text().replace("0.0.0.0:8080", "127.0.0.1:0")
    async with GatewayCommand(config, tmp_path) as gateway:
        script = block("session").replace("127.0.0.1:8080", f"127.0.0.1:{gateway.port}")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    shown = re.search(r"```text\n(.*?)```", README, re.DOTALL)
    assert shown

    def without_sid(text: str) -> str:
        return re.sub(r"'sid': '[^']*'", "'sid': '…'", text)

    assert without_sid(out.decode()) == without_sid(shown[1])


def test_the_commands_are_one_line_each() -> None:
    assert block("run").count("\n") == block("test").count("\n") == 1
    assert "python -m wsprism --config config/wsprism.yaml" in block("run")


def test_every_page_that_is_linked_exists() -> None:
    for page in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text()):
            assert (ROOT / target).exists(), f"{page}: {target}"
