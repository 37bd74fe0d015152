"""Completion scripts: the shells themselves read them, and bash completes with them."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.required import skip_unless_required
from wsprism.cli import main

ASK_BASH = """
eval "$1"
COMP_WORDS=(wsprism "${@:2}"); COMP_CWORD=$(( $# - 1 )); COMP_LINE="wsprism ${*:2}"; COMP_POINT=${#COMP_LINE}
"$(complete -p wsprism | sed 's/.* -F \\([^ ]*\\).*/\\1/')"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


def run(*command: str, given: str | None = None) -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["sta"], {"start"}),
        (["start", "--con"], {"--config"}),
        (["completion", "f"], {"fish"}),
        (["ticket", "i"], {"inspect"}),
    ],
)
def test_bash_completes_commands_options_and_choices(
    capsys: pytest.CaptureFixture[str], words: list[str], expected: set[str]
) -> None:
    assert set(run("bash", "-c", ASK_BASH, "bash", script("bash", capsys), *words).split()) == expected


def test_zsh_takes_its_script(capsys: pytest.CaptureFixture[str]) -> None:
    zsh = shutil.which("zsh")
    if zsh is None:
        skip_unless_required("zsh is not installed")
    load = 'autoload -Uz compinit && compinit -D -u && eval "$(cat)" && print $_comps[wsprism]'
    assert run(zsh, "-f", "-c", load, given=script("zsh", capsys)).strip() == "_shtab_wsprism"


def test_fish_completes_commands(capsys: pytest.CaptureFixture[str]) -> None:
    fish = shutil.which("fish")
    if fish is None:
        skip_unless_required("fish is not installed")
    ask = "source - ; complete -C 'wsprism sta'"
    assert "start" in run(fish, "--no-config", "-c", ask, given=script("fish", capsys))


def test_another_shell_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["completion", "tcsh"])
    assert stopped.value.code == 2
