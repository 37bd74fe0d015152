"""What a tenant knows after a restart: revocations, unused tickets, and generations that were never given before."""

from __future__ import annotations

from tests.realtime_support import World
from tests.state import MemoryStore
from wsprism.policy.revocation import Revocable
from wsprism.ports import Principal, TicketRefusal, TicketRequest
from wsprism.realtime.messages import LiftRevocation, Revoke
from wsprism.realtime.tenant.state import RESERVED_GENERATIONS, TenantState


def started(store: MemoryStore) -> World:
    world = World()
    world.tenant.keep_in(TenantState(store, world.tenant.id))
    return world


async def test_revocations_and_their_reasons_are_there_again_unless_they_were_lifted() -> None:
    store = MemoryStore()
    world = started(store)
    until_s = world.tenant.unix_now() + 60
    await world.call(Revoke(Revocable.USER, "a:b\ud800", until_s, "spam"))
    await world.call(Revoke(Revocable.TOKEN_ID, "jti", until_s))
    assert await world.call(LiftRevocation(Revocable.TOKEN_ID, "jti")) == 1
    revocations = started(store).tenant.revocations
    [kept] = revocations.page(0, 10, until_s - 60)[0]
    assert (kept.what, kept.name, kept.until_s, kept.reason) == (Revocable.USER, "a:b\ud800", until_s, "spam")


async def test_an_unused_ticket_is_good_once_after_a_restart_and_a_used_one_is_not() -> None:
    store = MemoryStore()
    world = started(store)
    minted = [world.tenant.one_time.mint("ann", 60, {"n": 2**60, "é": [None]}, ("hall:*",), True) for _ in "ab"]
    requests = [TicketRequest("acme", one[0], "::1") for one in minted if one is not None]
    await world.tenant.one_time.authenticate(requests[0])
    one_time = started(store).tenant.one_time
    assert await one_time.authenticate(requests[0]) is TicketRefusal.REFUSED
    expected = Principal("ann", rooms=("hall:*",), read_only=True, metadata={"n": 2**60, "é": [None]})
    assert await one_time.authenticate(requests[1]) == expected
    assert await started(store).tenant.one_time.authenticate(requests[1]) is TicketRefusal.REFUSED


def test_no_generation_is_given_twice_whenever_the_gateway_crashes() -> None:
    store = MemoryStore()
    tenant = started(store).tenant
    last = 0
    for _ in range(RESERVED_GENERATIONS + 10):
        last = tenant.next_generation()
        [(reserved, _)] = store.kept.values()
        assert int(reserved) - last >= RESERVED_GENERATIONS // 2
    assert started(store).tenant.next_generation() > last


def test_a_clean_end_leaves_no_gap_between_generations() -> None:
    store = MemoryStore()
    tenant = started(store).tenant
    last = [tenant.next_generation() for _ in range(5)][-1]
    tenant.end_keeping()
    assert started(store).tenant.next_generation() == last + 1


def test_without_a_store_generations_begin_with_one() -> None:
    assert World().tenant.next_generation() == 1
