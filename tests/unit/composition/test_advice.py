"""What a valid configuration is still warned of."""

from __future__ import annotations

import pytest

from wsprism.composition.advice import METRICS_OF_ONE, NOBODY_MINTS, advise
from wsprism.config_file import render_path
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
    ],
)
def test_a_short_secret_is_warned_of(auth: object, warned: list[str]) -> None:
    assert messages(auth) == warned


def warned(gateway: dict[str, object], **tenant: object) -> list[tuple[str, str, str | None]]:
    settings = {"version": 1, "gateway": gateway, "tenants": [{"id": "acme", "auth": {"kind": "dev"}} | tenant]}
    loopback = {"gateway": {"listen": "127.0.0.1:0"} | gateway}
    advice = advise(Settings.model_validate(settings | loopback))
    return [(render_path(one.path), one.message, one.entry) for one in advice]


def internal(*keys: dict[str, object], listen: str | None = "127.0.0.1:1") -> dict[str, object]:
    named = [{"name": f"k{number}", "key": f"{number}" * 16} | key for number, key in enumerate(keys)]
    return {"internal": {"api_keys": named} | ({"listen": listen} if listen is not None else {})}


@pytest.mark.parametrize(
    ("gateway", "mints"),
    [
        ({}, False),
        (internal(), False),
        (internal({"tenants": []}), False),
        (internal({}), True),
        (internal({}, {"tenants": ["acme"]}), True),
    ],
)
def test_one_time_tickets_that_nobody_can_mint_are_warned_of(gateway: dict[str, object], mints: bool) -> None:
    expected = [] if mints else [("tenants[0].auth[0]", NOBODY_MINTS, None)]
    assert [one for one in warned(gateway, auth={"kind": "one_time"}) if one[0].startswith("tenants")] == expected


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "0.0.0.0/1"])
def test_to_believe_everybody_is_warned_of(network: str) -> None:
    [(path, message, entry)] = warned({"trusted_proxies": ["10.0.0.0/8", network]})
    assert (path, entry) == ("gateway.trusted_proxies[1]", network)
    assert "nearly everybody" in message


def test_api_keys_that_can_be_guessed_or_open_nothing_are_warned_of() -> None:
    [(path, message, entry)] = warned(internal({}, {"key": "abcde"}))
    assert (path, entry) == ("gateway.internal.api_keys[1].key", None)
    assert message == "the key has 5 characters, and can be guessed: 16 or more are safe"
    assert [path for path, *_ in warned(internal({"tenants": []}))] == ["gateway.internal.api_keys[0].tenants"]
    assert [path for path, *_ in warned(internal({}, listen=None))] == ["gateway.internal.api_keys"]


@pytest.mark.parametrize(
    ("in_file", "several", "listen", "is_warned"),
    [
        (1, None, None, False),
        (4, None, None, True),
        (0, None, None, True),
        (4, None, "127.0.0.1:1", False),
        (1, True, None, True),
        (4, False, None, False),
        (1, True, "127.0.0.1:1", False),
    ],
)
def test_workers_whose_metrics_nobody_sums_are_warned_of(
    in_file: int, several: bool | None, listen: str | None, is_warned: bool
) -> None:
    gateway = {"listen": "127.0.0.1:0", "workers": in_file, "broker": {"url": "redis://a"}, **internal(listen=listen)}
    tenant = {"id": "acme", "auth": {"kind": "dev"}}
    settings = Settings.model_validate({"version": 1, "gateway": gateway, "tenants": [tenant]})
    found = [(render_path(one.path), one.message) for one in advise(settings, several)]
    assert found == ([("gateway.workers", METRICS_OF_ONE)] if is_warned else [])


def test_an_api_key_for_a_tenant_that_is_not_there_is_warned_of() -> None:
    assert warned(internal({"tenants": ["acme", "amce", "zzz"]})) == [
        (
            "gateway.internal.api_keys[0].tenants[1]",
            "the key is for a tenant that this file does not have (did you mean acme?)",
            "amce",
        ),
        ("gateway.internal.api_keys[0].tenants[2]", "the key is for a tenant that this file does not have", "zzz"),
    ]


def test_a_wildcard_over_a_top_level_domain_is_warned_of() -> None:
    origins = ["https://*.example.com", "https://*.com", "https://localhost"]
    [(path, _, entry)] = warned({}, allowed_origins=origins)
    assert (path, entry) == ("tenants[0].allowed_origins[1]", "https://*.com")


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
