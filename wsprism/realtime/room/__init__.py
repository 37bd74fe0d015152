"""A room: the one order of its publications, and their fan-out."""
