"""A listener: sockets before and beside the upgrade, TLS, probes, refusals."""
