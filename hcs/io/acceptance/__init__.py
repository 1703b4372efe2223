"""What came of a delivered plate against what should have come, said before anything runs."""

from __future__ import annotations

from hcs.io.acceptance.report import Examination, accept, examine

__all__ = ["Examination", "accept", "examine"]
