"""Which of the forms that there are a client wants."""

from __future__ import annotations

from starlette.requests import Request


def prefers(request: Request, media_type: str, *, over: str = "application/json") -> bool:
    """Return whether a request names a media type, and wants it more than another or as much."""
    wants = weights(request.headers.get("accept", ""))
    mine = wants.get(media_type, 0.0)
    return mine > 0 and mine >= wants.get(over, 0.0)


def weights(accept: str) -> dict[str, float]:
    """Return how much each media range of an `Accept` header is wanted, from 0 to 1; what is unreadable is left out."""
    found = {}
    for item in accept.split(","):
        name, *options = (part.strip().casefold() for part in item.split(";"))
        weight = next((option.removeprefix("q=") for option in options if option.startswith("q=")), "1")
        try:
            found[name] = min(max(float(weight), 0.0), 1.0)
        except ValueError:
            continue
    return found
