"""`wsprism bench` against a real gateway: figures when all goes well, and a clear word when it does not."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from wsprism.cli import bench_run, main


async def bench(config: Path, *arguments: str) -> int:
    small = ["--clients", "3", "--rate", "20", "--seconds", "1"]
    return await asyncio.to_thread(main, ["bench", "--config", str(config), *small, *arguments])


@pytest.mark.parametrize("lane", ["ext", "hot"])
@pytest.mark.parametrize("framing", ["compact", "versioned"])
async def test_everything_is_delivered_to_everybody(
    start_gateway: StartGateway,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    lane: str,
    framing: str,
) -> None:
    for patience in ("_SETTLE_S", "_OWN_FRAME_S"):  # this machine may be busy; nothing here waits in vain
        monkeypatch.setattr(bench_run, patience, 60.0)
    await start_gateway(gateway={"listen": f"unix:{tmp_path}/s"}, acme={"policy": {"hot_framing": framing}})
    assert await bench(tmp_path / "wsprism-0.yaml", "--lane", lane, "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["published"], figures["delivered"], figures["lost"], figures["refusal"]) == (20, 60, 0, None)
    assert 0 < figures["p50_ms"] <= figures["p99_ms"] <= figures["max_ms"]


@pytest.mark.parametrize("service", ["relay", {"kind": "relay", "include_sender": True}])
async def test_a_service_that_leaves_the_sender_out_loses_nothing(
    start_gateway: StartGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str], service: object
) -> None:
    acme = {"policy": {"hot_allowlist": ["7:*"]}, "services": {"hot": {7: service}}}
    await start_gateway(gateway={"listen": f"unix:{tmp_path}/s"}, acme=acme)
    config = tmp_path / "wsprism-0.yaml"
    assert await bench(config, "--lane", "hot", "--hot-service", "7", "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["published"], figures["delivered"], figures["lost"]) == (20, 40, 0)
    assert await bench(config, "--lane", "hot", "--hot-service", "7", "--clients", "1") == 1
    assert (
        "hot service 7 reaches nobody; a service that leaves the sender out wants --clients 2"
        in capsys.readouterr().err
    )


async def test_a_refused_message_is_told_and_fails(
    start_gateway: StartGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await start_gateway(gateway={"listen": f"unix:{tmp_path}/s"}, acme={"policy": {"ext_allowlist": ["room:join"]}})
    assert await bench(tmp_path / "wsprism-0.yaml") == 1
    out, err = capsys.readouterr()
    assert "published" in out
    assert "the gateway refused: NOT_ALLOWED" in err


@pytest.mark.parametrize(
    ("acme", "told"),
    [
        ({"limits": {"max_sessions_total": 2}}, "refused 503"),
        ({"policy": {"ext_allowlist": ["chat:send"]}}, "a client may not join: NOT_ALLOWED"),
    ],
)
async def test_clients_that_are_not_let_in_are_told(
    start_gateway: StartGateway,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    acme: dict[str, object],
    told: str,
) -> None:
    await start_gateway(gateway={"listen": f"unix:{tmp_path}/s"}, acme=acme)
    assert await bench(tmp_path / "wsprism-0.yaml") == 1
    assert told in capsys.readouterr().err
