"""How clients and backends come in: who may (admission), and what knows aiohttp: HTTP, the upgrade, the sockets."""
