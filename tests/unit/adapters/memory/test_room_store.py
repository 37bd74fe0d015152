"""The store in memory keeps the contract of all."""

from __future__ import annotations

from tests.room_store_contract import RoomStoreContract
from wsprism.adapters.memory.room_store import MemoryRoomStore
from wsprism.ports import RoomStore


class TestMemoryRoomStore(RoomStoreContract):
    def store(self) -> RoomStore:
        self.now = 0.0
        store = MemoryRoomStore(lambda: self.now)
        store.configure(100, 10_000)
        return store

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
