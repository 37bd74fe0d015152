"""How many files (sockets included) this process may have open: raised as far as allowed, compared with the need."""

from __future__ import annotations

import logging
import resource
from typing import Final

from wsprism.settings import Settings

__all__ = ["needed_files", "raise_open_files"]

_log = logging.getLogger("wsprism.gateway")

LEAST_SENSIBLE: Final = 8192
"""Below this a gateway without limits on its sessions is soon full."""

_OTHER_FILES: Final = 128
"""Listeners, log, half-open sockets, connections to backends."""

_WHEN_UNLIMITED: Final = 1_048_576
"""What Linux allows by default (fs.nr_open) where the hard limit says "unlimited"."""


def raise_open_files(settings: Settings) -> int:
    """Raise the soft limit to the hard one; log what was got, and warn when it is too low. Returns the soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, _WHEN_UNLIMITED if hard == resource.RLIM_INFINITY else soft):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            break
        except (ValueError, OSError):
            continue
    got = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    _log.info("limit on open files", extra={"before": soft, "now": got, "hard": hard})
    needed = needed_files(settings)
    if got != resource.RLIM_INFINITY and got < needed:
        _log.warning("the limit on open files is low: raise the hard limit", extra={"limit": got, "needed": needed})
    return got


def needed_files(settings: Settings) -> int:
    """For all sessions that may be open; ``LEAST_SENSIBLE`` when a tenant has no limit on them."""
    limits = [tenant.limits.max_sessions_total for tenant in settings.tenants]
    return sum(limits) + _OTHER_FILES if all(limits) else LEAST_SENSIBLE
