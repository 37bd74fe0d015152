"""wsprism.adapters.redis.address: what a url says, and what is wrong with one, in our own words."""

from __future__ import annotations

import pytest

from wsprism.adapters.redis.address import Address, Credentials, Endpoint, Tls, parse_address
from wsprism.errors import OperatorError


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("redis://redis", Address((Endpoint("redis", 6379),))),
        ("redis://redis:7000/3", Address((Endpoint("redis", 7000),), db=3)),
        ("redis://:pa%40ss@redis/", Address((Endpoint("redis", 6379),), credentials=Credentials("pa@ss"))),
        ("redis://[::1]:7000", Address((Endpoint("::1", 7000),))),
        (
            "rediss://user:pass@redis:6379/0?ca_file=/ca.pem",
            Address((Endpoint("redis", 6379),), credentials=Credentials("pass", "user"), tls=Tls("/ca.pem")),
        ),
        ("unix:///run/redis.sock", Address((Endpoint(path="/run/redis.sock"),))),
        (
            "unix://:secret@/run/redis.sock?db=2",
            Address((Endpoint(path="/run/redis.sock"),), db=2, credentials=Credentials("secret")),
        ),
        (
            "sentinel://h1,h2:26380,[::1]/mymaster",
            Address((Endpoint("h1", 26379), Endpoint("h2", 26380), Endpoint("::1", 26379)), master="mymaster"),
        ),
        (
            "sentinel://u:p@h1/m/4?sentinel_password=s&tls=yes",
            Address(
                (Endpoint("h1", 26379),),
                db=4,
                credentials=Credentials("p", "u"),
                tls=Tls(),
                master="m",
                sentinel_credentials=Credentials("s"),
            ),
        ),
    ],
)
def test_a_url_says_where_redis_is(url: str, meant: Address) -> None:
    assert parse_address(url) == meant


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "scheme '' is unknown"),
        ("http://redis", "scheme 'http' is unknown"),
        ("redis://", "a host is missing"),
        ("redis://redis:0", "port '0'"),
        ("redis://redis:99999", "port '99999'"),
        ("redis://redis:", "port ''"),
        ("redis://redis:port", "port 'port'"),
        ("redis://redis/one", "database 'one' is no number"),
        ("redis://redis/0/1", "database '0/1' is no number"),
        ("redis://user@redis", "a user without a password"),
        ("redis://user:@redis", "password is empty"),
        ("redis://:pa#ss@redis", "written %23"),
        ("redis://redis?db=1", "option 'db' is unknown for redis://: it has none"),
        ("redis://redis?x", "it is no url"),
        ("redis://[::1", "an IPv6 address stands in brackets"),
        ("redis://one two", "it is no url"),
        ("redis://one\ntwo", "it is no url"),
        ("rediss://redis?ca=/x", "known are ca_file, cert_file, key_file"),
        ("rediss://redis?key_file=/x", "a key_file without a cert_file"),
        ("rediss://redis?ca_file=", "'ca_file' is empty"),
        ("unix://run/redis.sock", "whole path"),
        ("unix:///", "whole path"),
        ("sentinel://h1,h2", "name of the primary is missing"),
        ("sentinel://h1,,h2/m", "a host is missing"),
        ("sentinel://h1/m?tls=1", "must be yes or no"),
        ("sentinel://h1/m?ca_file=/x", "tls=yes is missing"),
        ("sentinel://h1/m?sentinel_user=x", "without a sentinel_password"),
    ],
)
def test_what_is_wrong_with_a_url_is_named(url: str, why: str) -> None:
    with pytest.raises(OperatorError, match=r"gateway\.broker\.url cannot be used") as raised:
        parse_address(url)
    assert why in str(raised.value)


def test_a_password_is_in_no_text_of_an_address_and_of_no_fault() -> None:
    address = parse_address("sentinel://u:hunter2@h1/m?sentinel_password=hunter3")
    assert "hunter" not in f"{address} {address!r}"
    for url in ("redis://u:hunter2@redis:x", "redis://u:hunter2@redis/x", "redis://u:hunter2@redis?x=1"):
        with pytest.raises(OperatorError) as raised:
            parse_address(url)
        assert "hunter" not in str(raised.value)
