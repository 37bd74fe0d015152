"""The outside world behind the gateway's ports: tickets, telemetry, logs."""
