"""Every example of docs/cli.md is run, in its order, against a gateway with the page's configuration."""

from __future__ import annotations

import asyncio
import re
import shlex
import sys
from pathlib import Path

from tests.components import free_port
from tests.process import GatewayCommand
from tests.terminal import Terminal

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cli.md").read_text()
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
_MARK = "@@@"


def examples(text: str) -> list[tuple[str, str]]:
    """Commands and what they print."""
    found = []
    for block in _BLOCK.findall(text):
        for one in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = one.partition("\n")
            found.append((command, shown))
    return found


def matches(shown: str, printed: str) -> bool:
    """``…`` stands for anything within a line."""
    pattern = "[^\n]*".join(re.escape(part) for part in shown.split("…"))
    return re.fullmatch(pattern, printed) is not None


def block(name: str, text: str) -> str:
    found = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", text, re.DOTALL)
    assert found, name
    return found[1]


async def test_the_examples_print_what_the_page_shows(tmp_path: Path) -> None:
    page = PAGE.replace("8080", str(free_port())).replace("9090", str(free_port()))
    config = block("config", page)
    (tmp_path / "demo.yaml").write_text(config)
    shown = examples(page)
    assert len(shown) > 15
    script = [f'wsprism() {{ {shlex.quote(sys.executable)} -m wsprism "$@"; }}', "exec 2>&1"]
    for command, _ in shown:
        script += [command, f"echo {_MARK}"]
    async with GatewayCommand(config, tmp_path):
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", "\n".join(script), stdout=asyncio.subprocess.PIPE, cwd=tmp_path
        )
        try:
            async with asyncio.timeout(280):
                out, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    printed = out.decode().split(f"{_MARK}\n")
    wrong = [
        f"$ {command}\nprinted:\n{actual}\nthe page shows:\n{expected}"
        for (command, expected), actual in zip(shown, printed, strict=False)
        if not matches(expected, actual)
    ]
    assert not wrong, "\n".join(wrong)
    assert len(printed) == len(shown) + 1


async def test_what_is_typed_by_hand_looks_as_the_page_shows(tmp_path: Path) -> None:
    config = block("config", PAGE.replace("8080", str(free_port())).replace("9090", str(free_port())))
    path = tmp_path / "demo.yaml"
    path.write_text(config)
    sent = ["/join match:1\n", "Hello World\n", "/hot 1 1 deadbeef\n", "\x04"]
    command = [sys.executable, "-m", "wsprism", "connect", "--config", str(path), "--user", "ann"]
    async with GatewayCommand(config, tmp_path), Terminal(command) as terminal:
        await terminal.expect("← sys.authed")
        for line in block("typed", PAGE).splitlines():
            if line.startswith(("→", "closed")):
                terminal.type(sent.pop(0))
            await terminal.expect(line)


def test_every_command_has_a_section() -> None:
    from wsprism.cli.dispatch import build_parser

    [commands] = [action.choices for action in build_parser()._actions if action.dest == "command"]
    assert isinstance(commands, dict)
    sections = {title.split()[0] for title in re.findall(r"^## (.*)$", PAGE, re.MULTILINE)}
    assert sections == set(commands)
