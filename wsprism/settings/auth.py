"""How a tenant's tickets are judged: one mapping, or a list of them that are tried in order."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, model_validator
from pydantic_core import PydanticCustomError

from wsprism.settings.base import Model, Secret

__all__ = ["Auth", "AuthSettings", "DevAuth", "JwtAuth", "OneTimeAuth", "TokensAuth", "WebhookAuth"]

Algorithm = Literal["HS256", "HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA"]


class DevAuth(Model):
    """Ticket `dev` or `dev:<user>`: anybody gets in."""

    kind: Literal["dev"] = Field(description="for development only")


class TokensAuth(Model):
    """A fixed map of tickets."""

    kind: Literal["tokens"] = Field(description="a fixed map of tickets")
    tokens: dict[str, str] = Field(description="ticket to user id, the id exactly as written", min_length=1)


class JwtAuth(Model):
    """A signed JSON Web Token."""

    kind: Literal["jwt"] = Field(description="a signed JSON Web Token")
    algorithms: Annotated[tuple[Algorithm, ...], BeforeValidator(lambda value: tuple(value))] = Field(
        description="the algorithms that are accepted; the token's own word is never asked", min_length=1
    )
    secret: Secret | None = Field(None, description="the shared key of HS algorithms")
    public_key: str | None = Field(None, description="a public key in PEM")
    public_key_file: str | None = Field(None, description="a file with a public key in PEM")
    jwks_url: str | None = Field(None, description="where the issuer publishes its keys")
    issuer: str | None = Field(None, description="the `iss` that a token must have")
    audience: str | None = Field(None, description="the `aud` that a token must have")
    leeway_s: int = Field(30, ge=0, le=3600, description="tolerated difference of clocks")
    require_exp: bool = Field(True, description="refuse a token that never expires")
    user_claim: str = Field("sub", description="the claim with the user id")
    tenant_claim: str | None = Field(None, description="the claim that must name this tenant")
    rooms_claim: str = Field("rooms", description="the claim with the patterns of rooms that may be joined")
    read_only_claim: str = Field("read_only", description="the claim that forbids publishing")
    jwks_lifetime_s: int = Field(300, ge=1, description="how long fetched keys are used")
    jwks_min_refresh_s: int = Field(10, ge=1, description="the least time between two fetches")

    @model_validator(mode="after")
    def _one_source_of_keys(self) -> JwtAuth:
        sources = (self.secret, self.public_key, self.public_key_file, self.jwks_url)
        if sum(source is not None for source in sources) != 1:
            raise PydanticCustomError(
                "jwt_key", "needs exactly one of secret, public_key, public_key_file and jwks_url"
            )
        return self


class OneTimeAuth(Model):
    """Tickets minted through the internal API."""

    kind: Literal["one_time"] = Field(description="tickets minted through the internal API")


class WebhookAuth(Model):
    """The backend decides."""

    kind: Literal["webhook"] = Field(description="the backend decides")
    url: str = Field(description="where to ask", pattern=r"^https?://")
    timeout_ms: int = Field(2000, ge=50, le=60000, description="after which the ticket is refused")
    secret: Secret = Field(description="signs the question (Standard Webhooks), `whsec_…`")


AuthSettings = DevAuth | TokensAuth | JwtAuth | OneTimeAuth | WebhookAuth


def _to_list(value: Any) -> Any:
    """`auth: {…}` is `auth: [{…}]`; no auth at all is an empty list."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list) else (value,)


Auth = Annotated[
    tuple[Annotated[AuthSettings, Discriminator("kind")], ...],
    BeforeValidator(_to_list, json_schema_input_type=Any),
]
"""The field type of a tenant's `auth`."""
