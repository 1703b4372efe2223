"""Platemaps: what was done to every well, in the gallery's convention and in simple tables."""

from __future__ import annotations

from hcs.io.platemaps.wells import read_plate_wells

__all__ = ["read_plate_wells"]
