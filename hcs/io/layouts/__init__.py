"""How deliveries are arranged on disk: one protocol, one layout for each arrangement, one table of image planes."""

from __future__ import annotations

from hcs.io.layouts.delivery import Delivery
from hcs.io.layouts.registry import LAYOUTS, Layout, find_layout, read_delivery

__all__ = ["LAYOUTS", "Delivery", "Layout", "find_layout", "read_delivery"]
