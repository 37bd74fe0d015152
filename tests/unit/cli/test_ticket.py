"""`wsprism ticket mint` and `inspect`: every kind of ticket, what is wrong with one, and no secret in any output."""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.unit.cli.fake_api import serve_api
from wsprism.cli import main
from wsprism.realtime.tenant.one_time import OneTimeTickets

SECRET = "0123456789abcdef0123456789abcdef"
HS = f"{{kind: jwt, algorithms: [HS256], secret: {SECRET}, issuer: us, audience: them, tenant_claim: t}}"


def write(directory: Path, *auth: str, more: str = "") -> str:
    path = directory / "wsprism.yaml"
    path.write_text(f"version: 1\n{more}tenants: [{{id: acme, auth: [{', '.join(auth)}]}}]\n")
    return str(path)


def minted(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["ticket", "mint", *arguments]) == 0
    return capsys.readouterr().out.removesuffix("\n")


def inspected(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["ticket", "inspect", *arguments])
    out, err = capsys.readouterr()
    assert SECRET not in out + err
    return code, out + err


def test_a_dev_ticket(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert minted(capsys, "--config", write(tmp_path, "{kind: dev}"), "--user", "user:ann") == "dev:ann"


def test_a_token_of_the_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write(tmp_path, "{kind: tokens, tokens: {t1: ann, t2: bob}}")
    assert minted(capsys, "--config", config, "--user", "bob") == "t2"


def test_a_jwt_signed_with_the_secret_has_every_claim(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    token = minted(
        capsys, "--config", write(tmp_path, HS), "--user", "ann", "--ttl-s", "60", "--room", "a:*", "--room", "b",
        "--read-only", "--claim", "level=3", "--claim", "name=Ann", "--key-id", "k1",
    )  # fmt: skip
    claims = jwt.decode(token, SECRET, ["HS256"], issuer="us", audience="them")
    assert claims.pop("exp") - claims.pop("iat") == 60
    assert claims.pop("jti")
    assert claims == {
        "sub": "ann", "iss": "us", "aud": "them", "t": "acme", "rooms": ["a:*", "b"], "read_only": True,
        "level": 3, "name": "Ann",
    }  # fmt: skip
    assert jwt.get_unverified_header(token)["kid"] == "k1"


def test_a_jwt_signed_with_a_key_file_is_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = Ed25519PrivateKey.generate()
    private = tmp_path / "key.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = tmp_path / "public.pem"
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    config = write(tmp_path, f"{{kind: jwt, algorithms: [EdDSA], public_key_file: '{public}'}}")
    token = minted(capsys, "--config", config, "--key-file", str(private))
    code, told = inspected(capsys, token, "--config", config)
    assert (code, told.splitlines()[-1]) == (0, "accepted by tenant acme")
    assert main(["ticket", "mint", "--config", config]) == 1
    assert "--key-file" in capsys.readouterr().err
    private.write_text("no key")
    assert main(["ticket", "mint", "--config", config, "--key-file", str(private)]) == 1
    assert "the key signs none of the algorithms" in capsys.readouterr().err


@pytest.mark.parametrize("by_config", [True, False])
def test_a_one_time_ticket_is_minted_by_the_gateway(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, by_config: bool
) -> None:
    monkeypatch.delenv("WSPRISM_API_KEY", raising=False)
    with serve_api() as api:
        api.answers["POST /v1/tenants/acme/tickets"] = (201, {"ticket": "ot-1", "expires_at": "2030-01-01T00:00:00Z"})
        if by_config:
            listen = api.url.removeprefix("http://")
            keys = "[{name: b, key: k-b, tenants: []}, {name: a, key: k-a, tenants: [acme]}]"
            more = f"gateway: {{internal: {{listen: '{listen}', api_keys: {keys}}}}}\n"
            arguments = ["--config", write(tmp_path, "{kind: one_time}", more=more)]
        else:
            arguments = ["--url", api.url, "--tenant", "acme", "--api-key", "k-a"]
        assert minted(capsys, *arguments, "--user", "ann", "--ttl-s", "9", "--room", "r", "--claim", "a=1") == "ot-1"
    body = {"user": "ann", "ttl_s": 9, "rooms": ["r"], "claims": {"a": 1}}
    assert api.requests == [("POST /v1/tenants/acme/tickets", "Bearer k-a", body)]


def test_the_first_kind_that_can_is_used_and_others_say_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    webhook = "{kind: webhook, url: 'http://h/x', secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}"
    config = write(tmp_path, webhook, "{kind: tokens, tokens: {t1: ann}}", "{kind: dev}")
    assert minted(capsys, "--config", config, "--user", "user:x") == "dev:x"
    assert main(["ticket", "mint", "--config", config, "--user", "x"]) == 1
    told = capsys.readouterr().err
    assert "webhook: only the backend" in told
    assert "tokens: no ticket" in told
    assert main(["ticket", "mint", "--config", config, "--kind", "jwt"]) == 1
    assert "no auth of kind jwt" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--tenant", "acme"], ["--config", "c", "--claim", "x"], ["--url", "http://h"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["ticket", "mint", *arguments])
    assert stopped.value.code == 2


def test_without_a_configuration_it_says_loudly_that_nothing_is_verified(
    capsys: pytest.CaptureFixture[str],
) -> None:
    token = jwt.encode({"sub": "ann", "exp": 4102444800, "evil": "\x1b[2J"}, SECRET)
    assert main(["ticket", "inspect", token]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("NOT VERIFIED")
    assert 'header.alg: "HS256"' in out
    assert "claims.exp: 4102444800 (2100-01-01T00:00:00+00:00, in " in out
    assert "\x1b" not in out


def test_what_is_no_jwt_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for ticket in ("dev", "a.b.c", "..", "e30.W10.x"):
        assert main(["ticket", "inspect", ticket]) == 1
        assert "it is no JWT" in capsys.readouterr().err


def claims(**changes: Any) -> dict[str, Any]:
    return {"sub": "ann", "exp": time.time() + 60, "iss": "us", "aud": "them", "t": "acme", **changes}


@pytest.mark.parametrize(
    ("changes", "secret", "why"),
    [
        ({}, SECRET, "jwt: it is ann's, for another "),
        ({"rooms": ["a"], "read_only": True}, SECRET, "for the rooms a, read only"),
        ({"exp": 1}, SECRET, "jwt: it has expired"),
        ({"nbf": 4e9}, SECRET, "jwt: it is not valid yet"),
        ({"iss": "x"}, SECRET, "jwt: its issuer is another"),
        ({"aud": "x"}, SECRET, "jwt: its audience is another"),
        ({"t": "x"}, SECRET, "jwt: its tenant is another"),
        ({}, SECRET[::-1], "jwt: its signature is wrong"),
    ],
)
def test_with_a_configuration_it_judges_as_the_gateway_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], secret: str, why: str
) -> None:
    accepted = "for" in why
    code, told = inspected(capsys, jwt.encode(claims(**changes), secret), "--config", write(tmp_path, HS))
    assert why in told
    assert code == (0 if accepted else 1)
    assert told.splitlines()[-1] == f"{'accepted' if accepted else 'refused'} by tenant acme"
    assert "NOT VERIFIED" not in told


def test_tickets_that_are_no_jwts_are_judged_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write(tmp_path, "{kind: one_time}", "{kind: tokens, tokens: {t1: ann}}")
    assert inspected(capsys, "t1", "--config", config)[0] == 0
    code, told = inspected(capsys, "t2", "--config", config)
    assert code == 1
    assert "one_time: it is not one of its tickets" in told
    assert "tokens: it is not one of its tickets" in told


def test_what_only_the_gateway_or_the_backend_can_tell_is_no_refusal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ticket, _ = OneTimeTickets(time.time).mint("ann", 60) or ("", 0)
    config = write(tmp_path, "{kind: one_time}", "{kind: dev}")
    code, told = inspected(capsys, ticket, "--config", config)
    assert (code, told.splitlines()[-1]) == (0, "to be judged by tenant acme")
    assert "one_time: only the running gateway can tell" in told
    assert "refused" not in told
    code, told = inspected(capsys, ticket, "--config", config, "--json")
    assert (code, json.loads(told)["verified"]) == (0, None)
    webhook = "{kind: webhook, url: 'http://h/x', secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}"
    code, told = inspected(capsys, "anything", "--config", write(tmp_path, webhook))
    assert (code, told.splitlines()[-1]) == (0, "to be judged by tenant acme")
    assert "webhook: only the backend can tell" in told


def test_a_ticket_from_standard_input_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = jwt.encode(claims(), SECRET)
    monkeypatch.setattr(sys, "stdin", io.StringIO(token + "\n"))
    code, told = inspected(capsys, "-", "--json", "--config", write(tmp_path, HS))
    shown = json.loads(told)
    assert (code, shown["verified"], shown["claims"]["sub"]) == (0, True, "ann")
    assert main(["ticket", "inspect", token, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["verified"] is None
    assert err.startswith("NOT VERIFIED")


def test_an_unknown_tenant_lists_those_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write(tmp_path, "{kind: dev}")
    assert main(["ticket", "mint", "--config", config, "--tenant", "x"]) == 2
    assert "there are: acme" in capsys.readouterr().err


def test_several_tenants_are_a_choice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "two.yaml"
    path.write_text("version: 1\ntenants: [{id: a, auth: {kind: dev}}, {id: b, auth: {kind: dev}}]\n")
    assert main(["ticket", "mint", "--config", str(path)]) == 2
    assert "name one with --tenant: a, b" in capsys.readouterr().err
    assert minted(capsys, "--config", str(path), "--tenant", "b") == "dev:dev"


def test_a_key_file_that_cannot_be_read_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ticket", "mint", "--config", write(tmp_path, HS), "--key-file", "/none.pem"]) == 1
    assert "the key file cannot be read" in capsys.readouterr().err


def test_a_gateway_that_does_not_run_leaves_the_next_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = f"gateway: {{internal: {{listen: 'unix:{tmp_path}/none'}}}}\n"
    assert minted(capsys, "--config", write(tmp_path, "{kind: one_time}", "{kind: dev}", more=more)) == "dev:dev"
    assert main(["ticket", "mint", "--config", write(tmp_path, "{kind: one_time}", more=more)]) == 1
    assert "one_time: unix:" in capsys.readouterr().err
