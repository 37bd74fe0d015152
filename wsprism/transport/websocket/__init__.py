"""The upgrade, and the socket behind it."""
