"""Redis (or Valkey) behind ports: one connection of our own, scripts, and what is built of them. Nothing of it is
imported unless the configuration names a broker: it needs ``hiredis``, the extra ``wsprism[redis]``.
"""
