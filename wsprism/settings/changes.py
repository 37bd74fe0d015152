"""What differs between two configurations, key by key, and a new one that keeps some keys of the old one.

Secrets are compared and never shown. Tenants are the same when their id is: their order means nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from wsprism.settings.models import Settings
from wsprism.settings.plain import hashed, masked

__all__ = ["Change", "compare", "keep"]

_SHOWN_CHARACTERS: Final = 120
_ABSENT: Final = object()

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Change:
    """One key whose value is another one. ``old`` and ``new`` are plain data, secrets masked; None: not there.

    ``key`` is the key's path within ``tenant`` (None: in the whole file; an empty key: the tenant as a whole).
    """

    tenant: str | None
    key: str
    old: Any
    new: Any

    @property
    def path(self) -> str:
        """The key's path: ``gateway.drain_grace_ms``, ``tenants[acme].limits.max_rooms_total``."""
        if self.tenant is None:
            return self.key
        return f"tenants[{self.tenant}].{self.key}" if self.key else f"tenants[{self.tenant}]"

    def __str__(self) -> str:
        if not self.key:
            return f"{self.path}: {'added' if self.old is None else 'removed'}"
        return f"{self.path}: {_shown(self.old)} -> {_shown(self.new)}"


def compare(old: Settings, new: Settings) -> list[Change]:
    """Every key that differs, in the order of the file's reference."""
    kept, shown = (hashed(old), hashed(new)), (masked(old), masked(new))
    tenants = [{one["id"]: one for one in plain.pop("tenants")} for plain in (*kept, *shown)]
    changes = list(_differences(None, *kept, *shown))
    for tenant in dict.fromkeys([*tenants[0], *tenants[1]]):
        before, after, shown_before, shown_after = (one.get(tenant) for one in tenants)
        if before is None or after is None:
            changes.append(Change(tenant, "", shown_before, shown_after))
        else:
            changes += _differences(tenant, before, after, shown_before, shown_after)
    return changes


def keep(old: ModelT, new: ModelT, key: str) -> ModelT:
    """``new`` with the value that ``old`` has for ``key`` (a path of field names joined by dots)."""
    head, _, rest = key.partition(".")
    value = getattr(old, head)
    return new.model_copy(update={head: keep(value, getattr(new, head), rest) if rest else value})


def _differences(tenant: str | None, old: Any, new: Any, shown_old: Any, shown_new: Any) -> Iterator[Change]:
    before, after = _leaves(old), _leaves(new)
    shown_before, shown_after = _leaves(shown_old), _leaves(shown_new)
    for key in dict.fromkeys([*before, *after]):
        if before.get(key, _ABSENT) != after.get(key, _ABSENT):
            yield Change(tenant, key, shown_before.get(key), shown_after.get(key))


def _leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Every key whose value is shown as one: scalars, lists of scalars, and the map of tickets."""
    if isinstance(value, dict) and value and not path.endswith(".tokens"):
        parts = [(f"{path}.{key}" if path else key, one) for key, one in value.items()]
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        parts = [(f"{path}[{position}]", one) for position, one in enumerate(value)]
    else:
        return {path: value}
    return {key: leaf for part, one in parts for key, leaf in _leaves(one, part).items()}


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
