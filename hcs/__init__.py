"""The open platform for high-content screening."""

__version__ = "0.1.0"
