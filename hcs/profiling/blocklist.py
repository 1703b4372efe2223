"""CellProfiler features that are known to be noisy or undefined, by name.

The list is the one that pycytominer ships: Way (2019), "Blocklist Features - Cell Profiler",
doi:10.6084/m9.figshare.10255811. It is three families over the five stains of Cell Painting.
"""

from __future__ import annotations

from itertools import permutations, product

_STAINS = ("AGP", "DNA", "ER", "Mito", "RNA")

CELLPROFILER_BLOCKLIST: frozenset[str] = frozenset(
    [
        f"Nuclei_Correlation_{measure}_{first}_{second}"
        for measure, (first, second) in product(("Manders", "RWC"), permutations(_STAINS, 2))
    ]
    + [f"Nuclei_Granularity_{scale}_{stain}" for scale, stain in product((14, 15, 16), _STAINS)]
)
