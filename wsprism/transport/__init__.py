"""The only place that knows aiohttp: HTTP endpoints, the WebSocket upgrade, sockets in and out."""
