"""A room's tail: somebody who is no member hears all that is published into it."""
