"""The version, and nothing else: whatever needs it can import it."""

__version__ = "0.1.0"
