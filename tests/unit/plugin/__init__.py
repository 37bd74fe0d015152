"""The public face for authors of services."""
