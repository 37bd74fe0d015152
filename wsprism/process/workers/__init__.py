"""Several processes on one machine as one gateway: a parent that owns nothing but its workers."""
