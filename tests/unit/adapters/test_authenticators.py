"""The built-in ways to judge a ticket."""

from __future__ import annotations

import pytest

from wsprism.adapters.authenticators import DevAuthenticator, FirstOf, TokensAuthenticator, build_authenticator
from wsprism.ports import Authenticator, Principal, TicketRequest
from wsprism.protocol.hot import MAX_SENDER_BYTES
from wsprism.settings import DevAuth, TokensAuth
from wsprism.settings.auth import OneTimeAuth


async def judge(authenticator: Authenticator, ticket: str) -> str | None:
    principal = await authenticator.authenticate(TicketRequest("t", ticket, "::1"))
    return None if principal is None else principal.user


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

    def __init__(self, principal: Principal | None) -> None:
        self.principal = principal
        self.asked = 0

    async def authenticate(self, request: TicketRequest) -> Principal | None:  # noqa: ARG002 (the port's signature)
        self.asked += 1
        return self.principal


async def test_the_first_that_accepts_decides_and_the_rest_is_not_asked() -> None:
    no, yes, later = Recorder(None), Recorder(Principal("ann")), Recorder(Principal("bob"))
    assert await judge(FirstOf([no, yes, later]), "x") == "ann"
    assert [no.asked, yes.asked, later.asked] == [1, 1, 0]


async def test_none_that_accepts_is_a_refusal() -> None:
    assert await judge(FirstOf([Recorder(None), Recorder(None)]), "x") is None


async def test_no_authenticator_at_all_refuses_every_ticket() -> None:
    assert await judge(build_authenticator([]), "dev") is None


async def test_settings_become_authenticators_in_their_order() -> None:
    built = build_authenticator([TokensAuth(kind="tokens", tokens={"dev": "root"}), DevAuth(kind="dev")])
    assert await judge(built, "dev") == "root"
    assert await judge(built, "dev:ann") == "user:ann"
    assert isinstance(build_authenticator([DevAuth(kind="dev")]), DevAuthenticator)


def test_a_kind_that_is_not_there_yet_is_not_taken_for_another() -> None:
    with pytest.raises(NotImplementedError, match="one_time"):
        build_authenticator([OneTimeAuth(kind="one_time")])
