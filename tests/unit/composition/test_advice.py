"""What a valid configuration is still warned of."""

from __future__ import annotations

import pytest

from wsprism.composition.advice import advise
from wsprism.settings import Settings


def messages(auth: object) -> list[str]:
    settings = {"version": 1, "tenants": [{"id": "acme", "auth": auth}]}
    return [one.message for one in advise(Settings.model_validate(settings))]


def jwt(secret: str, *algorithms: str) -> dict[str, object]:
    return {"kind": "jwt", "algorithms": list(algorithms), "secret": secret}


WEAK = "the secret has {} bytes, and can be guessed from what it signs: {} or more are safe"


@pytest.mark.parametrize(
    ("auth", "warned"),
    [
        (jwt("x" * 32, "HS256"), []),
        (jwt("x" * 31, "HS256"), [WEAK.format(31, 32)]),
        (jwt("x" * 63, "HS256", "HS512"), [WEAK.format(63, 64)]),
        ({"kind": "webhook", "url": "https://a", "secret": "whsec_" + "eHh4" * 8}, []),
        ({"kind": "webhook", "url": "https://a", "secret": "whsec_eHh4"}, [WEAK.format(3, 24)]),
        ({"kind": "one_time"}, []),
    ],
)
def test_a_short_secret_is_warned_of(auth: object, warned: list[str]) -> None:
    assert messages(auth) == warned


CLEAR = "the way to this server is not encrypted: whoever is on it can let anybody in"


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("https://a/x", []),
        ("http://127.0.0.1:9000/x", []),
        ("http://[::1]/x", []),
        ("http://localhost/x", []),
        ("http://backend:9000/x", [CLEAR]),
        ("http://192.0.2.1/x", [CLEAR]),
    ],
)
def test_a_server_that_decides_on_tickets_is_asked_in_the_clear_on_this_machine_only(
    url: str, warned: list[str]
) -> None:
    assert messages({"kind": "jwt", "algorithms": ["ES256"], "jwks_url": url}) == warned
    assert messages({"kind": "webhook", "url": url, "secret": "whsec_" + "eHh4" * 8}) == warned
