"""The way out of every connection: its outlet, and the flusher that writes for all."""
