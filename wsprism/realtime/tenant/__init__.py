"""A tenant: sessions, rooms and limits, and what its backend asks for."""
