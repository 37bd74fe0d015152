"""The built-in ways to judge a ticket."""

from __future__ import annotations

import asyncio

import pytest

from wsprism.adapters.tickets.authenticators import DevAuthenticator, FirstOf, TokensAuthenticator, build_authenticator
from wsprism.ports import Authenticator, Principal, TicketRefusal, TicketRequest
from wsprism.protocol.hot import MAX_SENDER_BYTES
from wsprism.realtime.tenant.one_time import OneTimeTickets
from wsprism.settings import AuthSettings, DevAuth, OneTimeAuth, TenantSettings, TokensAuth


async def judge(authenticator: Authenticator, ticket: str) -> str | None:
    verdict = await authenticator.authenticate(TicketRequest("t", ticket, "::1"))
    return verdict.user if isinstance(verdict, Principal) else None


@pytest.mark.parametrize(
    ("ticket", "user"),
    [("dev", "user:dev"), ("dev:ann", "user:ann"), ("dev:a:b", "user:a:b"), ("dev:Zoë", "user:Zoë")],
)
async def test_a_dev_ticket_names_its_user(ticket: str, user: str) -> None:
    assert await judge(DevAuthenticator(), ticket) == user


@pytest.mark.parametrize(
    "ticket", ["", "dev:", "DEV", "develop", "other:ann", "dev:a\nb", "dev:\ud800", "dev:" + "x" * 129]
)
async def test_any_other_ticket_is_refused_by_dev(ticket: str) -> None:
    assert await judge(DevAuthenticator(), ticket) is None


async def test_a_dev_user_always_fits_into_a_hot_frame() -> None:
    assert await judge(DevAuthenticator(), "dev:" + "\N{SNOWMAN}" * 128) is None
    longest = "x" * 2 + "\N{SNOWMAN}" * 82
    user = await judge(DevAuthenticator(), f"dev:{longest}")
    assert user is not None
    assert len(user.encode()) <= MAX_SENDER_BYTES


async def test_a_token_is_its_user_exactly_as_written() -> None:
    tokens = TokensAuthenticator({"one": "ann", "zwei-ü": "user:bob"})
    assert await judge(tokens, "one") == "ann"
    assert await judge(tokens, "zwei-ü") == "user:bob"


@pytest.mark.parametrize("ticket", ["", "on", "one ", "ONE", "ann", "\ud800"])
async def test_any_other_ticket_is_refused_by_tokens(ticket: str) -> None:
    assert await judge(TokensAuthenticator({"one": "ann"}), ticket) is None


class Recorder:
    """Answers ``principal`` and counts how often it was asked."""

    def __init__(self, principal: Principal | TicketRefusal) -> None:
        self.principal = principal
        self.asked = 0
        self.closed = 0

    async def authenticate(self, request: TicketRequest) -> Principal | TicketRefusal:  # noqa: ARG002 (the port's signature)
        self.asked += 1
        return self.principal

    async def close(self) -> None:
        self.closed += 1


async def test_the_first_that_accepts_decides_and_the_rest_is_not_asked() -> None:
    no, yes, later = Recorder(TicketRefusal.REFUSED), Recorder(Principal("ann")), Recorder(Principal("bob"))
    assert await judge(FirstOf([no, yes, later]), "x") == "ann"
    assert [no.asked, yes.asked, later.asked] == [1, 1, 0]


async def test_none_that_accepts_is_a_refusal() -> None:
    assert await judge(FirstOf([Recorder(TicketRefusal.REFUSED), Recorder(TicketRefusal.REFUSED)]), "x") is None


async def test_closing_several_closes_each() -> None:
    several = [Recorder(TicketRefusal.REFUSED), Recorder(TicketRefusal.REFUSED)]
    await FirstOf(several).close()
    assert [one.closed for one in several] == [1, 1]


@pytest.mark.parametrize(
    ("refusals", "told"),
    [
        ([TicketRefusal.REFUSED, TicketRefusal.EXPIRED], TicketRefusal.EXPIRED),
        ([TicketRefusal.CANNOT_TELL, TicketRefusal.EXPIRED], TicketRefusal.CANNOT_TELL),
        ([TicketRefusal.REFUSED, TicketRefusal.REFUSED], TicketRefusal.REFUSED),
    ],
)
async def test_of_several_refusals_the_one_that_leaves_most_hope_is_told(
    refusals: list[TicketRefusal], told: TicketRefusal
) -> None:
    gate = FirstOf([Recorder(one) for one in refusals])
    assert await gate.authenticate(TicketRequest("t", "x", "::1")) is told


async def test_one_that_accepts_outweighs_one_that_cannot_tell() -> None:
    gate = FirstOf([Recorder(TicketRefusal.CANNOT_TELL), Recorder(Principal("ann"))])
    assert await gate.authenticate(TicketRequest("t", "x", "::1")) == Principal("ann")


async def test_closing_waits_for_the_tickets_that_are_being_judged() -> None:
    """A reload swaps the authenticator; who is at the door then is judged by the old one, and not turned away."""
    asked, answer = asyncio.Event(), asyncio.Event()

    class Slow(Recorder):
        async def authenticate(self, request: TicketRequest) -> Principal | TicketRefusal:
            asked.set()
            await answer.wait()
            assert not self.closed
            return await super().authenticate(request)

    slow = Slow(Principal("ann"))
    both = FirstOf([Recorder(TicketRefusal.REFUSED), slow])
    judging = asyncio.ensure_future(judge(both, "x"))
    await asked.wait()
    closing = asyncio.ensure_future(both.close())
    await asyncio.sleep(0)
    assert not closing.done()
    answer.set()
    assert await judging == "ann"
    await closing
    assert slow.closed == 1


def build(*settings: AuthSettings) -> Authenticator:
    return build_authenticator(TenantSettings(id="t", auth=settings), OneTimeTickets(lambda: 0.0), lambda: 0.0)


async def test_no_authenticator_at_all_refuses_every_ticket() -> None:
    assert await judge(build(), "dev") is None


async def test_settings_become_authenticators_in_their_order() -> None:
    built = build(TokensAuth(kind="tokens", tokens={"dev": "root"}), DevAuth(kind="dev"))
    assert await judge(built, "dev") == "root"
    assert await judge(built, "dev:ann") == "user:ann"


async def test_one_time_tickets_are_those_of_the_tenant_and_outlive_the_authenticator() -> None:
    tickets = OneTimeTickets(lambda: 0.0)
    minted = tickets.mint("ann", 60.0)
    assert minted is not None
    tenant = TenantSettings(id="t", auth=(DevAuth(kind="dev"), OneTimeAuth(kind="one_time")))
    await build_authenticator(tenant, tickets, lambda: 0.0).close()
    again = build_authenticator(tenant, tickets, lambda: 0.0)
    assert await judge(again, minted[0]) == "ann"
    assert await judge(again, minted[0]) is None
