"""HAProxy as the data plane of a unit: configuration, reloads, run-time changes, statistics."""
