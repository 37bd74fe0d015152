"""The contract of a ``Broker``, kept by Redis's and by the model that the rooms are tested with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from tests.broker_contract import BrokerContract
from tests.cluster_model import ModelBroker, ModelRedis
from tests.redis_nodes import asked, node, until
from tests.redis_server import ENGINES, running_redis
from wsprism.adapters.redis.broker import RedisBroker
from wsprism.adapters.redis.node import RedisNode
from wsprism.ports import Broker


class TestRedis(BrokerContract):
    @pytest.fixture(params=ENGINES, autouse=True)
    async def prepare(self, request: pytest.FixtureRequest) -> AsyncIterator[None]:
        with running_redis(engine=request.param) as server:
            async with AsyncExitStack() as stack:
                self.nodes: list[RedisNode] = [
                    await stack.enter_async_context(node(server.url, name)) for name in ("one", "two")
                ]
                self.halted: list[asyncio.Event] = []
                yield

    async def brokers(self) -> tuple[Broker, Broker]:
        one, two = (each.broker("acme") for each in self.nodes)
        return one, two

    async def until(self, holds: Callable[[], bool]) -> None:
        await until(holds)

    async def settle(self) -> None:
        for each in self.nodes * 2:
            await asked(each.broker("settle").read, "a", None, None)
            await asked(each.broker("acme").read, "settle", None, None)

    async def lose(self, broker: Broker) -> None:
        one = next(each for each in self.nodes if each.broker("acme") is broker)
        halted = asyncio.Event()
        connect = one._connect

        async def wait() -> object:
            await halted.wait()
            return await connect()

        one._connect = wait  # type: ignore[method-assign,assignment]
        self.halted.append(halted)
        assert isinstance(broker, RedisBroker)
        assert broker.connection is not None
        broker.connection.abort("lost")

    async def come_again(self, broker: Broker) -> None:
        for halted in self.halted:
            halted.set()
        await until(lambda: not broker.away)


class TestModel(BrokerContract):
    @pytest.fixture(autouse=True)
    def prepare(self) -> None:
        self.redis = ModelRedis(lambda: 0.0)
        self.two = ModelBroker(self.redis), ModelBroker(self.redis)

    async def brokers(self) -> tuple[Broker, Broker]:
        return self.two

    def _step(self) -> bool:
        return max(each.redis_does() | each.node_hears() for each in self.two)

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            assert self._step()

    async def settle(self) -> None:
        while self._step():
            pass

    async def lose(self, broker: Broker) -> None:
        assert isinstance(broker, ModelBroker)
        broker.lose()

    async def come_again(self, broker: Broker) -> None:
        assert isinstance(broker, ModelBroker)
        broker.come_again()
