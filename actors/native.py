"""`mypyc_attr`, which tells mypyc about a class where these modules are compiled and does nothing where they are not.

Its own package is only needed by who compiles: at runtime this is the standard library alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["mypyc_attr"]

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr
else:

    def mypyc_attr(**_wishes):
        return lambda cls: cls
