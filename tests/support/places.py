"""Where the catalog of a test is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hcs.catalog import Catalog, open_catalog


@dataclass(frozen=True)
class Place:
    """Where a catalog is: what every process needs to open it."""

    url: str
    parts_uri: str

    @property
    def is_sqlite(self) -> bool:
        return "://" not in self.url

    def open(self, **options: Any) -> Catalog:
        return open_catalog(self.url, parts_uri=self.parts_uri, **options)
