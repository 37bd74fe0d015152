"""The fixture of the settings' tests: most of what a file can hold shows in the settings that are read from it."""

from tests.unit.settings.conftest import config

__all__ = ["config"]
