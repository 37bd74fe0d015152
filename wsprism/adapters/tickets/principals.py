"""From what an issuer says about a user to a ``Principal``: strict, so that a faulty restriction never becomes none.

Used by every authenticator that is told by others: claims of a JWT, answers of a webhook.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from wsprism.policy.users import is_user_id
from wsprism.ports import Principal
from wsprism.protocol.nesting import is_portable

__all__ = ["is_unix_time", "principal_of"]

_MAX_TOKEN_ID_CHARACTERS = 256
_MAX_PATTERNS = 256
_LAST_TIME_S = 1e12
_MAX_PATTERN_CHARACTERS = 256


def is_unix_time(value: object) -> bool:
    """Whether ``value`` can be Unix time in seconds. One in milliseconds, which would never end, cannot."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _LAST_TIME_S


def principal_of(
    user: Any,
    *,
    expires_at: float | None,
    rooms: Any = None,
    read_only: Any = None,
    token_id: Any = None,
    metadata: Mapping[str, Any] | None = None,
    info: Any = None,
) -> Principal | str:
    """The principal, or the name of the part that is not what it must be. What is None was not said."""
    if not isinstance(user, str) or not is_user_id(user):
        return "user"
    if not _are_patterns(rooms):
        return "rooms"
    if read_only is not None and not isinstance(read_only, bool):
        return "read_only"
    if token_id is not None and not (isinstance(token_id, str) and 0 < len(token_id) <= _MAX_TOKEN_ID_CHARACTERS):
        return "token_id"
    if not is_portable(info):
        return "info"
    return Principal(
        user,
        expires_at=expires_at,
        rooms=None if rooms is None else tuple(rooms),
        read_only=bool(read_only),
        token_id=token_id,
        metadata=dict(metadata or {}),
        info=None if info is None else msgspec.Raw(msgspec.json.encode(info)),
    )


def _are_patterns(rooms: Any) -> bool:
    if rooms is None:
        return True
    return (
        isinstance(rooms, list)
        and len(rooms) <= _MAX_PATTERNS
        and all(isinstance(one, str) and len(one) <= _MAX_PATTERN_CHARACTERS for one in rooms)
    )
