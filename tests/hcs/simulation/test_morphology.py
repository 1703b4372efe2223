import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hcs.simulation.library import AXES, N_AXES
from hcs.simulation.morphology import APOPTOTIC, INTERPHASE, MITOTIC, N_CHANCES, Morphology, express

DRIVEN = {
    "nuclear_area": ("nuclear_radius", 1),
    "nuclear_irregularity": ("nuclear_irregularity", 1),
    "chromatin_texture": ("chromatin_contrast", 1),
    "mitotic_arrest": ("state", 1),
    "multinucleation": ("n_nuclei", 1),
    "apoptosis": ("state", 1),
    "cell_spread": ("cell_radius", 1),
    "cell_elongation": ("cell_ratio", 1),
    "er_amount": ("er_amount", 1),
    "er_perinuclear": ("er_range", -1),
    "nucleoli": ("nucleolar_amount", 1),
    "cytoplasmic_rna": ("rna_amount", 1),
    "stress_fibres": ("fibre_amount", 1),
    "golgi_dispersal": ("golgi_spread", 1),
    "mito_amount": ("mito_amount", 1),
    "mito_fragmentation": ("mito_fragments", 1),
}


def _express(push: dict[str, float] | None = None, *, n: int = 4000) -> Morphology:
    rng = np.random.default_rng(0)
    phenotypes = rng.standard_normal((n, N_AXES))
    for axis, shift in (push or {}).items():
        phenotypes[:, AXES.index(axis)] += shift
    return express(phenotypes, rng.random((n, N_CHANCES)))


@pytest.mark.parametrize("axis", AXES)
def test_each_axis_drives_what_it_is_named_after(axis: str):
    column, sign = DRIVEN[axis]

    means = [getattr(_express({axis: shift}), column).astype(float).mean() for shift in (-2.0, 0.0, 2.0)]

    assert np.all(np.diff(means) * sign > 0)


def test_untreated_cells_look_like_cells():
    cells = _express()

    diameters = 2 * cells.nuclear_radius[cells.state == INTERPHASE]
    assert 10 < np.percentile(diameters, 5) < np.percentile(diameters, 95) < 18
    assert 0.01 < np.mean(cells.state == MITOTIC) < 0.08
    assert np.mean(cells.state == APOPTOTIC) < 0.04
    assert np.mean(cells.n_nuclei[cells.state == INTERPHASE] > 1) < 0.08
    assert np.all(cells.cell_radius > cells.nuclear_radius)


def test_the_genome_is_single_double_or_between():
    content = _express().dna_content[_express().n_nuclei == 1]

    assert np.mean(content == 1) == pytest.approx(0.56, abs=0.05)
    assert (content.min(), content.max()) == (1, 2)


@given(
    phenotypes=arrays(np.float64, (3, N_AXES), elements=st.floats(-12, 12)),
    chances=arrays(np.float64, (3, N_CHANCES), elements=st.floats(0, 1, exclude_max=True)),
)
@settings(max_examples=60, deadline=None)
def test_every_phenotype_can_be_drawn(phenotypes: np.ndarray, chances: np.ndarray):
    cells = express(phenotypes, chances)

    for name, values in vars(cells).items():
        assert values.shape == (3,), name
        assert np.all(np.isfinite(values)), name
        assert np.all(values >= 0), name
    assert np.all((cells.n_nuclei >= 1) & (cells.n_nuclei <= 4))
    assert np.all((cells.n_nucleoli >= 1) & (cells.n_nucleoli <= 6))
    assert np.all(cells.mito_fragments <= 1)
    assert np.all(cells.vacuoles <= 1)


def test_cells_do_not_depend_on_their_neighbours():
    rng = np.random.default_rng(1)
    phenotypes, chances = rng.standard_normal((5, N_AXES)), rng.random((5, N_CHANCES))

    together, alone = express(phenotypes, chances), express(phenotypes[2:3], chances[2:3])

    for name, values in vars(alone).items():
        assert values[0] == getattr(together, name)[2], name


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(N, 16\) and \(N, 24\) were expected, got \(2, 3\)"):
        express(np.zeros((2, 3)), np.zeros((2, N_CHANCES)))
