"""Load tools: an open-loop benchmark with peers (``python -m load.bench``) and Locust scenarios (``locustfile.py``).

Not shipped with the gateway and not imported by it; they speak to it over sockets only.
"""
