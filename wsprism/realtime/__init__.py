"""The actors of the gateway: gateway, tenant, room and connection, and the one flusher that writes for all of them."""
