"""A tenant's backend: what it is asked (questions) and told (news), over HTTP or a stream; the port's other side."""
