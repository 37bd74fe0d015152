"""`wsprism health` against gateways that are ready, draining, on a Unix socket, and not there."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import pytest

from tests.certificates import make_certificate
from tests.conftest import StartGateway
from wsprism.cli import main

ROOT = Path(__file__).parents[2]


async def health(*arguments: str) -> int:
    return await asyncio.to_thread(main, ["health", *arguments])


async def test_a_ready_gateway_is_healthy_and_a_draining_one_is_alive_only(
    start_gateway: StartGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = await start_gateway()
    assert await health("--url", gateway.base) == 0
    assert capsys.readouterr().out == f"{gateway.base}/readyz: 200 ready\n"
    gateway.process.begin_drain()
    assert await health("--url", gateway.base) == 1
    assert capsys.readouterr().err == f"{gateway.base}/readyz: 503 draining\n"
    assert await health("--url", gateway.base, "--live") == 0
    assert await health("--url", f"{gateway.base}/healthz") == 0


async def test_the_configuration_says_whom_to_ask(
    start_gateway: StartGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await start_gateway(gateway={"listen": f"unix:{tmp_path}/s"})
    config = tmp_path / "wsprism-0.yaml"
    assert await health("--config", str(config)) == 0
    assert capsys.readouterr().out == f"unix:{tmp_path}/s/readyz: 200 ready\n"


@pytest.mark.parametrize("on_socket", [False, True])
async def test_behind_tls_the_configuration_is_enough_and_a_url_wants_a_certificate_or_the_word(
    start_gateway: StartGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str], on_socket: bool
) -> None:
    made = make_certificate(tmp_path)
    tls = {"cert_file": str(made.cert), "key_file": str(made.key)}
    listen = f"unix:{tmp_path}/s" if on_socket else "127.0.0.1:0"
    gateway = await start_gateway(gateway={"listen": listen, "tls": tls})
    config = tmp_path / "asked.yaml"
    address = listen if on_socket else f"127.0.0.1:{gateway.port}"
    config.write_text(f"gateway: {{listen: '{address}', tls: {{cert_file: x}}}}\n")
    assert await health("--config", str(config)) == 0
    if not on_socket:
        url = f"https://127.0.0.1:{gateway.port}"
        assert await health("--url", url) == 1
        assert "(--insecure takes any certificate)" in capsys.readouterr().err
        assert await health("--url", url, "--insecure") == 0


async def test_an_edit_that_is_not_valid_does_not_make_a_running_gateway_sick(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = await start_gateway()
    edited = tmp_path / "edited.yaml"
    edited.write_text(f"gateway: {{listen: '127.0.0.1:{gateway.port}', nonsense: 1}}\n")
    assert await health("--config", str(edited)) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--url", "http://127.0.0.1:1"], "cannot be reached: Connection refused"),
        (["--url", "nonsense"], "not a URL"),
        (["--config", "/nonexistent.yaml"], "cannot be read"),
    ],
)
async def test_whatever_is_wrong_the_exit_code_is_1(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert await health(*arguments) == 1
    assert told in capsys.readouterr().err


async def test_who_does_not_answer_in_time_is_not_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert await health("--url", url, "--timeout-ms", "100") == 1
    assert "does not answer within 0.1 s" in capsys.readouterr().err


@pytest.mark.parametrize("whom", [("--url", "unix:/nonexistent"), ("--config", str(ROOT / "config" / "wsprism.yaml"))])
async def test_it_imports_no_framework(whom: tuple[str, str]) -> None:
    code = "import sys; from wsprism.cli import main; main(sys.argv[1:]); print(*sys.modules, file=sys.__stdout__)"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, "health", *whom,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert not {"aiohttp", "asyncio", "pydantic", "rich"} & set(out.decode().split())
