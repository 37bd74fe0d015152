"""Who may come in, asked with plain values: no request, no socket, no event loop of a server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.realtime_support import World
from wsprism.policy.decisions import Reason
from wsprism.policy.handshake import HandshakeLimiter, HandshakeRates
from wsprism.policy.revocation import Revocable
from wsprism.ports import CallResult, Principal, TicketRefusal, TicketRequest, Unanswered
from wsprism.protocol.backend import ConnectAnswer
from wsprism.protocol.codes import CloseCode
from wsprism.realtime.messages import Revoke
from wsprism.transport.admission.admission import Admission
from wsprism.transport.admission.applicant import Admitted, Applicant
from wsprism.transport.admission.refusal import Refusal


class Judge:
    """Judges tickets by a table; ``waits`` holds its answers back until it is set."""

    def __init__(self) -> None:
        self.verdicts: dict[str, Principal | TicketRefusal] = {"good": Principal("ann")}
        self.asked: list[TicketRequest] = []
        self.waits: asyncio.Event | None = None

    async def authenticate(self, request: TicketRequest) -> Principal | TicketRefusal:
        self.asked.append(request)
        if self.waits is not None:
            await self.waits.wait()
        return self.verdicts.get(request.ticket, TicketRefusal.REFUSED)

    async def close(self) -> None: ...


class Backend:
    """Decides handshakes by its ``answer``."""

    asks = frozenset({"connect"})
    on_failure_allow = False

    def __init__(self, answer: ConnectAnswer | Unanswered) -> None:
        self.answer = answer

    async def ask_connect(self, fields: object, traceparent: str | None = None) -> object:  # noqa: ARG002
        return self.answer


class Door:
    """An admission in front of one tenant, ``t``."""

    def __init__(self, limiter: HandshakeLimiter | None = None, *, max_judging: int = 4, **settings: Any) -> None:
        self.judge = Judge()
        self.world = World(authenticator=self.judge, **settings)
        self.tenants = {"t": self.world.tenant}
        self.admission = Admission(self.tenants, limiter, self.world.scheduler.now, max_judging=max_judging)

    async def admit(self, ticket: str | None = "good", tenant: str = "t", **fields: Any) -> Admitted | Refusal:
        """What becomes of somebody who knocks; all actors have had their turns."""
        asked = asyncio.ensure_future(self.admission.admit(Applicant(tenant, ticket, "::1", **fields)))
        return await self.answer(asked)

    async def answer(self, asked: asyncio.Future[Admitted | Refusal]) -> Admitted | Refusal:
        for _ in range(20):
            await asyncio.sleep(0)
            self.world.settle()
            if asked.done():
                break
        return asked.result()


def reason(outcome: Admitted | Refusal) -> str:
    assert isinstance(outcome, Refusal), outcome
    return outcome.reason


async def test_a_good_ticket_gets_a_session_that_waits_for_its_socket() -> None:
    door = Door()
    outcome = await door.admit(sid="s", origin="https://game.example", user_agent="browser")
    assert isinstance(outcome, Admitted)
    session = outcome.session
    assert (session.user, session.sid, session.origin, session.user_agent) == (
        "ann",
        "s",
        "https://game.example",
        "browser",
    )
    assert outcome.tenant is door.world.tenant
    peer = door.world.attach(session)
    assert [one["type"] for one in peer.heard() if isinstance(one, dict)] == ["authed"]


@pytest.mark.parametrize(
    ("offered", "allow", "chosen", "binary"),
    [
        ((), True, None, False),
        (("wsprism.v1.msgpack", "wsprism.v1"), True, "wsprism.v1.msgpack", True),
        (("wsprism.v1.msgpack", "wsprism.v1"), False, "wsprism.v1", False),
    ],
)
async def test_the_first_subprotocol_that_the_tenant_takes_is_spoken(
    offered: tuple[str, ...], allow: bool, chosen: str | None, binary: bool
) -> None:
    door = Door(policy={"allow_msgpack": allow})
    outcome = await door.admit(subprotocols=offered, deflate=True)
    assert isinstance(outcome, Admitted)
    assert outcome.subprotocol == chosen
    wire = outcome.session.outlet.format
    assert (wire.codec.binary, wire.deflated, outcome.deflated) == (binary, True, True)


async def test_who_drains_hears_nobody() -> None:
    door = Door()
    assert door.admission.may_knock("::1") is None
    door.admission.draining = True
    refusal = door.admission.may_knock("::1")
    assert refusal is not None
    assert (refusal.reason, refusal.status, dict(refusal.headers)) == ("draining", 503, {"Retry-After": "1"})
    assert reason(await door.admit()) == "draining"
    assert door.world.connections() == 0


async def test_an_address_that_knocks_too_often_is_not_heard() -> None:
    door = Door(HandshakeLimiter(HandshakeRates(100, 100, 1, 2, 10), 0.0))
    answers = [door.admission.may_knock("10.0.0.1") for _ in range(3)]
    assert answers[:2] == [None, None]
    assert answers[2] is not None
    assert (answers[2].status, answers[2].reason) == (429, "handshake_ip")
    assert door.admission.may_knock("10.0.0.2") is None


async def test_a_tenant_that_is_not_there_is_unknown_and_no_tenants_refusal() -> None:
    outcome = await Door().admit(tenant="other")
    assert isinstance(outcome, Refusal)
    assert (outcome.reason, outcome.tenant, outcome.close) == ("unknown_tenant", None, CloseCode.NOT_ALLOWED_HERE)


async def test_a_foreign_origin_is_refused_before_its_ticket_is_looked_at() -> None:
    door = Door(allowed_origins=["https://game.example"])
    assert reason(await door.admit(origin="https://evil.example")) == "origin"
    assert door.judge.asked == []
    assert isinstance(await door.admit(origin="https://game.example"), Admitted)
    assert isinstance(await door.admit(), Admitted)


@pytest.mark.parametrize(
    ("verdict", "status", "told", "close"),
    [
        (TicketRefusal.REFUSED, 401, "ticket", CloseCode.TICKET),
        (TicketRefusal.EXPIRED, 401, "ticket_expired", CloseCode.TICKET_EXPIRED),
        (TicketRefusal.CANNOT_TELL, 503, "ticket_unjudged", CloseCode.TRY_LATER),
        (Principal("no user id\n"), 401, "ticket", CloseCode.TICKET),
        (None, 401, "ticket", CloseCode.TICKET),
    ],
)
async def test_a_ticket_that_lets_nobody_in_says_why_and_counts_for_its_tenant(
    verdict: Principal | TicketRefusal | None, status: int, told: str, close: CloseCode
) -> None:
    door = Door()
    if verdict is not None:
        door.judge.verdicts["bad"] = verdict
    outcome = await door.admit("bad" if verdict is not None else None)
    assert isinstance(outcome, Refusal)
    assert (outcome.status, outcome.reason, outcome.close, outcome.tenant) == (status, told, close, "t")
    counted = door.world.tenant.counters.decisions[Reason.AUTH_FAILED]
    assert counted == (1 if status == 401 else 0)


async def test_what_is_said_of_a_client_is_cut_and_text() -> None:
    door = Door()
    await door.admit(origin="o" * 300, user_agent="\udcff")
    asked = door.judge.asked[0]
    assert (asked.origin, asked.user_agent) == ("o" * 256, "?")


async def test_a_slow_judge_holds_no_more_than_a_crowd() -> None:
    door = Door(max_judging=2)
    door.judge.waits = asyncio.Event()
    waiting = [asyncio.ensure_future(door.admission.admit(Applicant("t", "good", "::1"))) for _ in range(2)]
    await asyncio.sleep(0)
    assert reason(await door.admit()) == "overloaded"
    door.judge.waits.set()
    for one in waiting:
        assert isinstance(await door.answer(one), Admitted)
    assert isinstance(await door.admit(), Admitted)


async def test_a_drain_that_begins_while_a_ticket_is_judged_is_seen() -> None:
    door = Door()
    door.judge.waits = asyncio.Event()
    asked = asyncio.ensure_future(door.admission.admit(Applicant("t", "good", "::1")))
    await asyncio.sleep(0)
    door.admission.draining = True
    door.judge.waits.set()
    assert reason(await door.answer(asked)) == "draining"
    assert door.world.connections() == 0


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (ConnectAnswer(True), None),
        (ConnectAnswer(False, msg="not today"), "connect"),
        (Unanswered(CallResult.REFUSED, "403"), "connect"),
        (Unanswered(CallResult.TIMEOUT, "slow"), "connect_unanswered"),
    ],
)
async def test_the_backend_that_is_asked_has_the_last_word(
    answer: ConnectAnswer | Unanswered, told: str | None
) -> None:
    door = Door()
    door.world.tenant.backend = Backend(answer)  # type: ignore[assignment]
    asked = asyncio.ensure_future(door.admission.admit(Applicant("t", "good", "::1")))
    for _ in range(5):
        await asyncio.sleep(0)
    door.world.tenant.backend = None
    outcome = await door.answer(asked)
    if told is None:
        assert isinstance(outcome, Admitted)
        assert outcome.session.decision is answer
    else:
        assert reason(outcome) == told


async def test_a_revoked_user_and_a_full_tenant_are_refused_by_the_tenant() -> None:
    door = Door(limits={"max_sessions_total": 1})
    assert await door.world.call(Revoke(Revocable.USER, "bob", 1e9)) == 0
    door.judge.verdicts["bobs"] = Principal("bob")
    assert reason(await door.admit("bobs")) == "revoked"
    assert isinstance(await door.admit(), Admitted)
    outcome = await door.admit()
    assert isinstance(outcome, Refusal)
    assert (outcome.status, outcome.msg, dict(outcome.headers)) == (503, "tenant is full", {"Retry-After": "5"})


async def test_a_tenant_that_is_removed_meanwhile_keeps_no_session() -> None:
    door = Door()
    door.judge.waits = asyncio.Event()
    asked = asyncio.ensure_future(door.admission.admit(Applicant("t", "good", "::1")))
    await asyncio.sleep(0)
    door.world.tenant.removed = True
    door.judge.waits.set()
    assert reason(await door.answer(asked)) == "unknown_tenant"
    door.world.settle()
    assert door.world.connections() == 0
