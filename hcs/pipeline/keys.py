"""What determines a result, as digests: of a plate's manifest and of a unit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from schemas.encoders import EncoderInfo
from schemas.work import PlaneRef, RunPin, UnitSpec

UNIT_VERSION = 1
"""Raised when the code of a unit changes what it computes: older parts are then not taken over."""


def digest(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON: keys sorted, no spaces, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _plane_identity(plane: PlaneRef) -> list[Any]:
    """Return what identifies a plane: relative path and size. Its witness and root may change, its bytes may not."""
    return [plane.well, plane.site, plane.channel, plane.z, plane.timepoint, plane.relative_path, plane.size_bytes]


def manifest_digest(planes: Iterable[PlaneRef]) -> str:
    """Return the digest of a set of planes, whatever their order."""
    return digest(sorted(_plane_identity(plane) for plane in planes))


def encoder_identity(info: EncoderInfo) -> dict[str, Any]:
    """Return what determines an encoder's vectors. Where its file lay is not part of it."""
    return info.model_dump(mode="json", include={"name", "architecture", "weights_sha256", "mean", "std", "input_size"})


def unit_key(
    *,
    kind: str,
    screen: str,
    plate: str,
    planes: Sequence[PlaneRef],
    channels: Sequence[str],
    pixels: dict[str, Any],
    encoders: Sequence[EncoderInfo],
    pin: RunPin,
    survey_sha256: str | None,
) -> str:
    """Return the key of a unit: equal keys mean equal parts, byte for byte."""
    return digest(
        {
            "version": UNIT_VERSION,
            "kind": kind,
            "screen": screen,
            "plate": plate,
            "planes": sorted(_plane_identity(plane) for plane in planes),
            "channels": sorted(channels),
            "pixels": pixels,
            "encoders": [encoder_identity(info) for info in encoders],
            "pin": pin.model_dump(mode="json", exclude_none=True),
            "survey": survey_sha256,
        }
    )


def short_name(spec: UnitSpec) -> str:
    """Return the start of the names of a unit's parts: enough of its key, and the fence of the lease they are of."""
    return f"{spec.key[:20]}-{spec.fence}"
