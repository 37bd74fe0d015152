"""Single values of a gateway's ``/metrics``."""

from __future__ import annotations

import re

import aiohttp

__all__ = ["metric"]


async def metric(base: str, name: str, **labels: str) -> float:
    """The value of the one series ``name`` that has these labels; 0 when there is none."""
    async with aiohttp.ClientSession() as session, session.get(f"{base}/metrics") as response:
        text = await response.text()
    values = [
        float(value)
        for pairs, value in re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE)
        if labels.items() <= dict(re.findall(r'(\w+)="([^"]*)"', pairs)).items()
    ]
    assert len(values) <= 1, f"{name}{labels} are {len(values)} series"
    return values[0] if values else 0.0
