"""One client's connection: its state, its lanes, what its messages bring about."""
