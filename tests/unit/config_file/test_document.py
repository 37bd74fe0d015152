"""YAML's traps, references to the environment, and files that are no YAML at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.settings.support import MINIMAL, Configuration
from wsprism.config_file import Document, read_document, render_path
from wsprism.settings import JwtAuth, SettingsError, TokensAuth, load_settings

HALF = "is not text: it has half a character (a lone surrogate)"


def document(tmp_path: Path, text: str, **env: str) -> Document:
    path = tmp_path / "document.yaml"
    path.write_text(text, encoding="utf-8")
    return read_document(str(path), env)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("", 1, "the file is empty"),
        ("# nothing\n", 1, "the file is empty"),
        (b"version: 1\n# \xff\n", 2, "is not UTF-8"),
        ("version: 1\nx: a\x01b", 2, "is not YAML: special characters are not allowed"),
        ("version: 1\nx: [", 2, "is not YAML: expected the node content, but found '<stream end>'"),
        ("a: b: c", 1, "is not YAML: mapping values are not allowed here"),
        ("a: *nobody", 1, "is not YAML: found undefined alias 'nobody'"),
        ("a: 1\n---\nb: 1", 2, "is not YAML: but found another document"),
        ("[" * 5000, 1, "is nested too deep: 64 levels are allowed"),
        ("a:\n" + "[" * 64, 2, "is nested too deep: 64 levels are allowed"),
        ("a: 1\nb: &x [*x]", 2, "an alias contains itself"),
        ("a: &x\n  <<: *x", 1, "an alias contains itself"),
        ("- version: 1", 1, "must be a mapping with version, gateway and tenants"),
        ("wsprism", 1, "must be a mapping with version, gateway and tenants"),
    ],
)
def test_a_file_that_is_no_configuration(config: Configuration, text: str | bytes, line: int, problem: str) -> None:
    assert config.faults(text) == [(line, "", problem)]


@pytest.mark.parametrize("text", ['a: "\\UFFFFFFFF"', f"%YAML 1.{'9' * 5000}\n---\na: 1"])
def test_what_the_parser_itself_trips_over_is_a_fault(config: Configuration, text: str) -> None:
    [(_, path, problem)] = config.faults(text)
    assert path == ""
    assert problem.startswith("is not YAML: ")


def test_a_directory_or_a_missing_file_is_a_fault(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.yaml"):
        with pytest.raises(SettingsError, match="cannot be read: ") as caught:
            load_settings(path)
        assert caught.value.faults[0].line == 0


def test_an_alias_bomb_is_a_fault(config: Configuration) -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    [(_, path, problem)] = config.faults(bomb)
    assert (path, problem) == ("", "aliases make the document too large")


def test_a_byte_order_mark_is_passed_over(config: Configuration) -> None:
    assert config.load("\ufeff" + MINIMAL).tenants[0].id == "acme"


def test_keys_are_taken_as_written(tmp_path: Path) -> None:
    found = document(tmp_path, "{on: 1, yes: 2, 1: 3, null: 4, 1.0: 5, '': 6, ~: 7}")
    assert found.data == {"on": 1, "yes": 2, "1": 3, "null": 4, "1.0": 5, "": 6, "~": 7}
    assert not found.faults


def test_values_are_read_as_yaml_reads_them_but_in_base_ten(tmp_path: Path) -> None:
    found = document(tmp_path, "[1, -2, 0x10, 1_000, 1.5, yes, off, null, ~, a, '1', 2024-01-01, =, <<, !!str 5]")
    assert found.data == [1, -2, 16, 1000, 1.5, True, False, None, None, "a", "1", "2024-01-01", "=", "<<", "5"]
    assert document(tmp_path, "[010, 0o10, 1:2, 1:*, -1:30, 1:2.5, 0, 0.5]").data == [
        *("010", "0o10", "1:2", "1:*", "-1:30", "1:2.5", 0, 0.5)
    ]
    assert not found.faults


@pytest.mark.parametrize("value", ["!!bool maybe", "!!int ''", "!!int x", "!!float ''", "9" * 5000, "1" + "0" * 30])
def test_a_value_that_cannot_be_read_is_a_fault(config: Configuration, value: str) -> None:
    [(line, path, problem)] = config.tenant_faults(f"limits: {{max_frame_bytes: {value}}}")
    assert (line, path) == (4, "tenants[0].limits.max_frame_bytes")
    assert problem == "cannot be read as a value: quote it to make it a string"


@pytest.mark.parametrize(
    ("tag", "shown"), [("!!python/object:os.system", "python/object:os.system"), ("!own", "!own"), ("!!set", "set")]
)
def test_a_tag_is_a_fault(config: Configuration, tag: str, shown: str) -> None:
    assert config.faults(f"{MINIMAL}gateway: {tag} {{}}") == [(4, "gateway", f"the tag {shown!r} is not allowed")]


def test_a_key_twice_is_a_fault_at_the_second(config: Configuration) -> None:
    assert config.faults(MINIMAL + "logging: {}\ngateway: {}\nlogging: {}") == [
        (6, "logging", "the key appears twice, first in line 4: keep one")
    ]


def test_a_key_that_is_no_word_is_a_fault(config: Configuration) -> None:
    assert config.faults(MINIMAL + "? [a, b]\n: 1") == [(4, "", "a key must be a plain word")]


def test_anchors_and_merge_keys_share_what_tenants_have_in_common(config: Configuration) -> None:
    settings = config.load(
        """version: 1
tenants:
- &first
  id: a
  limits: &limits {max_frame_bytes: 1000, max_rooms_total: 5}
- id: b
  limits:
    max_frame_bytes: 2000
    <<: *limits
- <<: *first
  id: c
"""
    )
    assert [tenant.id for tenant in settings.tenants] == ["a", "b", "c"]
    assert [tenant.limits.max_frame_bytes for tenant in settings.tenants] == [1000, 2000, 1000]
    assert settings.tenants[1].limits.max_rooms_total == 5


def test_of_several_merged_mappings_the_first_wins(tmp_path: Path) -> None:
    found = document(tmp_path, "a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nc: {<<: [*a, *b], z: 3}")
    assert found.data["c"] == {"x": 1, "y": 1, "z": 3}
    assert found.lines["c", "x"] == 1


def test_the_same_fault_through_two_merges_counts_once(tmp_path: Path) -> None:
    found = document(tmp_path, "c: {<<: [&a {x: !t 1}, *a]}")
    assert [fault.path for fault in found.faults] == ["c.x"]


def test_an_own_key_keeps_its_line_whether_it_stands_before_or_after_the_merge(tmp_path: Path) -> None:
    found = document(tmp_path, "a: &a {x: 1}\nb:\n  x: 2\n  <<: *a\nc:\n  <<: *a\n  x: 3")
    assert found.lines["b", "x"] == 3
    assert found.lines["c", "x"] == 7


def test_only_mappings_are_merged_and_only_once(tmp_path: Path) -> None:
    found = document(tmp_path, "a: &a {x: 1}\nb: {<<: 5}\nc: {<<: [*a, 5]}\nd:\n  <<: *a\n  <<: *a")
    problem = "only a mapping, or a list of mappings, can be merged"
    assert [(fault.line, fault.path, fault.problem) for fault in found.faults] == [
        (2, "b.<<", problem),
        (3, "c.<<", problem),
        (6, "d.<<", "the key appears twice, first in line 5: keep one"),
    ]


def test_a_fault_behind_an_alias_counts_once_for_each_place(config: Configuration) -> None:
    faults = config.faults("version: 1\ntenants:\n- id: a\n  limits: &l {max_frame_bytes: no}\n- id: b\n  limits: *l\n")
    assert [(line, path) for line, path, _ in faults] == [
        (4, "tenants[0].limits.max_frame_bytes"),
        (4, "tenants[1].limits.max_frame_bytes"),
    ]


def test_a_reference_is_read_as_yaml_reads_its_value(tmp_path: Path) -> None:
    env = {"N": "5", "F": "0.5", "B": "true", "S": "a: [b", "Z": "007", "X": "0b_", "R": "${N}"}
    text = "- ${N}\n- '${N}'\n- \"${F}\"\n- ${B}\n- ${S}\n- ${E:-}\n- x${N}y${B}\n- ${Z}\n- ${X}\n- ${R}"
    assert document(tmp_path, text, **env).data == [5, 5, 0.5, True, "a: [b", None, "x5ytrue", "007", "0b_", "${N}"]


def test_a_default_stands_in_for_what_is_unset_or_empty(tmp_path: Path) -> None:
    text = "['${U:-7}', '${E:-8}', '${N:-9}', '${U:-}', 'http://${U:-localhost:1}/']"
    assert document(tmp_path, text, E="", N="5").data == [7, 8, 5, None, "http://localhost:1/"]


@pytest.mark.parametrize(
    ("env", "state"), [({}, "is not in the environment"), ({"SIZE": ""}, "is empty in the environment")]
)
@pytest.mark.parametrize("value", ["${SIZE}", "4${SIZE}0", "${SIZE}${SIZE}"])
def test_an_unset_or_empty_reference_without_a_default_is_one_fault(
    config: Configuration, value: str, env: dict[str, str], state: str
) -> None:
    assert config.tenant_faults(f"limits: {{max_frame_bytes: '{value}'}}", env) == [
        (4, "tenants[0].limits.max_frame_bytes", f"SIZE {state}: set it, or write ${{SIZE:-default}}")
    ]


@pytest.mark.parametrize("text", ["${", "${}", "${A-B}", "${1}", "${A:=b}", "a${A}b${", "${A"])
def test_what_only_looks_like_a_reference_is_a_fault(config: Configuration, text: str) -> None:
    [(_, path, problem)] = config.tenant_faults(
        f"auth: {{kind: jwt, algorithms: [HS256], secret: '{text}'}}", {"A": "1"}
    )
    assert path == "tenants[0].auth.secret"
    assert problem == "has a ${ that begins neither ${NAME} nor ${NAME:-default}"


@pytest.mark.parametrize("value", ["123", "1e5", "true", "null", "0x10", "1:30"])
def test_where_text_is_wanted_a_reference_is_its_text(config: Configuration, value: str) -> None:
    env = {"V": value}
    assert config.load("version: 1\ntenants: [{id: '${V}'}]", env).tenants[0].id == value
    if value != "null":
        settings = config.tenant("auth: {kind: jwt, algorithms: [HS256], secret: '${V}'}", env)
        [auth] = settings.tenants[0].auth
        assert isinstance(auth, JwtAuth)
        assert auth.secret is not None
        assert auth.secret.get_secret_value() == value


def test_a_key_may_be_a_reference(config: Configuration) -> None:
    settings = config.tenant("auth: {kind: tokens, tokens: {'${TICKET}': alice}}", {"TICKET": "42"})
    [auth] = settings.tenants[0].auth
    assert isinstance(auth, TokensAuth)
    assert auth.tokens == {"42": "alice"}
    [(_, path, problem)] = config.tenant_faults("auth: {kind: tokens, tokens: {a: b, '${TICKET}': alice}}")
    assert (path, "TICKET is not in the environment" in problem) == ("tenants[0].auth.tokens", True)


def test_half_a_character_is_a_fault_wherever_it_stands(config: Configuration) -> None:
    assert config.tenant_faults('limits: {"\\ud800": 1}') == [(4, "tenants[0].limits", HALF)]
    assert config.tenant_faults('auth: {kind: webhook, url: "http://a", secret: "\\ud800"}') == [
        (4, "tenants[0].auth.secret", HALF)
    ]
    assert config.faults("version: 1\ntenants: [{id: '${X}'}]", {"X": "\udcff"}) == [(2, "tenants[0].id", HALF)]


def test_a_path_shows_no_ticket_and_stays_on_its_line() -> None:
    assert render_path(("tenants", 0, "auth", 1, "tokens", "hush", "x")) == "tenants[0].auth[1].tokens.********.x"
    assert render_path(("a\nb",)) == "'a\\nb'"
    assert Document("f").line_of(("a", "b")) == 1
