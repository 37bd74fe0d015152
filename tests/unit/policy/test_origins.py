"""Which origins may connect."""

from __future__ import annotations

import pytest

from wsprism.policy.origins import OriginList, is_origin_entry

ORIGINS = OriginList(["https://Example.com", "https://*.example.org", "http://localhost:3000", "null"])


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.com",
        "HTTPS://EXAMPLE.COM",
        "https://a.example.org",
        "https://b.a.example.org",
        "http://localhost:3000",
        "null",
    ],
)
def test_allowed(origin: str) -> None:
    assert ORIGINS.allows(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "http://example.com",
        "https://example.com:8443",
        "https://a.example.com",
        "https://example.org",
        "https://.example.org",
        "https://evilexample.org",
        "https://a.example.org.evil.net",
        "http://a.example.org",
        "http://localhost",
        "https://*.example.com",
        "https://evil.net/.example.org",
        "https://evil.net#.example.org",
        "https://evil.net?.example.org",
        "https://evil.net:80.example.org",
        "https://evil.net\\.example.org",
        "https://evil.net@a.example.org",
        "https://user:word@a.example.org",
        "https://evil.net a.example.org",
        "https://evil.net,https://a.example.org",
        "https://a..example.org",
        "https://-a.example.org",
        "https://[::1].example.org",
        "https://a%2f.example.org",
        "https://a.example.org/",
        "https://a.example.org\n",
        "https://ä.example.org",
        "https://https://a.example.org",
        "null.example.org",
        "https://" + "a." * 300 + "example.org",
    ],
)
def test_refused(origin: str) -> None:
    assert not ORIGINS.allows(origin)


def test_an_empty_list_allows_none() -> None:
    assert not OriginList([]).allows("https://example.com")


def test_an_entry_may_name_its_schemes_own_port_as_no_browser_does() -> None:
    origins = OriginList(
        ["https://a.example:443", "http://b.example:80", "http://*.c.example:80", "http://d.example:443"]
    )
    assert origins.allows("https://a.example")
    assert origins.allows("http://b.example")
    assert origins.allows("http://x.c.example")
    assert origins.allows("http://d.example:443")
    assert not origins.allows("http://d.example")


def test_a_wildcards_port_is_exact() -> None:
    origins = OriginList(["https://*.example.com:8443", "https://*.example.org"])
    assert origins.allows("https://a.example.com:8443")
    assert not origins.allows("https://a.example.com")
    assert not origins.allows("https://a.example.org:8443")
    assert not OriginList(["https://*.example.com"]).allows("null")


@pytest.mark.parametrize(
    "entry",
    [
        "null",
        "https://a",
        "HTTPS://A.example:8443",
        "http://[::1]:3000",
        "chrome-extension://abcdef",
        "https://*.a.b:1",
    ],
)
def test_what_may_stand_in_the_list(entry: str) -> None:
    assert is_origin_entry(entry)


@pytest.mark.parametrize(
    "entry",
    [
        *("", "*", "a.example", "https://", "https://a/", "https://a?b", "https://a#b", "https://u@a", "https://*a.b"),
        *("https://*", "https://*.", "https://a.*.b", "https://a:0", "https://a:65536", "https://a:x", "https://ä.b"),
        *("https://a b", "https://a,https://b", "https://*.[::1]", "https://a\n"),
    ],
)
def test_what_can_match_no_browser_may_not(entry: str) -> None:
    assert not is_origin_entry(entry)
