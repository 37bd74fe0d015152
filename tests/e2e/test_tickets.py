"""Tickets of every kind on the wire: a real gateway, a real issuer that publishes keys, a real backend that decides."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import signal
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.certificates import make_certificate
from tests.client import Client, connect_url, until
from tests.conftest import Running, StartGateway
from tests.keys import jwk, jwk_set, public_pem, signing_key, token
from tests.process import GatewayCommand
from wsprism.policy.revocation import Revocable
from wsprism.realtime.messages import Revoke

SIGNING_KEY = b"twenty-four bytes or more"
SECRET = "whsec_" + base64.b64encode(SIGNING_KEY).decode()


class Site:
    """An issuer and a backend on one port. ``keys`` is what ``/keys`` answers; ``decide`` what ``/tickets``."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.keys: bytes | None = None
        self.fetches = 0
        self.asked: list[dict[str, Any]] = []
        self.decide: Callable[[dict[str, Any]], Awaitable[web.StreamResponse]] = self.by_name
        app = web.Application()
        app.router.add_get("/keys", self._publish)
        app.router.add_post("/tickets", self._judge)
        self._server = TestServer(app, scheme="http" if tls is None else "https")

    async def __aenter__(self) -> Self:
        await self._server.start_server(ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._server.close()

    def url(self, path: str) -> str:
        return str(self._server.make_url(path))

    def webhook(self, **settings: Any) -> dict[str, Any]:
        return {"kind": "webhook", "url": self.url("/tickets"), "secret": SECRET, **settings}

    def issuer(self, *algorithms: str, **settings: Any) -> dict[str, Any]:
        return {"kind": "jwt", "algorithms": list(algorithms), "jwks_url": self.url("/keys"), **settings}

    async def by_name(self, question: dict[str, Any]) -> web.StreamResponse:
        """Lets ``in:<user>`` in."""
        scheme, _, user = question["ticket"].partition(":")
        return web.json_response({"user": user}) if scheme == "in" else web.Response(status=401)

    async def _publish(self, _: web.Request) -> web.Response:
        self.fetches += 1
        return web.Response(status=500) if self.keys is None else web.Response(body=self.keys)

    async def _judge(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = request.headers
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(SIGNING_KEY, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
        question = json.loads(body)
        self.asked.append(question)
        return await self.decide(question)


def good(algorithm: str = "ES256", kid: str | None = "k", name: str = "a", **claims: Any) -> str:
    """A token of the issuer's that is good for a minute."""
    headers = {} if kid is None else {"kid": kid}
    return token(algorithm, name, headers, **{"sub": "ann", "exp": time.time() + 60} | claims)


async def status(gateway: Running | GatewayCommand, ticket: str, tenant: str = "acme", **headers: str) -> int:
    """What the handshake is answered with; 101 lets in."""
    async with aiohttp.ClientSession() as session:
        try:
            async with session.ws_connect(connect_url(gateway.base, tenant, ticket), headers=headers):
                return 101
        except aiohttp.WSServerHandshakeError as refused:
            return refused.status


# JWT


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_a_token_of_a_published_key_lets_its_user_in(start_gateway: StartGateway, algorithm: str) -> None:
    async with Site() as site:
        site.keys = jwk_set(jwk(algorithm, "k"))
        gateway = await start_gateway(acme={"auth": site.issuer(algorithm)})
        async with Client(gateway.base, ticket=good(algorithm)) as client:
            assert client.authed["data"]["user"] == "ann"
        assert await status(gateway, good(algorithm, name="forger")) == 401
        assert await status(gateway, good(algorithm, exp=time.time() - 60)) == 401
        assert site.fetches == 1


async def test_a_rotated_key_is_found_and_an_outage_keeps_the_last_good_set(start_gateway: StartGateway) -> None:
    async with Site() as site:
        site.keys = jwk_set(jwk("ES256", "k"))
        auth = site.issuer("ES256", jwks_min_refresh_s=1, jwks_lifetime_s=1)
        gateway = await start_gateway(acme={"auth": auth})
        assert await status(gateway, good()) == 101
        site.keys = jwk_set(jwk("ES256", "next", "b"), jwk("ES256", "k"))
        await asyncio.sleep(1.05)  # the floor between two fetches runs on the real clock here
        assert await status(gateway, good(kid="next", name="b")) == 101
        site.keys = None
        await asyncio.sleep(1.05)
        assert await status(gateway, good()) == 101
        assert await status(gateway, good(kid="next", name="b")) == 101
        assert site.fetches >= 3


async def test_no_tenants_issuer_can_sign_for_another_tenant(start_gateway: StartGateway) -> None:
    async with Site() as ours, Site() as theirs:
        ours.keys, theirs.keys = jwk_set(jwk("ES256", "k")), jwk_set(jwk("ES256", "k", "b"))
        other = {"id": "other", "auth": theirs.issuer("ES256")}
        gateway = await start_gateway(acme={"auth": ours.issuer("ES256")}, tenants=[other])
        for _ in range(2):
            assert await status(gateway, good(), "acme") == 101
            assert await status(gateway, good(), "other") == 401
            assert await status(gateway, good(name="b"), "other") == 101
            assert await status(gateway, good(name="b"), "acme") == 401


async def test_of_two_issuers_only_the_tokens_own_is_asked_for_its_key(start_gateway: StartGateway) -> None:
    async with Site() as one, Site() as two:
        one.keys, two.keys = jwk_set(jwk("ES256", "k")), jwk_set(jwk("ES256", "k", "b"))
        auth = [one.issuer("ES256", issuer="one"), two.issuer("ES256", issuer="two")]
        gateway = await start_gateway(acme={"auth": auth})
        assert await status(gateway, good(name="b", iss="two")) == 101
        assert (one.fetches, two.fetches) == (0, 1)
        assert await status(gateway, good(name="b", iss="one")) == 401
        assert await status(gateway, good(name="b", iss="three")) == 401
        assert await status(gateway, good(iss="one")) == 101
        assert (one.fetches, two.fetches) == (1, 1)


async def test_a_tickets_rooms_and_read_only_hold(start_gateway: StartGateway) -> None:
    async with Site() as site:
        site.keys = jwk_set(jwk("ES256", "k"))
        gateway = await start_gateway(acme={"auth": site.issuer("ES256")})
        async with Client(gateway.base, ticket=good(rooms=["match:*"], read_only=True)) as client:
            await client.send("room", "join", room="lobby")
            await client.expect_error("NOT_ALLOWED")
            await client.join("match:1")
            await client.send("chat", "send", {"msg": "hi"})
            await client.expect_error("NOT_ALLOWED")


async def test_a_connection_ends_with_its_ticket_unless_it_is_refreshed_in_time(start_gateway: StartGateway) -> None:
    async with Site() as site:
        site.keys = jwk_set(jwk("ES256", "k"))
        gateway = await start_gateway(acme={"auth": site.issuer("ES256", leeway_s=0)})
        soon = time.time() + 4
        async with (
            Client(gateway.base, ticket=good(exp=soon)) as expiring,
            Client(gateway.base, ticket=good(exp=soon)) as refreshed,
        ):
            await refreshed.send("sys", "refresh", {"ticket": good(sub="bob")})
            await refreshed.expect_error("AUTH_FAILED")
            await refreshed.send("sys", "refresh", {"ticket": good(exp=soon + 100)})
            assert (await refreshed.receive())["data"] == {"expires_at": soon + 100}
            assert await expiring.expect_close() == (4003, "ticket expired")
            await refreshed.expect_silence()


# One-time tickets


async def test_a_one_time_ticket_lets_one_in_however_many_show_it_at_once(start_gateway: StartGateway) -> None:
    auth = {"auth": {"kind": "one_time"}}
    gateway = await start_gateway(acme=auth, tenants=[{"id": "other", **auth}])
    (acme, _) = gateway.process.tenants()
    minted = acme.one_time.mint("ann", 60.0, rooms=("match:*",))
    assert minted is not None
    assert await status(gateway, minted[0], "other") == 401
    statuses = await asyncio.gather(*(status(gateway, minted[0]) for _ in range(20)))
    assert sorted(statuses) == [101] + [401] * 19
    assert await status(gateway, minted[0]) == 401


# Webhook


async def test_the_backend_decides_and_is_told_who_asks(start_gateway: StartGateway) -> None:
    async with Site() as site:
        gateway = await start_gateway(acme={"auth": site.webhook()})
        headers = {"Origin": "https://game.example", "User-Agent": "browser"}
        async with Client(gateway.base, ticket="in:ann", headers=headers) as client:
            assert client.authed["data"]["user"] == "ann"
            await client.send("sys", "refresh", {"ticket": "in:ann"})
            assert (await client.receive())["type"] == "refreshed"
        assert await status(gateway, "out") == 401
        said = {"tenant": "acme", "ticket": "in:ann", "remote_address": "127.0.0.1"}
        said |= {"origin": "https://game.example", "user_agent": "browser"}
        assert site.asked[:2] == [said] * 2


async def test_a_slow_backend_refuses_in_time_and_nobody_else_waits_for_it(start_gateway: StartGateway) -> None:
    async with Site() as site:
        gateway = await start_gateway(acme={"auth": [{"kind": "dev"}, site.webhook(timeout_ms=6000)]})
        release = asyncio.Event()

        async def slow(_: dict[str, Any]) -> web.Response:
            await release.wait()
            return web.json_response({"user": "ann"})

        site.decide = slow
        async with Client(gateway.base, ticket="dev") as client:
            waiting = [asyncio.create_task(status(gateway, "in:ann")) for _ in range(20)]
            await until(lambda: len(site.asked) == 20)
            await client.expect_silence()
            assert not any(one.done() for one in waiting)
            assert await asyncio.gather(*waiting) == [503] * 20
        release.set()


async def test_only_so_many_wait_for_a_slow_backend_at_once(start_gateway: StartGateway) -> None:
    async with Site() as site:
        gateway = await start_gateway(
            acme={"auth": site.webhook(timeout_ms=10_000)}, gateway={"limits": {"max_half_open": 3}}
        )
        release = asyncio.Event()

        async def slow(_: dict[str, Any]) -> web.Response:
            await release.wait()
            return web.json_response({"user": "ann"})

        site.decide = slow
        waiting = [asyncio.create_task(status(gateway, "in:ann")) for _ in range(3)]
        await until(lambda: len(site.asked) == 3)
        assert await status(gateway, "in:ann") == 503
        release.set()
        assert await asyncio.gather(*waiting) == [101] * 3
        assert await status(gateway, "in:ann") == 101


async def test_garbage_a_flood_a_redirect_and_a_lie_refuse(start_gateway: StartGateway) -> None:
    async with Site() as site:
        gateway = await start_gateway(acme={"auth": site.webhook()})
        yes = json.dumps({"user": "ann"}).encode()
        answers = [
            web.Response(body=b"<html>"),
            web.Response(body=yes + b" " * 100_000),
            web.Response(status=307, headers={"Location": site.url("/tickets")}, body=yes),
            web.Response(status=500, body=yes),
            web.Response(body=json.dumps({"user": "ann", "rooms": "all"}).encode()),
            web.Response(body=yes, headers={"Content-Encoding": "gzip"}),
        ]
        for answer in answers:

            async def say(_: dict[str, Any], answer: web.Response = answer) -> web.Response:
                return answer

            site.decide = say
            assert await status(gateway, "in:ann") == 503
        assert len(site.asked) == len(answers)
        site.decide = site.by_name
        assert await status(gateway, "in:ann") == 101


async def test_without_its_backend_the_gateway_lets_nobody_in(start_gateway: StartGateway) -> None:
    async with Site() as site:
        auth = site.webhook()
    gateway = await start_gateway(acme={"auth": auth})
    assert await status(gateway, "in:ann") == 503


# Several, and revocation


async def test_several_kinds_are_tried_in_order(start_gateway: StartGateway) -> None:
    async with Site() as site:
        site.keys = jwk_set(jwk("ES256", "k"))
        gateway = await start_gateway(acme={"auth": [{"kind": "one_time"}, site.issuer("ES256"), site.webhook()]})
        (acme,) = gateway.process.tenants()
        minted = acme.one_time.mint("once", 60.0)
        assert minted is not None
        for ticket, user in ((minted[0], "once"), (good(sub="signed"), "signed"), ("in:asked", "asked")):
            async with Client(gateway.base, ticket=ticket) as client:
                assert client.authed["data"]["user"] == user
        assert [question["ticket"] for question in site.asked] == ["in:asked"]
        assert await status(gateway, "nobody's") == 401


async def test_a_revoked_ticket_ends_its_connections_and_opens_no_new_one(start_gateway: StartGateway) -> None:
    async with Site() as site:
        site.keys = jwk_set(jwk("ES256", "k"))
        gateway = await start_gateway(acme={"auth": site.issuer("ES256")})
        (acme,) = gateway.process.tenants()
        stolen, other = good(jti="stolen"), good(jti="other")
        async with Client(gateway.base, ticket=stolen) as thief, Client(gateway.base, ticket=other) as owner:
            revoke = Revoke(Revocable.TOKEN_ID, "stolen", time.time() + 60)
            assert await acme.ref.ask(revoke, 5.0) == 1
            assert await thief.expect_close() == (4502, "ticket revoked")
            assert await status(gateway, stolen) == 401
            await owner.send("sys", "refresh", {"ticket": stolen})
            await owner.expect_error("AUTH_FAILED")
            await owner.expect_silence()
        assert gateway.process.counters.handshakes_refused["revoked"] == 1
        assert await status(gateway, other) == 101


# The process, as an operator runs it


async def test_the_command_reads_keys_beside_its_configuration_and_judges_by_them(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(public_pem(signing_key("RS256")))
    (tmp_path / "webhook.secret").write_text(SECRET + "\n")
    async with Site() as site:
        site.keys = jwk_set(jwk("ES256", "k"))
        config = f"""
version: 1
gateway: {{listen: 127.0.0.1:0}}
logging: {{format: json}}
tenants:
  - id: acme
    auth:
      - {{kind: jwt, algorithms: [RS256], public_key_file: key.pem}}
      - {{kind: jwt, algorithms: [ES256], jwks_url: "{site.url("/keys")}"}}
      - {{kind: webhook, url: "{site.url("/tickets")}", secret: {{file: webhook.secret}}}}
"""
        async with GatewayCommand(config, tmp_path) as gateway:
            for ticket in (good("RS256"), good("ES256"), "in:ann"):
                async with Client(gateway.base, ticket=ticket) as client:
                    assert client.authed["data"]["user"] == "ann"
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await Client(gateway.base, ticket="secret-ticket").open()
            assert refused.value.status == 401
        log = "".join(gateway.log)
        assert "secret-ticket" not in log
        assert SECRET not in log


async def test_an_issuer_of_ones_own_authority_is_trusted_where_the_environment_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate.combined)
    async with Site(tls) as site:
        site.keys = jwk_set(jwk("ES256", "k"))
        tenant = {"id": "acme", "auth": site.issuer("ES256")}
        config = json.dumps({"version": 1, "gateway": {"listen": "127.0.0.1:0"}, "tenants": [tenant]})
        for trusted in (False, True):
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate.cert) if trusted else "")
            async with GatewayCommand(config, tmp_path) as gateway:
                client = Client(gateway.base, ticket=good())
                if trusted:
                    async with client:
                        assert client.authed["data"]["user"] == "ann"
                else:
                    with pytest.raises(aiohttp.WSServerHandshakeError):
                        await client.open()
        assert site.fetches == 1


async def test_a_reload_takes_the_new_key_and_whoever_is_connected_stays(tmp_path: Path) -> None:
    key_file = tmp_path / "key.pem"
    key_file.write_text(public_pem(signing_key("ES256")))
    auth = {"kind": "jwt", "algorithms": ["ES256"], "public_key_file": "key.pem"}
    config = {"version": 1, "gateway": {"listen": "127.0.0.1:0"}, "tenants": [{"id": "acme", "auth": auth}]}
    async with (
        GatewayCommand(json.dumps(config), tmp_path) as gateway,
        Client(gateway.base, ticket=good()) as connected,
    ):
        key_file.write_text(public_pem(signing_key("ES256", "b")))
        gateway.signal(signal.SIGHUP)
        await until(lambda: any("configuration applied" in line for line in gateway.log))
        assert await status(gateway, good()) == 401
        assert await status(gateway, good(name="b")) == 101
        await connected.expect_silence()
