"""Nodes over one model of Redis, stopped when the test ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.cluster_model import Cluster, MakeCluster


@pytest.fixture
async def make_cluster() -> AsyncIterator[MakeCluster]:
    made: list[Cluster] = []

    def make(nodes: int = 2, **settings: Any) -> Cluster:
        made.append(Cluster(nodes, **settings))
        return made[-1]

    yield make
    for cluster in made:
        await cluster.stop()
