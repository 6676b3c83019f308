"""jobfetch waits for slow jobs at online services and fetches their results once, completely, atomically."""

__version__ = "0.1.0"
