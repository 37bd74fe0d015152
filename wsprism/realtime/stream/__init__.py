"""A backend's stream: its socket as an actor of the tenant, beside the clients' connections."""
