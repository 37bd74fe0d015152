"""Tickets for a tenant, made from what its configuration holds. For ``ticket mint``, and ``connect`` without one."""

from __future__ import annotations

import time
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsprism.cli.exits import UsageError
from wsprism.cli.internal_api import Api, tenant_path
from wsprism.errors import OperatorError
from wsprism.settings import AuthSettings, DevAuth, JwtAuth, OneTimeAuth, TokensAuth

if TYPE_CHECKING:
    from wsprism.settings import Settings, TenantSettings

__all__ = ["Minted", "Wanted", "find_tenant", "mint", "mint_one_time"]

_DEV_PREFIX = "user:"


@dataclass(frozen=True, slots=True)
class Wanted:
    """For whom a ticket is, and what it allows. ``key_file`` signs for JWTs whose configuration has a public key."""

    user: str
    ttl_s: int = 3600
    rooms: Sequence[str] | None = None
    read_only: bool = False
    claims: Mapping[str, Any] = field(default_factory=dict)
    key_file: str | None = None
    key_id: str | None = None
    algorithm: str | None = None


@dataclass(frozen=True, slots=True)
class Minted:
    """A ticket, and for people what it is."""

    ticket: str
    about: str


def find_tenant(settings: Settings, tenant_id: str | None) -> TenantSettings:
    """The tenant of that id, or the only one. Raises UsageError when there is none, or a choice."""
    tenants = {tenant.id: tenant for tenant in settings.tenants}
    if tenant_id is None and len(tenants) == 1:
        return settings.tenants[0]
    if tenant_id is None:
        raise UsageError(f"name one with --tenant: {', '.join(tenants)}")
    if tenant_id not in tenants:
        raise UsageError(f"no tenant {tenant_id!r}; there are: {', '.join(tenants)}")
    return tenants[tenant_id]


def mint(tenant: TenantSettings, wanted: Wanted, api: Callable[[], Api], kind: str | None = None) -> Minted:
    """A ticket by the first of the tenant's ``auth`` (of that ``kind``) that can make one.

    Raises OperatorError with each one's reason when none can.
    """
    reasons: list[str] = []
    for auth in tenant.auth:
        if kind is None or auth.kind == kind:
            made = _mint(auth, tenant.id, wanted, api)
            if isinstance(made, Minted):
                return made
            reasons.append(f"{auth.kind}: {made}")
    none = f"it has no auth of kind {kind}" if kind is not None else "it has no auth"
    raise OperatorError(f"no ticket of tenant {tenant.id!r} for {wanted.user!r}: " + ("; ".join(reasons) or none))


def mint_one_time(api: Api, tenant: str, wanted: Wanted) -> Minted:
    """A one-time ticket from the running gateway. Raises OperatorError when it gives none."""
    body: dict[str, Any] = {"user": wanted.user, "ttl_s": wanted.ttl_s}
    if wanted.claims:
        body["claims"] = dict(wanted.claims)
    if wanted.rooms is not None:
        body["rooms"] = list(wanted.rooms)
    if wanted.read_only:
        body["read_only"] = True
    made = api.call("POST", tenant_path(tenant, "tickets"), body)
    return Minted(made["ticket"], f"one_time for {wanted.user}, to be used once before {made['expires_at']}")


def _mint(auth: AuthSettings, tenant: str, wanted: Wanted, api: Callable[[], Api]) -> Minted | str:
    """The ticket, or why this way gives none."""
    match auth:
        case DevAuth():
            if not wanted.user.startswith(_DEV_PREFIX):
                return f"users are called {_DEV_PREFIX}<name>"
            return Minted(f"dev:{wanted.user.removeprefix(_DEV_PREFIX)}", f"dev for {wanted.user}, never expires")
        case TokensAuth(tokens=tokens):
            found = [ticket for ticket, user in tokens.items() if user == wanted.user]
            return Minted(found[0], f"tokens for {wanted.user}, never expires") if found else "no ticket is that user's"
        case JwtAuth():
            return _sign(auth, tenant, wanted)
        case OneTimeAuth():
            try:
                return mint_one_time(api(), tenant, wanted)
            except OperatorError as error:
                return str(error)
        case _:
            return "only the backend knows its tickets"


def _sign(auth: JwtAuth, tenant: str, wanted: Wanted) -> Minted | str:
    import jwt

    key = _signing_key(auth, wanted)
    if key is None:
        return "the configuration has no key to sign with; name the private one with --key-file"
    now_s = int(time.time())
    claims: dict[str, Any] = {
        auth.user_claim: wanted.user, "iat": now_s, "exp": now_s + wanted.ttl_s, "jti": uuid.uuid4().hex,
    }  # fmt: skip
    optional = {"iss": auth.issuer, "aud": auth.audience, auth.rooms_claim: wanted.rooms}
    claims |= {name: value for name, value in optional.items() if value is not None}
    if auth.tenant_claim is not None:
        claims[auth.tenant_claim] = tenant
    if wanted.read_only:
        claims[auth.read_only_claim] = True
    claims |= wanted.claims
    reasons = []
    for algorithm in [wanted.algorithm] if wanted.algorithm is not None else auth.algorithms:
        try:
            with warnings.catch_warnings():
                # A short secret is the configuration's affair: the gateway takes it.
                warnings.simplefilter("ignore")
                token = jwt.encode(claims, key, algorithm, {"kid": wanted.key_id} if wanted.key_id else None)
        except (jwt.PyJWTError, TypeError, ValueError, NotImplementedError) as exc:
            reasons.append(f"{algorithm}: {exc}")
        else:
            return Minted(token, f"jwt ({algorithm}) for {wanted.user}, expires in {wanted.ttl_s} s")
    return "the key signs none of the algorithms (" + "; ".join(reasons) + ")"


def _signing_key(auth: JwtAuth, wanted: Wanted) -> str | None:
    if wanted.key_file is not None:
        try:
            return Path(wanted.key_file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise OperatorError(f"the key file cannot be read: {exc}") from exc
    return auth.secret.get_secret_value() if auth.secret is not None else None
