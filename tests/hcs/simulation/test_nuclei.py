from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from hcs.simulation.library import N_AXES
from hcs.simulation.morphology import APOPTOTIC, INTERPHASE, N_CHANCES, Morphology, express
from hcs.simulation.nuclei import draw_nuclei
from hcs.simulation.territory import divide_ground

SIDE = 96
CENTRE = np.array([[48, 48]], np.float32)


def _cell(**columns: float) -> tuple[Morphology, np.ndarray]:
    chances = np.random.default_rng(0).random((1, N_CHANCES))
    plain = express(np.zeros((1, N_AXES)), chances)
    typed = {name: np.array([value], getattr(plain, name).dtype) for name, value in columns.items()}
    return replace(plain, cell_radius=np.array([40], np.float32), **typed), chances


def _draw(morphology: Morphology, chances: np.ndarray) -> dict[str, np.ndarray]:
    ground = divide_ground(CENTRE, morphology, chances, side=SIDE)
    nuclei = draw_nuclei(ground, morphology, chances)
    images = {}
    for name, values in vars(nuclei).items():
        images[name] = np.zeros(SIDE * SIDE, np.float32)
        images[name][ground.pixel] = values
        images[name] = images[name].reshape(SIDE, SIDE)
    return images


def test_a_nucleus_has_the_area_of_its_ellipse():
    cell, chances = _cell(state=INTERPHASE, n_nuclei=1, nuclear_radius=9, nuclear_ratio=1.4, nuclear_irregularity=0)

    assert _draw(cell, chances)["cover"].sum() == pytest.approx(np.pi * 81, rel=0.02)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_a_cell_has_as_many_nuclei_as_it_should(n: int):
    cell, chances = _cell(state=APOPTOTIC, n_nuclei=n, nuclear_radius=9, nuclear_ratio=1, nuclear_irregularity=0)
    chances[:, 12:16] = 0.5

    _, found = ndimage.label(_draw(cell, chances)["cover"] > 0.5)

    assert found == n


def test_twice_the_genome_is_twice_as_bright():
    single, chances = _cell(state=INTERPHASE, n_nuclei=1, dna_content=1)
    double, _ = _cell(state=INTERPHASE, n_nuclei=1, dna_content=2)

    ratio = _draw(double, chances)["genome"].sum() / _draw(single, chances)["genome"].sum()

    assert ratio == pytest.approx(2, rel=1e-5)


def test_nucleoli_lie_in_the_nucleus():
    cell, chances = _cell(state=INTERPHASE, n_nuclei=1, nucleolar_amount=1, nuclear_radius=8)

    images = _draw(cell, chances)

    assert images["nucleoli"].max() > 0.5
    assert images["nucleoli"][images["cover"] == 0].max() == 0


def test_cells_without_nucleoli_show_none():
    cell, chances = _cell(nucleolar_amount=0)

    assert _draw(cell, chances)["nucleoli"].max() == 0
