"""The biology of the simulator: the axes of the latent phenotype and the mechanisms that push along them."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hcs.errors import UsageError

CHANNELS: Final = ("DNA", "RNA", "ER", "AGP", "Mito")

AXES: Final = (
    "nuclear_area",
    "nuclear_irregularity",
    "chromatin_texture",
    "mitotic_arrest",
    "multinucleation",
    "apoptosis",
    "cell_spread",
    "cell_elongation",
    "er_amount",
    "er_perinuclear",
    "nucleoli",
    "cytoplasmic_rna",
    "stress_fibres",
    "golgi_dispersal",
    "mito_amount",
    "mito_fragmentation",
)
"""What the 16 numbers of a cell's phenotype mean. One unit is the standard deviation between untreated cells."""

N_AXES: Final = len(AXES)


@dataclass(frozen=True)
class Mechanism:
    """What a class of compounds does to a cell.

    `push` is a direction along `AXES` (its length does not matter: strengths are drawn for each compound). A mechanism
    with an empty `push` kills cells and leaves the survivors as they were.
    """

    name: str
    push: tuple[tuple[str, float], ...]

    @property
    def is_count_only(self) -> bool:
        """Whether the number of cells is all that changes."""
        return not self.push

    def direction(self) -> NDArray[np.float64]:
        """Return the push as a vector of length one, (16,); zero for a mechanism that changes only the count."""
        push = dict(self.push)
        vector = np.array([push.get(axis, 0.0) for axis in AXES])
        return vector / np.linalg.norm(vector) if self.push else vector


def _mechanism(name: str, **push: float) -> Mechanism:
    return Mechanism(name=name, push=tuple(push.items()))


_LIBRARY: Final = (
    _mechanism(
        "tubulin destabiliser",
        multinucleation=0.9,
        cell_spread=-0.6,
        mitotic_arrest=0.4,
        mito_fragmentation=0.4,
        cell_elongation=-0.3,
    ),
    _mechanism("actin disruptor", stress_fibres=-1.0, cell_spread=-0.6, cell_elongation=0.5, golgi_dispersal=0.2),
    _mechanism("DNA damage inducer", nuclear_area=1.0, cell_spread=0.6, chromatin_texture=-0.4, nucleoli=-0.4),
    _mechanism(
        "protein synthesis inhibitor", nucleoli=-0.8, cytoplasmic_rna=-0.8, er_amount=-0.5, golgi_dispersal=-0.2
    ),
    _mechanism("mitochondrial uncoupler", mito_amount=-1.0, mito_fragmentation=0.8, er_perinuclear=-0.2),
    _mechanism("ER stress inducer", er_amount=1.0, er_perinuclear=-0.7, cytoplasmic_rna=-0.4, mito_fragmentation=0.3),
    _mechanism(
        "HDAC inhibitor",
        nuclear_area=0.5,
        chromatin_texture=-0.8,
        cell_spread=0.6,
        cell_elongation=0.7,
        stress_fibres=0.5,
    ),
    _mechanism("generic cytotoxicity"),
    _mechanism("tubulin stabiliser", multinucleation=0.8, nuclear_irregularity=0.7, er_perinuclear=0.4),
    _mechanism("Eg5 inhibitor", mitotic_arrest=1.0, cell_spread=-0.4, apoptosis=0.3),
    _mechanism("Aurora kinase inhibitor", multinucleation=0.6, nuclear_area=0.9, cell_spread=0.6, nucleoli=0.2),
    _mechanism("DNA replication inhibitor", nuclear_area=0.6, chromatin_texture=0.7, nucleoli=0.6),
    _mechanism("proteasome inhibitor", er_perinuclear=0.8, apoptosis=0.4, nucleoli=0.4, cell_spread=-0.5),
    _mechanism("Golgi disruptor", golgi_dispersal=1.0, er_perinuclear=0.3, stress_fibres=-0.3),
    _mechanism("lysosomotropic agent", golgi_dispersal=0.7, er_amount=0.8, er_perinuclear=-0.5, mito_amount=-0.4),
    _mechanism("ROCK inhibitor", stress_fibres=-0.7, cell_elongation=0.9, cell_spread=0.4),
    _mechanism("transcription inhibitor", nucleoli=-1.0, chromatin_texture=0.6, nuclear_area=-0.4),
    _mechanism("mitochondrial fission inhibitor", mito_amount=0.6, mito_fragmentation=-1.0),
)

MECHANISMS: Final = MappingProxyType({mechanism.name: mechanism for mechanism in _LIBRARY})

DEMO_MECHANISMS: Final = tuple(mechanism.name for mechanism in _LIBRARY[:8])
"""Eight mechanisms that touch every channel and overlap, generic cytotoxicity among them."""

TRAINING_MECHANISMS: Final = tuple(mechanism.name for mechanism in _LIBRARY[8:])
"""Mechanisms that are not in the demo, for encoders that are trained on simulated screens and judged on the demo."""


def mechanisms_named(names: tuple[str, ...]) -> tuple[Mechanism, ...]:
    """Return the mechanisms of these names, in their order.

    Raises:
        UsageError: If a name is not in the library.
    """
    unknown = [name for name in names if name not in MECHANISMS]
    if unknown:
        raise UsageError(
            f"mechanisms of the simulator were expected, but {', '.join(map(repr, unknown))} is none of them; "
            f"it knows {', '.join(MECHANISMS)}"
        )
    return tuple(MECHANISMS[name] for name in names)
