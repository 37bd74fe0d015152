"""Sockets of the internal listener that came with an API key: a backend's stream, a room's tail."""
