"""What is served below /ui/: the files as they are, with headers that keep the page to itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.api import INTERNAL, start_with_api
from tests.conftest import StartGateway

STATIC = Path(__file__).parents[4] / "wsprism" / "transport" / "ui" / "static"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


async def get(url: str, **options: Any) -> tuple[int, Any, bytes]:
    async with aiohttp.ClientSession() as session, session.get(url, allow_redirects=False, **options) as answer:
        return answer.status, answer.headers, await answer.read()


async def test_every_file_is_served_as_it_is(start_gateway: StartGateway) -> None:
    _, internal = await start_with_api(start_gateway)
    files = [path for path in STATIC.rglob("*") if path.is_file()]
    assert len(files) > 20
    for file in files:
        status, headers, body = await get(f"{internal}/ui/{file.relative_to(STATIC)}")
        assert (status, body) == (200, file.read_bytes())
        assert headers["Content-Type"].startswith(TYPES[file.suffix])
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert (await get(f"{internal}/ui/"))[2] == (STATIC / "index.html").read_bytes()


async def test_only_the_sdk_may_be_imported_by_pages_of_other_origins(start_gateway: StartGateway) -> None:
    _, internal = await start_with_api(start_gateway)
    for file in ("", "index.html", "app.js", "listener.json", "sdk/index.js", "sdk/client.js"):
        _, headers, _ = await get(f"{internal}/ui/{file}", headers={"Origin": "null"})
        assert headers.get("Access-Control-Allow-Origin") == ("*" if file.startswith("sdk/") else None), file


async def test_what_is_known_is_not_sent_again(start_gateway: StartGateway) -> None:
    _, internal = await start_with_api(start_gateway)
    _, headers, _ = await get(f"{internal}/ui/app.js")
    status, _, body = await get(f"{internal}/ui/app.js", headers={"If-None-Match": headers["ETag"]})
    assert (status, body) == (304, b"")


async def test_the_page_may_do_nothing_but_what_it_needs(start_gateway: StartGateway) -> None:
    gateway, internal = await start_with_api(start_gateway)
    _, headers, body = await get(f"{internal}/ui/")
    policy = dict(one.strip().partition(" ")[::2] for one in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["connect-src"] == f"'self' ws://127.0.0.1:{gateway.port}"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert b"<style" not in body
    assert body.count(b"<script") == 1
    assert b'src="app.js"></script>' in body


@pytest.mark.parametrize("host", ["evil; script-src *", "a b", "x'y", "[::1", "[1.2.3]", "", "a,b", "a/b"])
async def test_a_host_that_is_none_gets_into_no_policy(start_gateway: StartGateway, host: str) -> None:
    _, internal = await start_with_api(start_gateway)
    status, headers, _ = await get(f"{internal}/ui/", headers={"Host": host})
    if status == 200:
        assert headers["Content-Security-Policy"].split(";")[4].strip() == "connect-src 'self'"


@pytest.mark.parametrize(
    ("host", "shown"), [("ops.example.org:9090", "ops.example.org"), ("[::1]:9090", "[::1]"), ("10.0.0.5", "10.0.0.5")]
)
async def test_clients_connect_to_the_requests_host(start_gateway: StartGateway, host: str, shown: str) -> None:
    gateway, internal = await start_with_api(start_gateway)
    _, headers, _ = await get(f"{internal}/ui/", headers={"Host": host})
    assert f"connect-src 'self' ws://{shown}:{gateway.port};" in headers["Content-Security-Policy"]
    _, _, body = await get(f"{internal}/ui/listener.json", headers={"Host": host})
    assert body == f'{{"url": "ws://{shown}:{gateway.port}"}}'.encode()


async def test_a_configured_public_url_goes_before_and_changes_with_a_reload(start_gateway: StartGateway) -> None:
    public = {"internal": INTERNAL, "public_url": "https://rt.example.org/some/path"}
    gateway, internal = await start_with_api(start_gateway, gateway=public)
    _, headers, _ = await get(f"{internal}/ui/")
    assert "connect-src 'self' wss://rt.example.org;" in headers["Content-Security-Policy"]
    assert b"wss://rt.example.org/some/path" in (await get(f"{internal}/ui/listener.json"))[2]
    await gateway.reconfigure(lambda data: data["gateway"].update(public_url="ws://rt.example.org:81"))
    assert b'"ws://rt.example.org:81"' in (await get(f"{internal}/ui/listener.json"))[2]


async def test_it_is_not_there_where_it_is_not_wanted(start_gateway: StartGateway) -> None:
    gateway, internal = await start_with_api(start_gateway)
    assert (await get(f"{internal}/ui"))[0] == 308
    assert (await get(f"{internal}/ui/nothing.js"))[0] == 404
    assert (await get(f"{internal}/ui/%2e%2e/site.py"))[0] == 404
    assert (await get(f"{gateway.base}/ui/"))[0] == 404
    async with aiohttp.ClientSession() as session, session.post(f"{internal}/ui/") as answer:
        assert answer.status == 405
    await gateway.reconfigure(lambda data: data["gateway"]["internal"].update(ui=False))
    assert (await get(f"{internal}/ui/"))[0] == 404
    await gateway.reconfigure(lambda data: data["gateway"]["internal"].update(ui=True))
    assert (await get(f"{internal}/ui/"))[0] == 200


@pytest.mark.parametrize(
    "url", ["rt.example.org", "ftp://x", "ws://", "wss://u:p@x", "wss://x/;y", "wss://x?a=b", "wss://x y"]
)
def test_a_public_url_that_is_none_is_a_fault(url: str) -> None:
    from pydantic import TypeAdapter, ValidationError

    from wsprism.settings.urls import PublicUrl

    with pytest.raises(ValidationError, match="must be wss://"):
        TypeAdapter(PublicUrl).validate_python(url)
