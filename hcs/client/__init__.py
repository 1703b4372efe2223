"""The client of the API: typed answers, and requests that are sent again where that is safe."""

from hcs.client.client import Client

__all__ = ["Client"]
