"""What is told of the difference between two configurations."""

from __future__ import annotations

from typing import Any

import pytest

from wsprism.settings import Change, Settings, changed_files, compare, file_digests, keep


def settings(gateway: dict[str, Any] | None = None, **tenants: dict[str, Any]) -> Settings:
    tenants = tenants or {"acme": {}}
    data = {"version": 1, "gateway": gateway or {}, "tenants": [{"id": id} | one for id, one in tenants.items()]}
    return Settings.model_validate(data, context={"tenant_ids": set()})


def told(old: Settings, new: Settings) -> list[str]:
    return [str(change) for change in compare(old, new)]


def test_equal_configurations_differ_in_nothing() -> None:
    assert told(settings(acme={}, b={}), settings(b={}, acme={})) == []


def test_a_default_that_is_written_out_is_no_change() -> None:
    assert told(settings(), settings({"drain_grace_ms": 2000})) == []


def test_each_key_is_told_with_its_old_and_new_value() -> None:
    old = settings({"flush": {"share": 0.5}}, acme={"policy": {"ext_allowlist": ["room:*"]}})
    new = settings({"drain_grace_ms": 1}, acme={"policy": {"ext_allowlist": ["room:*", "chat:*"]}})
    assert told(old, new) == [
        "gateway.drain_grace_ms: 2000 -> 1",
        "gateway.flush.share: 0.5 -> 0.67",
        'tenants[acme].policy.ext_allowlist: ["room:*"] -> ["room:*", "chat:*"]',
    ]


def test_tenants_are_added_and_removed_as_a_whole() -> None:
    changes = compare(settings(a={}, b={}), settings(b={}, c={}))
    assert [str(change) for change in changes] == ["tenants[a]: removed", "tenants[c]: added"]
    assert changes[0].old["id"] == "a"
    assert changes[0].new is None


def test_services_that_come_and_go_are_told_by_name() -> None:
    old = settings(acme={"services": {"hot": {1: "echo"}}})
    new = settings(acme={"services": {"hot": {2: "relay"}}})
    assert [(one.key, one.old, one.new) for one in compare(old, new)] == [
        ("services.hot.1.kind", "echo", None),
        ("services.hot.1.include_sender", False, None),
        ("services.hot.2.kind", None, "relay"),
        ("services.hot.2.include_sender", None, False),
    ]


@pytest.mark.parametrize(
    ("auth", "other"),
    [
        ({"kind": "tokens", "tokens": {"hidden-1": "u"}}, {"kind": "tokens", "tokens": {"hidden-2": "u"}}),
        (
            {"kind": "jwt", "algorithms": ["HS256"], "secret": "hidden-" + "1" * 32},
            {"kind": "jwt", "algorithms": ["HS256"], "secret": "hidden-" + "2" * 32},
        ),
    ],
)
def test_a_secret_that_changed_is_told_and_never_shown(auth: dict[str, Any], other: dict[str, Any]) -> None:
    changes = compare(settings(acme={"auth": auth}), settings(acme={"auth": other}))
    assert len(changes) == 1
    assert changes[0].path.startswith("tenants[acme].auth[0].")
    assert "hidden" not in repr(changes)
    assert "****" in str(changes[0])


def test_api_keys_are_told_by_position_and_never_shown() -> None:
    def keys(*secrets: str) -> Settings:
        rows = [{"name": f"ops-{at}", "key": one} for at, one in enumerate(secrets)]
        return settings({"internal": {"api_keys": rows}})

    changes = compare(keys("hidden-1"), keys("hidden-2", "hidden-3"))
    assert "hidden" not in repr(changes)
    assert "gateway.internal.api_keys[0].key" in [change.path for change in changes]


def test_a_long_value_is_cut() -> None:
    assert len(str(Change(None, "k", "x" * 10_000, ""))) < 200


def test_keep_takes_one_value_from_the_old_configuration() -> None:
    old = settings({"listen": "127.0.0.1:1", "limits": {"max_header_bytes": 2000, "max_half_open": 1}})
    new = settings({"drain_grace_ms": 7, "limits": {"max_half_open": 2}})
    kept = keep(old, new, "gateway.listen")
    assert (str(kept.gateway.listen), kept.gateway.drain_grace_ms) == ("127.0.0.1:1", 7)
    limits = keep(old, new, "gateway.limits.max_header_bytes").gateway.limits
    assert (limits.max_header_bytes, limits.max_half_open) == (2000, 2)


def test_a_file_with_another_content_is_a_change_and_an_unreadable_one_has_a_digest(tmp_path: Any) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_text("1")
    one = settings({"tls": {"cert_file": str(certificate), "key_file": str(key)}})
    before = file_digests(one)
    assert changed_files(before, file_digests(one)) == []
    certificate.write_text("2")
    assert [change.path for change in changed_files(before, file_digests(one))] == ["gateway.tls.cert_file"]
