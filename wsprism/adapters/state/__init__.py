"""State that outlives a restart without a server: one SQLite file, written behind by a thread."""

from wsprism.adapters.state.state_file import Kind, StateFile, find_fault

__all__ = ["Kind", "StateFile", "find_fault"]
