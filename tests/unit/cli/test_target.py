"""Where a gateway is: read from URLs and configurations."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsprism.cli.exits import UsageError
from wsprism.cli.target import Target, ask, internal_listener, parse_url, public_listener
from wsprism.errors import OperatorError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h", Target("h", 80)),
        ("ws://h:1/v1/ws", Target("h", 1, path="/v1/ws")),
        ("https://h", Target("h", 443, tls=True)),
        ("wss://[::1]:9", Target("::1", 9, tls=True)),
        ("unix:/run/w.sock", Target(unix_path="/run/w.sock")),
    ],
)
def test_a_url_names_a_listener(url: str, expected: Target) -> None:
    assert parse_url(url) == expected


@pytest.mark.parametrize(
    "url", ["", "h:1", "ftp://h", "ftp://h:1", "http://", "http://h:99999", "unix:relative", "http://[::1"]
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_url(f"{url}?ticket=s3cret")
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("gateway", "public", "internal"),
    [
        ("{}", "http://127.0.0.1:8080", None),
        ("{listen: '[::]:1'}", "http://[::1]:1", None),
        ("{listen: 'h:1', internal: {listen: ':2'}}", "http://h:1", "http://127.0.0.1:2"),
        ("{listen: 'h:1', tls: {cert_file: x}}", "https://h:1", None),
        ("{listen: 'unix:/a', internal: {listen: 'unix:/b'}}", "unix:/a", "unix:/b"),
        ("{listen: '127.0.0.1:${NO_SUCH_PORT:-7}'}", "http://127.0.0.1:7", None),
    ],
)
def test_a_configuration_names_its_listeners(tmp_path: Path, gateway: str, public: str, internal: str | None) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"version: 1\ngateway: {gateway}\n")
    found = internal_listener(str(path))
    assert (str(public_listener(str(path))), found and str(found)) == (public, internal)


def test_a_fault_elsewhere_in_the_file_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("gateway: {listen: 'h:1', unknown: 1}\ntenants: 7\n")
    assert str(public_listener(str(path))) == "http://h:1"


@pytest.mark.parametrize("gateway", ["{listen: 'h:0'}", "{listen: 8080}", "{listen: nowhere}"])
def test_an_address_that_cannot_be_asked_is_said(tmp_path: Path, gateway: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"gateway: {gateway}\n")
    with pytest.raises(OperatorError, match=r"gateway\.listen"):
        public_listener(str(path))


def test_nobody_there_is_said_with_the_address(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot be reached: No such file"):
        ask(Target(unix_path=str(tmp_path / "none")), "GET", "/")
