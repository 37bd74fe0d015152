"""Pure decisions: who may do what, and how often. Values in, values out; ``now`` is an argument in seconds."""
