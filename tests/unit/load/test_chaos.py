"""python -m load.chaos: what it is told to do, and what it says."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from load.chaos import __main__ as command
from load.chaos.crowd import crowd
from load.chaos.fault import Fault, Outcome
from load.chaos.nodes import Node
from load.chaos.report import one_line, render_markdown
from load.chaos.world import Manner, World
from load.processes import ServerFailedError
from tests.components import refusing_port


def outcome(fault: Fault, seed: int, broken: tuple[str, ...] = ()) -> Outcome:
    return Outcome(fault, seed, 3.0, 0.5, {"gaps": 2, "broken": len(broken)}, broken)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str, breaks: str = "") -> tuple[int, list[str]]:
    done: list[str] = []

    async def carry_out(fault: Fault, seed: int, manner: Manner) -> Outcome:  # noqa: ARG001
        done.append(fault.name)
        return outcome(fault, seed, ("a promise",) if fault.name == breaks else ())

    monkeypatch.setattr(command, "carry_out", carry_out)
    return command.main(arguments), done


def test_faults_have_names_of_their_own_and_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    names = [one.name for one in command.FAULTS]
    assert len(set(names)) == len(names)
    assert command.main(["--list"]) == 0
    assert all(name in capsys.readouterr().out for name in names[:1])


def test_names_are_beginnings_and_all_are_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "redis-stop-5", "unread") == (0, ["redis-stop-5", "unread"])
    assert run(monkeypatch, "redis-kill") == (0, ["redis-kill", "redis-kill-aof"])
    code, short = run(monkeypatch, "--short")
    _, everything = run(monkeypatch, "--all")
    assert code == 0
    assert set(everything) - set(short) == {one.name for one in command.FAULTS if one.long}


def test_a_broken_promise_is_the_exit_code_and_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "redis-kill", breaks="redis-kill-aof")[0] == 1
    assert "    a promise\n" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["nothing-like-it"]])
def test_wrong_names_are_wrong_arguments(arguments: list[str]) -> None:
    assert command.main(arguments) == 2


def test_outcomes_are_a_line_and_a_table() -> None:
    kept, broken = outcome(command.FAULTS[0], 7), outcome(command.FAULTS[1], 8, ("x",))
    assert one_line(kept).split()[:2] == [kept.fault.name, "kept"]
    assert "BROKEN" in one_line(broken)
    assert "gaps 2" in one_line(kept)
    rows = render_markdown([kept, broken]).splitlines()
    assert [row.count("|") for row in rows] == [14] * 4
    assert "**broken**" in rows[3]


async def test_a_crowd_that_does_not_get_in_is_a_fault_that_did_not_run() -> None:
    with refusing_port() as port, pytest.raises(ServerFailedError, match="crowd of 3 does not run:\nnot all got in"):
        async with crowd(Mock(spec=World), Mock(spec=Node, port=port), 3):
            pass
