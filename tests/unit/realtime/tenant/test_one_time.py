"""One-time tickets: once, until their time, and no more than the table holds."""

from __future__ import annotations

import asyncio
from typing import Any

from wsprism.ports import Principal, TicketRefusal, TicketRequest, Unavailable
from wsprism.realtime.tenant.one_time import MAX_TICKETS, OneTimeTickets


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


class Shared:
    """What all nodes know of tickets."""

    def __init__(self) -> None:
        self.tickets: dict[bytes, bytes] = {}
        self.away = False
        self.most = 10

    def keep_ticket(self, name: bytes, owner: bytes, ttl_s: float, most: int, done: Any) -> None:
        assert (ttl_s, most) == (60.0, MAX_TICKETS)
        if len(self.tickets) < self.most:
            self.tickets[name] = owner
        done(Unavailable.AWAY if self.away else name in self.tickets)

    def take_ticket(self, name: bytes, done: Any) -> None:
        done(Unavailable.AWAY if self.away else self.tickets.pop(name, b""))


async def test_over_nodes_a_ticket_is_redeemed_once_at_any_and_never_kept_itself() -> None:
    shared: Any = Shared()
    one, two = OneTimeTickets(lambda: 100.0), OneTimeTickets(lambda: 100.0)
    one.shared = two.shared = shared
    owner = Principal("ann", rooms=("a*",), read_only=True, metadata={"n": 2**60})
    minted = await one.mint_for_all(shared, owner, 60.0)
    assert isinstance(minted, tuple)
    ticket, expires_at = minted
    assert expires_at == 160.0
    assert ticket.encode() not in b"".join([*shared.tickets, *shared.tickets.values()])
    request = TicketRequest("acme", ticket, "::1")
    assert await two.authenticate(request) == owner
    assert await one.authenticate(request) is TicketRefusal.REFUSED
    assert await two.authenticate(TicketRequest("acme", "guessed", "::1")) is TicketRefusal.REFUSED


async def test_over_nodes_a_ticket_that_cannot_be_judged_is_not_refused_and_too_many_are_not_minted() -> None:
    shared: Any = Shared()
    tickets = OneTimeTickets(lambda: 100.0)
    tickets.shared = shared
    shared.most = 0
    assert await tickets.mint_for_all(shared, Principal("ann"), 60.0) is None
    shared.away = True
    assert await tickets.mint_for_all(shared, Principal("ann"), 60.0) is Unavailable.AWAY
    assert await tickets.authenticate(TicketRequest("acme", "x", "::1")) is TicketRefusal.CANNOT_TELL
