"""Breaks several gateways over one Redis, real processes all, and prints the account: ``python -m load.chaos``.

``account`` says what was promised and whether it was kept, and opens no socket; ``clients`` are the members that it is
about, ``world`` the processes, ``faults`` what is done to them.
"""
