"""Walks every key of every model: its faults are told in our words, and what restricts cannot be emptied away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_core._pydantic_core import list_all_errors

from tests.unit.settings.whole import (
    SECRET,
    KeyPath,
    all_models,
    faults_of,
    places,
    whole,
    with_value,
    without,
)
from wsprism.config_file import render_path

WHOLE = whole()
PLACES = list(places(WHOLE))
BAD: tuple[Any, ...] = (
    *(None, "", " ", True, -1, 0, 10**15, 1.5, 1e308, float("nan"), "hush", "x" * 10_000, "\x00", "ä:\u2028"),
    *([], [None], [""], ["hush", 1], {}, {"a": "b"}, {"": ""}, {"kind": "hush"}, [[[]]], {"file": "nowhere"}),
)

MAY_BE_EMPTY = {
    "gateway.diagnostics.echo_path": "empty is no echo",
    "gateway.tracing.endpoint": "empty is no traces",
    "gateway.metrics.otlp_endpoint": "empty is no export",
    "tenants[0].auth": "empty refuses every ticket",
}


def foreign_words() -> re.Pattern[str]:
    """The fixed beginnings of all messages of the validation library, and what Python says of its own."""
    beginnings = {re.split(r"[{]", error["message_template_python"])[0].strip() for error in list_all_errors()}
    long = {re.escape(one) for one in beginnings if len(one) > 8}
    more: tuple[str, ...] = (
        "Errno",
        "codec",
        "Traceback",
        "invalid literal",
        "pydantic",
        "does not appear to be",
        "host bits set",
    )
    more += (
        "Value error",
        "Assertion failed",
        "greater than or equal",
        "less than or equal",
        "match pattern",
        "_Empty",
    )
    return re.compile("|".join([*long, *more]))


FOREIGN = foreign_words()


def changed(path: KeyPath) -> Iterator[dict[str, Any]]:
    for value in BAD:
        yield with_value(WHOLE, path, value)
    yield without(WHOLE, path)


def test_the_whole_configuration_is_good_and_has_every_key_of_every_model(tmp_path: Path) -> None:
    assert faults_of(WHOLE, tmp_path) == []
    there = {path[-1] for path, _ in PLACES}
    assert {name for model in all_models() for name in model.model_fields} <= there


@pytest.mark.parametrize(
    "path", [path for path, _ in PLACES], ids=lambda path: render_path(path).replace("********", "t")
)
def test_every_fault_is_told_in_our_words_and_shows_no_secret(tmp_path: Path, path: KeyPath) -> None:
    is_secret = path[-1] in ("secret", "key", "tokens", "headers", "authorization", "api_keys", SECRET)
    for data in changed(path):
        for where, problem in faults_of(data, tmp_path):
            assert not FOREIGN.search(problem), (where, problem)
            assert re.match(r"[a-z'0-9A-Z]", problem), (where, problem)
            assert "\n" not in problem
            assert len(problem) < 400, (where, problem)
            assert SECRET not in problem + where
            assert not is_secret or "'hush'" not in problem, (where, problem)


@pytest.mark.parametrize("path", [path for path, value in PLACES if isinstance(value, dict)], ids=render_path)
def test_an_unknown_key_is_named_wherever_it_stands(tmp_path: Path, path: KeyPath) -> None:
    if path[-1] in ("tokens", "headers", "levels", "ext", "hot", "info", "options"):
        return  # their keys are names of the operator's own
    [(where, problem)] = faults_of(with_value(WHOLE, (*path, "mystery"), 1), tmp_path)
    assert where == f"{render_path(path)}.mystery"
    assert problem.startswith("unknown key; known here: ")


@pytest.mark.parametrize(
    "path",
    [path for path, value in PLACES if not isinstance(value, dict) and render_path(path) not in MAY_BE_EMPTY],
    ids=lambda path: render_path(path).replace("********", "t"),
)
@pytest.mark.parametrize("empty", ["${NOTHING:-}", "${EMPTY:-}", "${EMPTY}", "${NULL}", None, "", " "])
def test_what_turns_out_empty_stops_the_start(tmp_path: Path, path: KeyPath, empty: str | None) -> None:
    name = path[-1]
    if empty in (" ", "${NULL}") and name not in ("rooms_claim", "read_only_claim", "listen", "secret", "key"):
        return  # text like any other: a restriction to what nobody has
    if empty == "${NULL}" and name in ("rooms_claim", "read_only_claim", "secret", "key"):
        return  # the text "null"
    env = {"EMPTY": "", "NULL": "null"} if empty is not None and "$" in empty else None
    faults = faults_of(with_value(WHOLE, path, empty), tmp_path, env)
    assert [where for where, _ in faults if render_path(path).startswith(where)], faults


@pytest.mark.parametrize("path", MAY_BE_EMPTY)
def test_what_may_be_empty_protects_nobody(tmp_path: Path, path: str) -> None:
    [found] = [one for one, _ in PLACES if render_path(one) == path]
    assert faults_of(with_value(WHOLE, found, "${NOTHING:-}"), tmp_path, {}) == []


def test_a_secrets_file_with_nothing_in_it_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text(" \n\n")
    for path, value in PLACES:
        if value in (SECRET,) or path[-1] in ("secret", "public_key_file"):
            file = "empty" if path[-1] == "public_key_file" else {"file": "empty"}
            [(where, problem)] = faults_of(with_value(WHOLE, path, file), tmp_path)
            assert render_path(path).startswith(where)
            assert "must not be empty" in problem or "must be a public key in PEM" in problem
