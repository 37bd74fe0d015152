"""A running gateway's internal API: where it is, with which key, and what its refusals mean for an operator."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode

from wsprism.cli.exits import UsageError
from wsprism.cli.target import Target, ask, internal_listener, parse_url
from wsprism.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsprism.settings import Settings

__all__ = ["Api", "ApiError", "api_of", "find_api", "tenant_path"]

_PAGE = 1000


class ApiError(OperatorError):
    """The API answered with a refusal; ``status`` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Api:
    """Calls wait; ``timeout_s`` bounds each step of one."""

    target: Target
    key: str | None
    timeout_s: float = 5.0

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON. Raises ApiError for a refusal, OperatorError when nobody answers."""
        answer = ask(self.target, method, path, body=body, key=self.key, timeout_s=self.timeout_s)
        told = answer.json()
        if 200 <= answer.status < 300 and told is not None:
            return told
        raise ApiError(answer.status, f"{self.target}: {_meaning(answer.status, told, path)}")

    def pages(self, path: str) -> Iterator[Any]:
        """Every item of a list, page by page; ``path`` may have a query."""
        cursor: str | None = None
        while True:
            query = {"limit": str(_PAGE)} | ({} if cursor is None else {"cursor": cursor})
            page = self.call("GET", f"{path}{'&' if '?' in path else '?'}{urlencode(query)}")
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return


def find_api(
    *,
    config: str | None,
    url: str | None = None,
    key: str | None = None,
    verify: bool = True,
    tenant: str | None = None,
) -> Api:
    """The API at ``url``, else the one of ``config``; without a ``key`` one of ``config`` that may touch ``tenant``.

    Raises OperatorError when there is none.
    """
    if key is None:
        key = os.environ.get("WSPRISM_API_KEY") or None
        if config is not None:
            key = _better_key(config, key, tenant)
    if url is not None:
        return Api(parse_url(url, verify=verify), key)
    if config is None:
        raise UsageError("name the internal API with --url, or its --config")
    internal = internal_listener(config)
    if internal is None:
        raise OperatorError(f"{config}: there is no internal API: gateway.internal.listen is not set")
    return Api(internal, key)


def api_of(arguments: argparse.Namespace, *, tenant: str | None = None) -> Api:
    """``find_api`` with what ``add_api_arguments`` parsed."""
    return find_api(
        config=arguments.config,
        url=arguments.url,
        key=arguments.api_key,
        verify=not arguments.insecure,
        tenant=tenant,
    )


def tenant_path(tenant: str, *rest: str) -> str:
    """``/v1/tenants/{tenant}`` and what is below it."""
    return "/".join(["/v1/tenants", *(quote(part, safe="") for part in (tenant, *rest))])


def _better_key(config: str, key: str | None, tenant: str | None) -> str | None:
    """One of ``config``, unless the environment's ``key`` is none of its: a configuration may be made of it."""
    from wsprism.settings import SettingsError, load_settings

    try:
        settings = load_settings(config)
    except SettingsError:
        if key is None:
            raise
        return key
    known = {one.key.get_secret_value() for one in settings.gateway.internal.api_keys}
    return _configured_key(settings, tenant) if key is None or key in known else key


def _configured_key(settings: Settings, tenant: str | None) -> str | None:
    """The first key for all tenants; else, for one tenant, the first that may touch it."""
    keys = settings.gateway.internal.api_keys
    fitting = [one for one in keys if one.tenants == "all"]
    fitting += [one for one in keys if tenant is not None and tenant in one.tenants]
    return (fitting or [*keys])[0].key.get_secret_value() if keys else None


def _meaning(status: int, told: Any, path: str) -> str:
    told = told if isinstance(told, dict) else {}
    detail = told.get("detail") or told.get("msg")
    faults = [": ".join(filter(None, (one["pointer"], one["detail"]))) for one in told.get("errors", ())]
    match status:
        case 401:
            return "the API key is missing or wrong (--api-key, $WSPRISM_API_KEY, or gateway.internal.api_keys)"
        case 403:
            return f"the API key may not call {path}: {detail or 'it is scoped to tenants, or read-only'}"
        case 404 if path.startswith("/v1/tenants/") and "detail" in told:
            tenant = unquote(path.split("/")[3])
            return f"there is no tenant {tenant!r}, as far as the API key goes ({path} answers 404)"
        case 404:
            return f"there is no {path}: this is not the internal listener (gateway.internal.listen)"
        case _:
            return "\n  ".join([f"{path} answers {status}" + (f": {detail}" if detail else ""), *faults])
