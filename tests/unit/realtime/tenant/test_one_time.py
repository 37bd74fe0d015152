"""One-time tickets: once, until their time, and no more than the table holds."""

from __future__ import annotations

import asyncio

from wsprism.ports import Principal, TicketRequest
from wsprism.realtime.tenant.one_time import OneTimeTickets


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def redeem(tickets: OneTimeTickets, ticket: str) -> Principal | None:
    verdict = await tickets.authenticate(TicketRequest("t", ticket, "::1"))
    return verdict if isinstance(verdict, Principal) else None


async def test_a_ticket_stands_for_what_it_was_minted_for() -> None:
    tickets = OneTimeTickets(Clock())
    minted = tickets.mint("ann", 60.0, {"team": "red"}, rooms=("match:*",), read_only=True)
    assert minted is not None
    ticket, expires_at = minted
    assert expires_at == 1060.0
    assert await redeem(tickets, ticket) == Principal(
        "ann", rooms=("match:*",), read_only=True, metadata={"team": "red"}
    )


async def test_of_many_that_show_the_same_ticket_at_once_one_gets_in() -> None:
    tickets = OneTimeTickets(Clock())
    minted = tickets.mint("ann", 60.0)
    assert minted is not None
    answers = await asyncio.gather(*(redeem(tickets, minted[0]) for _ in range(50)))
    assert sum(answer is not None for answer in answers) == 1


async def test_a_ticket_is_gone_after_its_time() -> None:
    clock = Clock()
    tickets = OneTimeTickets(clock)
    minted = tickets.mint("ann", 60.0)
    assert minted is not None
    clock.now += 60.0
    assert await redeem(tickets, minted[0]) is None


async def test_a_ticket_of_another_tenant_or_of_nobody_lets_nobody_in() -> None:
    ours, theirs = OneTimeTickets(Clock()), OneTimeTickets(Clock())
    minted = theirs.mint("ann", 60.0)
    assert minted is not None
    for ticket in (minted[0], "", "ä", "\ud800", "x" * 10_000):
        assert await redeem(ours, ticket) is None
    assert await redeem(theirs, minted[0]) == Principal("ann")


async def test_a_full_table_mints_nothing_until_a_ticket_is_used_or_ends() -> None:
    clock = Clock()
    tickets = OneTimeTickets(clock, max_tickets=1)
    first = tickets.mint("ann", 60.0)
    assert first is not None
    assert tickets.mint("bob", 60.0) is None
    assert await redeem(tickets, first[0]) is not None
    assert tickets.mint("bob", 60.0) is not None
    clock.now += 60.0
    assert tickets.mint("cid", 60.0) is not None
    assert len(tickets) == 1


async def test_the_ticket_itself_is_kept_nowhere() -> None:
    tickets = OneTimeTickets(Clock())
    minted = tickets.mint("ann", 60.0)
    assert minted is not None
    assert minted[0] not in repr(vars(tickets._principals))


def test_no_ticket_looks_like_an_option_of_a_command() -> None:
    tickets = OneTimeTickets(lambda: 0.0)
    assert not any((tickets.mint("ann", 60) or ("-", 0))[0].startswith("-") for _ in range(2000))
