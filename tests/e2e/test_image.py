"""What the image does, without an engine: its environment, its command, its health check, its user."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import venv
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client import Client
from tests.components import free_port, program
from tests.distribution import build

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def installed() -> Iterator[Path]:
    """An environment with the wheel and, by reference, what this one has besides."""
    with tempfile.TemporaryDirectory(prefix="wsprism-image-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        environment = directory / "wsprism"
        venv.create(environment, symlinks=True, with_pip=True)
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--no-index", "--no-deps"]
        subprocess.run([*pip, str(build("wheel", directory))], check=True, capture_output=True)
        [site] = environment.glob("lib/python3*/site-packages")
        (site / "dependencies.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
        yield environment


async def test_the_images_command_serves_is_healthy_and_drains(installed: Path) -> None:
    port = free_port()
    config = installed / "wsprism.yaml"
    config.write_text((ROOT / "config" / "wsprism.yaml").read_text().replace("0.0.0.0:8080", f"127.0.0.1:{port}"))

    def inside(instruction: str) -> list[str]:
        return [word.replace("/etc/wsprism/wsprism.yaml", str(config)) for word in _words(instruction)]

    script = str(installed / "bin" / "wsprism")
    as_user = _as_user()
    start = [*as_user, script, *inside("CMD")]
    assert inside("ENTRYPOINT") == inside("HEALTHCHECK")[:1] == ["wsprism"]
    health = [*as_user, script, *inside("HEALTHCHECK")[1:]]
    env = {"PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"], "PYTHONWARNINGS": "error"}
    assert await _run(*health, env=env) == (1, b"")
    process = await asyncio.create_subprocess_exec(*start, cwd="/", env=env, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    try:
        active = await asyncio.wait_for(process.stdout.readline(), 60)
        code, told = await _run(*health, env=env)
        user = os.stat(f"/proc/{process.pid}").st_uid
        async with Client(f"http://127.0.0.1:{port}") as client:
            process.send_signal(signal.SIGTERM)
            assert (await client.receive())["type"] == "draining"
            assert (await client.expect_close())[0] == 1001
    finally:
        _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert b"active" in active
    assert (code, b"ok" in told, process.returncode) == (0, True, 0), errors
    assert user != 0


async def _run(*command: str, env: dict[str, str]) -> tuple[int | None, bytes]:
    process = await asyncio.create_subprocess_exec(*command, cwd="/", env=env, stdout=PIPE, stderr=PIPE)
    told, _ = await process.communicate()
    return process.returncode, told


def _words(instruction: str) -> list[str]:
    final = DOCKERFILE.rsplit("\nFROM ", 1)[1].replace("\\\n", " ")
    found = re.search(rf"^{instruction} [^\[]*(\[.*\])$", final, re.MULTILINE)
    assert found, instruction
    words: list[str] = json.loads(found[1])
    return words


def _as_user() -> list[str]:
    """The image's user, who here may read what only root may (where this environment is), and write nothing."""
    user = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert user
    if os.geteuid() != 0:
        return []
    capability = "--inh-caps=-all,+dac_read_search"
    identity = [f"--reuid={user[1]}", f"--regid={user[2]}", "--clear-groups"]
    return [program("setpriv"), *identity, capability, "--ambient-caps=-all,+dac_read_search", "--no-new-privs"]
