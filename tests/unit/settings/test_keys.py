"""Keys in the configuration: where they are read from, and that one that cannot verify is a fault, not a surprise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.keys import SECRET, private_pem, public_pem, signing_key
from tests.unit.settings.support import MINIMAL, Configuration
from wsprism.settings import JwtAuth, configuration_hash

JWT = "auth: {kind: jwt, algorithms: [HS256], secret: %s}"


def test_a_relative_path_is_meant_from_the_configurations_directory(
    config: Configuration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / "key.pem").write_text(public_pem(signing_key("ES256")))
    [auth] = config.tenant(JWT % "{file: secret}").tenants[0].auth
    assert isinstance(auth, JwtAuth)
    assert auth.key() == SECRET.encode()
    [auth] = config.tenant("auth: {kind: jwt, algorithms: [ES256], public_key_file: key.pem}").tenants[0].auth
    assert isinstance(auth, JwtAuth)
    assert auth.key() == signing_key("ES256").public_key()
    tls = config.load(MINIMAL + "gateway: {tls: {cert_file: cert.pem, key_file: /etc/key.pem}}").gateway.tls
    assert (tls.cert_file, tls.key_file) == (str(tmp_path / "cert.pem"), "/etc/key.pem")


def test_a_new_key_in_the_same_file_is_a_new_configuration(config: Configuration, tmp_path: Path) -> None:
    text = "auth: {kind: jwt, algorithms: [ES256], public_key_file: key.pem}"
    hashes = set()
    for name in ("a", "b"):
        (tmp_path / "key.pem").write_text(public_pem(signing_key("ES256", name)))
        hashes.add(configuration_hash(config.tenant(text)))
    assert len(hashes) == 2


def test_an_inline_key_is_that_of_its_text(config: Configuration) -> None:
    pem = "".join(f"    {line}\n" for line in public_pem(signing_key("RS256")).splitlines())
    [auth] = config.tenant(f"auth:\n  kind: jwt\n  algorithms: [RS256, PS256]\n  public_key: |\n{pem}").tenants[0].auth
    assert isinstance(auth, JwtAuth)
    assert auth.key() == signing_key("RS256").public_key()


@pytest.mark.parametrize(
    ("key", "path", "problem"),
    [
        ("public_key: hush", "auth.public_key", "must be a public key in PEM (-----BEGIN PUBLIC KEY-----)"),
        ("public_key_file: private.pem", "auth.public_key_file", "must be a public key in PEM"),
        ("public_key_file: nowhere", "auth.public_key_file", "the key's file "),
        ("public_key_file: public.pem", "auth", "RS256 needs an RSA key of 2048 to 8192 bits"),
    ],
)
def test_a_key_that_cannot_verify_is_a_fault_that_does_not_show_it(
    config: Configuration, tmp_path: Path, key: str, path: str, problem: str
) -> None:
    (tmp_path / "private.pem").write_text(private_pem(signing_key("ES256")))
    (tmp_path / "public.pem").write_text(public_pem(signing_key("ES256")))
    [(line, found_path, found)] = config.tenant_faults(f"auth: {{kind: jwt, algorithms: [RS256], {key}}}")
    assert (line, found_path) == (4, f"tenants[0].{path}")
    assert found.startswith(problem)
    assert "hush" not in found
    assert "PRIVATE" not in found


def test_a_published_key_as_a_secret_is_a_fault(config: Configuration, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(public_pem(signing_key("RS256")))
    [(line, path, problem)] = config.tenant_faults(JWT % "{file: key.pem}")
    assert (line, path, problem) == (4, "tenants[0].auth", "the secret of HS256 is a key of another kind")


@pytest.mark.parametrize("host", ["[::1", "a:99999", "a:x", "ann:hush@a", ":80"])
def test_a_url_is_whole_and_holds_no_secret(config: Configuration, host: str) -> None:
    text = f"auth: {{kind: jwt, algorithms: [ES256], jwks_url: 'https://{host}/keys'}}"
    [(_, path, problem)] = config.tenant_faults(text)
    assert path == "tenants[0].auth.jwks_url"
    found = "something else" if "hush" in host else f"'https://{host}/keys'"
    assert problem == f"must be http(s)://host[:port]/path, without a user and password in it, found {found}"


@pytest.mark.parametrize("secret", ["hush", "whsec_hush!", "whsec_"])
def test_a_webhook_secret_is_whsec_and_base64_and_never_shown(config: Configuration, secret: str) -> None:
    [(_, path, problem)] = config.tenant_faults(f"auth: {{kind: webhook, url: 'http://a', secret: '{secret}'}}")
    assert (path, problem) == ("tenants[0].auth.secret", "must be whsec_ and the key in base64, found something else")
