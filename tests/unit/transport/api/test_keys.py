"""API keys: which header shows which key, and what a key covers."""

from __future__ import annotations

import hmac

import pytest

from wsprism.settings import InternalKeySettings
from wsprism.transport.api.keys import ApiKeys


def keys(*rows: tuple[str, str, object]) -> ApiKeys:
    return ApiKeys([InternalKeySettings.model_validate({"name": n, "key": k, "tenants": t}) for n, k, t in rows])


THREE = keys(("a", "first", "all"), ("b", "second", ["acme"]), ("c", "third", []))


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Bearer first", "a"),
        ("bearer second", "b"),
        ("BEARER  third", "c"),
        ("Bearer fourth", None),
        ("Bearer First", None),
        ("Basic first", None),
        ("first", None),
        ("", None),
        ("Bearer ", None),
        ("Bearer first second", None),
    ],
)
def test_the_bearer_token_is_the_key(header: str, name: str | None) -> None:
    found = THREE.find([header])
    assert (found.name if found else None) == name


def test_there_must_be_one_header() -> None:
    assert THREE.find([]) is None
    assert THREE.find(["Bearer first", "Bearer first"]) is None
    assert keys().find(["Bearer "]) is None


def test_a_key_covers_its_tenants() -> None:
    all_, acme, none = [THREE.find([f"Bearer {one}"]) for one in ("first", "second", "third")]
    assert all_
    assert acme
    assert none
    assert (all_.covers("acme"), all_.covers("x")) == (True, True)
    assert (acme.covers("acme"), acme.covers("acm"), acme.covers("other")) == (True, False, False)
    assert not none.covers("acme")


def test_a_read_only_key_may_look() -> None:
    made = ApiKeys([InternalKeySettings.model_validate({"name": "r", "key": "k-0123456789abcdef", "read_only": True})])
    key = made.find(["Bearer k-0123456789abcdef"])
    assert key
    assert [method for method in ("GET", "POST", "PUT", "DELETE") if key.may(method)] == ["GET"]


def test_every_key_is_compared_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []
    honest = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return honest(one, other)

    monkeypatch.setattr("hmac.compare_digest", compare)
    for token in ("first", "third", "wrong", ""):
        compared.clear()
        THREE.find([f"Bearer {token}"])
        assert len(set(compared)) == 3


def test_no_key_can_be_read_from_it() -> None:
    assert "first" not in repr(vars(THREE))
