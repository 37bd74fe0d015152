"""`wsprism check`: every fault with its line, every warning, several files, standard input."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from wsprism.cli import main

GOOD = "version: 1\ngateway: {listen: '127.0.0.1:0'}\ntenants: [{id: a, auth: {kind: dev}}]\n"
WARNED = """\
version: 1
tenants:
  - id: a
    auth:
      - {kind: tokens, tokens: {t0p-secret: ann}}
      - {kind: dev}
    policy:
      ext_allowlist: ["chat:send", "sys:ping"]
      hot_allowlist:
        - "1:*"
        - "7:1"
    services: {ext: {}}
  - {id: b, policy: {ext_allowlist: []}}
"""


def write(directory: Path, name: str, text: str) -> str:
    path = directory / name
    path.write_text(text)
    return str(path)


def test_it_accepts_a_good_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "good.yaml", GOOD)
    assert main(["check", "--config", path]) == 0
    assert capsys.readouterr() == (f"{path}: ok (1 tenant)\n", "")


def test_it_lists_every_fault_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "bad.yaml", "version: 2\ntenants:\n  - id: a\n    limts: {}\n")
    assert main(["check", path]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert told[0].startswith(f"{path}:1: version:")
    assert "did you mean limits?" in told[1]


def test_it_warns_of_what_the_start_would_warn_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "warned.yaml", WARNED)
    assert main(["check", path]) == 0
    out, err = capsys.readouterr()
    assert out == f"{path}: ok (2 tenants, 4 warnings)\n"
    assert err.splitlines() == [
        f"{path}:6: tenants[0].auth[1]: warning: dev tickets let anybody in, and the listener is not loopback",
        f"{path}:8: tenants[0].policy.ext_allowlist[0]: warning: an allowlist entry names no service: chat:send",
        f"{path}:11: tenants[0].policy.hot_allowlist[1]: warning: an allowlist entry names no service: 7:1",
        f"{path}:13: tenants[1]: warning: every ticket is refused: the tenant has no auth",
    ]


def test_the_worst_of_several_files_decides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = write(tmp_path, "good.yaml", GOOD), write(tmp_path, "bad.yaml", "version: 1\n")
    assert main(["check", good, bad, str(tmp_path / "missing.yaml")]) == 2
    out, err = capsys.readouterr()
    assert out == f"{good}: ok (1 tenant)\n"
    assert "bad.yaml:1: tenants: is missing" in err
    assert "missing.yaml: cannot be read" in err


@pytest.mark.parametrize(
    ("text", "code", "told"), [(GOOD, 0, "<stdin>: ok"), ("version: 1\n", 2, "<stdin>:1: tenants:")]
)
def test_a_dash_is_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, text: str, code: int, told: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main(["check", "-"]) == code
    assert told in "".join(capsys.readouterr())


def test_no_file_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["check"])
    assert stopped.value.code == 2
    assert "name a FILE" in capsys.readouterr().err


def test_brackets_in_a_message_are_no_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "odd.yaml", "version: 1\ntenants: [{id: a, auth: {kind: '[red]'}}]\n")
    assert main(["check", path]) == 2
    assert "'[red]'" in capsys.readouterr().err


def gateway(text: str) -> str:
    return f"version: 1\ngateway:\n  listen: 127.0.0.1:8080\n  {text}\ntenants: [{{id: acme, auth: {{kind: dev}}}}]\n"


def acme(text: str) -> str:
    return f"version: 1\ngateway: {{listen: '127.0.0.1:0'}}\ntenants:\n- id: acme\n  {text}\n"


NEVER_WORKS = [
    (gateway("tls: {cert_file: nowhere.pem, key_file: key.pem}"), "4: gateway.tls.cert_file: must be a file that can"),
    (gateway("tls: {cert_file: empty.pem, key_file: key.pem}"), "4: gateway.tls.cert_file: must be a file with some"),
    (gateway("tls: {cert_file: key.pem, key_file: key.pem}"), "4: gateway.tls: "),
    (gateway("internal: {listen: '127.0.0.1:8080'}"), "4: gateway.internal.listen: must be another address than"),
    (gateway("internal: {listen: '0.0.0.0:8080'}"), "4: gateway.internal.listen: must be another address than"),
    (gateway("internal: {listen: 'localhost:8080'}"), "4: gateway.internal.listen: must be another address than"),
    (gateway(f"internal: {{listen: 'unix:/{'x' * 120}'}}"), "4: gateway.internal.listen: must have a path of at most"),
    (acme('auth: {kind: tokens, tokens: {hush: "ann\\n"}}'), "5: tenants[0].auth.tokens.********: must be a user id"),
    (acme("allowed_origins: ['https://a.example/x']"), "5: tenants[0].allowed_origins[0]: must be an origin"),
    (acme("allowed_origins: ${NOBODY_SETS_THIS:-}"), "5: tenants[0].allowed_origins: must not be empty"),
    (acme("allowed_origins: ${NOBODY_SETS_THIS}"), "5: tenants[0].allowed_origins: NOBODY_SETS_THIS is not in the"),
]


@pytest.mark.parametrize("command", ["check", "start"])
@pytest.mark.parametrize(("text", "told"), NEVER_WORKS)
def test_what_can_never_work_is_a_fault_for_check_and_start_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, text: str, told: str
) -> None:
    (tmp_path / "key.pem").write_text("no key")
    (tmp_path / "empty.pem").write_text("")
    path = write(tmp_path, "bad.yaml", text)
    assert main([command, "--config", path]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{path}:{told}"), err
    assert err.count("\n") == 1
    assert "hush" not in err
