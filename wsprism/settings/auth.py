"""How a tenant's tickets are judged: one mapping, or a list of them that are tried in order."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from wsprism.errors import InternalError
from wsprism.policy.users import is_user_id
from wsprism.protocol.jwk import VerificationKey, misfit, parse_public_key, secret_misfit
from wsprism.protocol.standard_webhooks import parse_secret
from wsprism.settings.base import HOLDS_SECRETS, Model, Secret, Text, read_text, to_tuple
from wsprism.settings.urls import Url, WebhookSecret

__all__ = ["Auth", "AuthSettings", "DevAuth", "JwtAuth", "OneTimeAuth", "TokensAuth", "WebhookAuth"]

Algorithm = Literal["HS256", "HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA"]


def _pem(value: str) -> str:
    if parse_public_key(value) is None:
        raise PydanticCustomError("public_key", "must be a public key in PEM (-----BEGIN PUBLIC KEY-----)")
    return value


def _read_key(value: Any, info: ValidationInfo) -> Any:
    """The file's text in place of its path, so that a new key is a new configuration."""
    if not isinstance(value, str):
        return value
    return read_text(value, info, "the key's file")


PublicKey = Annotated[str, AfterValidator(_pem)]
PublicKeyFile = Annotated[str, BeforeValidator(_read_key), AfterValidator(_pem)]


def _user(value: str) -> str:
    if not is_user_id(value):
        raise PydanticCustomError("user", "must be a user id: 1 to 255 bytes without control characters")
    return value


User = Annotated[str, AfterValidator(_user)]


class DevAuth(Model):
    """Ticket `dev` or `dev:<user>`: anybody gets in."""

    kind: Literal["dev"] = Field(description="for development only")


class TokensAuth(Model):
    """A fixed map of tickets."""

    kind: Literal["tokens"] = Field(description="a fixed map of tickets")
    tokens: Annotated[dict[Text, User], HOLDS_SECRETS] = Field(
        description="ticket to user id, the id exactly as written", min_length=1
    )


_SOURCES = ("secret", "public_key", "public_key_file", "jwks_url")


class JwtAuth(Model):
    """A signed JSON Web Token."""

    kind: Literal["jwt"] = Field(description="a signed JSON Web Token")
    algorithms: Annotated[tuple[Algorithm, ...], BeforeValidator(to_tuple)] = Field(
        description="the algorithms that are accepted; the token's own word is never asked", min_length=1
    )
    secret: Secret | None = Field(None, description="the shared key of HS algorithms")
    public_key: PublicKey | None = Field(None, description="a public key in PEM")
    public_key_file: PublicKeyFile | None = Field(None, description="a file with a public key in PEM")
    jwks_url: Url | None = Field(None, validate_default=True, description="where the issuer publishes its keys")
    issuer: Text | None = Field(None, description="the `iss` that a token must have")
    audience: Text | None = Field(None, description="the `aud` that a token must have")
    leeway_s: int = Field(30, ge=0, le=3600, description="tolerated difference of clocks")
    require_exp: bool = Field(True, description="refuse a token that never expires")
    user_claim: Text = Field("sub", description="the claim with the user id")
    tenant_claim: Text | None = Field(None, description="the claim that must name this tenant")
    rooms_claim: Text = Field("rooms", description="the claim with the patterns of rooms that may be joined")
    read_only_claim: Text = Field("read_only", description="the claim that forbids publishing")
    info_claim: Text | None = Field(None, description="the claim with what presence shows of the user; unset: nothing")
    jwks_lifetime_s: int = Field(300, ge=1, description="how long fetched keys are used")
    jwks_min_refresh_s: int = Field(10, ge=1, description="the least time between two fetches")

    @field_validator("jwks_url")
    @classmethod
    def _one_source_of_keys(cls, value: str | None, info: ValidationInfo) -> str | None:
        others = [info.data.get(name, "faulty") for name in _SOURCES[:-1]]
        if "faulty" in others:
            return value
        given = [name for name, one in zip(_SOURCES, (*others, value), strict=True) if one is not None]
        if len(given) != 1:
            raise PydanticCustomError(
                "jwt_key",
                "needs exactly one of secret, public_key, public_key_file and jwks_url, found {found}",
                {"found": " and ".join(given) or "none"},
            )
        shared = others[0] is not None
        if any(algorithm.startswith("HS") is not shared for algorithm in info.data.get("algorithms", ())):
            raise PydanticCustomError(
                "jwt_algorithms",
                "HS algorithms need secret, and all others a public key or jwks_url, found {algorithms} with {found}",
                {"algorithms": ", ".join(info.data["algorithms"]), "found": given[0]},
            )
        for algorithm in info.data.get("algorithms", ()):
            problem = _misfit(algorithm, *others)
            if problem is not None:
                raise PydanticCustomError("jwt_key", "{problem}", {"problem": problem})
        return value

    def key(self) -> VerificationKey:
        """The key of the configuration; not to be asked for where keys are published at ``jwks_url``."""
        if self.secret is not None:
            return self.secret.get_secret_value().encode()
        key = parse_public_key(self.public_key or self.public_key_file or "")
        if key is None:
            raise InternalError("a key that was validated is none")
        return key


def _misfit(algorithm: str, secret: SecretStr | None, *pems: str | None) -> str | None:
    """Why the key that is given is not one for ``algorithm``."""
    if secret is not None:
        return secret_misfit(algorithm, secret.get_secret_value().encode())
    keys = [parse_public_key(pem) for pem in pems if pem is not None]
    return next((misfit(algorithm, key) for key in keys if key is not None), None)


class OneTimeAuth(Model):
    """Tickets minted through the internal API."""

    kind: Literal["one_time"] = Field(description="tickets minted through the internal API")


class WebhookAuth(Model):
    """The backend decides."""

    kind: Literal["webhook"] = Field(description="the backend decides")
    url: Url = Field(description="where to ask")
    timeout_ms: int = Field(2000, ge=50, le=60000, description="after which the ticket is refused")
    secret: WebhookSecret = Field(description="signs the question (Standard Webhooks), `whsec_…`")

    def key(self) -> bytes:
        """The key in ``secret``."""
        key = parse_secret(self.secret.get_secret_value())
        if key is None:
            raise InternalError("a secret that was validated is none")
        return key


AuthSettings = DevAuth | TokensAuth | JwtAuth | OneTimeAuth | WebhookAuth


def _to_list(value: Any) -> Any:
    """`auth: {…}` is `auth: [{…}]`; no auth at all is an empty list."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list | tuple) else (value,)


_OneAuth = Annotated[AuthSettings, Discriminator("kind")]
Auth = Annotated[
    tuple[_OneAuth, ...],
    BeforeValidator(_to_list, json_schema_input_type=_OneAuth | list[_OneAuth] | None),
]
"""The field type of a tenant's `auth`."""
