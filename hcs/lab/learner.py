"""The network that learns: a backbone on one grey channel and a linear reading of its embedding for every stain."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hcs.embedding.backbones import create_backbone, describe_backbone, timm_names
from hcs.embedding.known import known_encoders
from hcs.errors import UnknownEncoderError, UsageError
from hcs.imaging.tiles import cut_tiles
from hcs.lab.crops import N_TARGETS, Batch
from hcs.lab.fields import Fields
from hcs.lab.recipe import Recipe
from hcs.simulation.library import AXES, CHANNELS, N_AXES

State = dict[str, torch.Tensor]

_BETA: Final = 1.0
"""Errors beyond this many standard deviations between cells count by their size, not by its square."""
_FINE_STRIDE: Final = 16
"""Pixels between two places of the finer map that single cells are read from: less than a cell is wide."""
_FINE_WEIGHT: Final = 4.0
"""Of what is read from the finer map, in the loss."""


class Reading(NamedTuple):
    """What a learner reads of B planes: `planes` (B, 17), of the cells in them `cells` and `fine_cells` (B, K, 16).

    `cells` come from the last map of the backbone, `fine_cells` from one on which cells do not share a place; None for
    a backbone without such maps. `embedding` (B, F) is what is left of a plane for everything after training.
    """

    planes: torch.Tensor
    cells: torch.Tensor | None
    fine_cells: torch.Tensor | None
    embedding: torch.Tensor


class Learner(nn.Module):
    """A backbone with a head of one row of targets a stain, and heads that read single cells off its maps."""

    def __init__(self, recipe: Recipe) -> None:
        """Make it with random weights that follow from the recipe's seed."""
        super().__init__()
        check_architecture(recipe.architecture)
        known = known_encoders().get(recipe.architecture)
        self.n_channels = 3 if known is None or known.grey_stem is None else 1
        self._mean, self._std = recipe.mean, recipe.std
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(recipe.seed)
            self.backbone = create_backbone(recipe.architecture, in_chans=self.n_channels)
            sizes = _sizes(self.backbone, self.n_channels)
            self.head = nn.Linear(sizes.n_features, len(CHANNELS) * N_TARGETS)
            self.cell_head = _cell_head(sizes.n_in_map)
            self.fine_map, self.fine_head = sizes.fine_map, _cell_head(sizes.n_in_fine_map)

    def forward(self, planes: torch.Tensor, channels: torch.Tensor) -> torch.Tensor:
        """Return what is read of each plane, (B, 17), of (B, Y, X) grey values and the stain of each."""
        return self._read(self.backbone(self._image(planes)), channels)

    def read_cells(
        self, planes: torch.Tensor, channels: torch.Tensor, places: torch.Tensor, noise: torch.Generator | None = None
    ) -> Reading:
        """Return what is read of each plane and of the cells at some places in it, (B, K, 2).

        With `noise`, that of variance one is added to every number of the embedding before it is read.
        """
        features, fine = self._maps(self._image(planes))
        embedding = self.backbone.forward_head(features).float()  # type: ignore[operator]  # timm's models have it
        noisy = embedding if noise is None else embedding + torch.randn(embedding.shape, generator=noise)
        return Reading(
            planes=self._read(noisy, channels),
            cells=_sample(self.cell_head, features, channels, places),
            fine_cells=None if fine is None else _sample(self.fine_head, fine, channels, places),
            embedding=embedding,
        )

    def _maps(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the backbone's last features, and its finer map if it has one."""
        if self.fine_map is None:
            return self.backbone.forward_features(image), None  # type: ignore[operator]  # timm's models have it
        features, (fine,) = self.backbone.forward_intermediates(image, indices=[self.fine_map])  # type: ignore[operator]  # has it
        return features, fine

    def _image(self, planes: torch.Tensor) -> torch.Tensor:
        image = ((planes - self._mean) / self._std).unsqueeze(1).expand(-1, self.n_channels, -1, -1)
        return image.contiguous(memory_format=torch.channels_last)

    def _read(self, embedded: torch.Tensor, channels: torch.Tensor) -> torch.Tensor:
        read = self.head(embedded.float()).view(len(embedded), len(CHANNELS), N_TARGETS)
        of_stain: torch.Tensor = read.gather(1, channels.view(-1, 1, 1).expand(-1, 1, N_TARGETS))
        return of_stain.squeeze(1)


def _cell_head(n_in_map: int) -> nn.Conv2d | None:
    return nn.Conv2d(n_in_map, len(CHANNELS) * N_AXES, 1) if n_in_map else None


def _sample(
    head: nn.Conv2d | None, features: torch.Tensor, channels: torch.Tensor, places: torch.Tensor
) -> torch.Tensor | None:
    """Return what a head reads at places of a map, (B, K, 16), of the stain of each plane."""
    if head is None:
        return None
    on_map = nn.functional.grid_sample(
        head(features).float(), places.nan_to_num(0).unsqueeze(2), align_corners=False, padding_mode="border"
    )
    of_all = on_map.view(len(features), len(CHANNELS), N_AXES, places.shape[1])
    index = channels.view(-1, 1, 1, 1).expand(-1, 1, N_AXES, places.shape[1])
    return of_all.gather(1, index).squeeze(1).transpose(1, 2)


def check_architecture(architecture: str) -> None:
    """Return if timm makes a backbone of this name.

    Raises:
        UnknownEncoderError: If it does not; the message offers the nearest names.
    """
    names = timm_names()
    if architecture not in names:
        near = difflib.get_close_matches(architecture, [*known_encoders(), *names], n=5) or list(known_encoders())
        raise UnknownEncoderError(
            f"a backbone of timm was expected to train, but it makes none called {architecture!r}; did you mean "
            f"{', '.join(dict.fromkeys(near))}?"
        )


def check_crops(recipe: Recipe) -> None:
    """Return if timm makes the backbone of a recipe and it takes crops of every size in it: tried, not assumed.

    One that screens are read with at a size of its own must learn from crops of that size, or cells would look larger
    than in any crop.

    Raises:
        UnknownEncoderError: If timm does not make it.
        UsageError: If it does not take the crops.
    """
    check_architecture(recipe.architecture)
    sizes = sorted({stage.size for stage in recipe.stages})
    if (reason := _why_not(recipe, sizes)) is not None:
        raise UsageError(
            f"a backbone that takes crops of {', '.join(map(str, sizes))} pixels was expected to train, but "
            f"{recipe.architecture} does not ({reason}); take one that takes any size, as "
            f"{', '.join(name for name, known in known_encoders().items() if known.input_size is None)}"
        )


def _why_not(recipe: Recipe, sizes: list[int]) -> str | None:
    """Return why the backbone of a recipe cannot learn from crops of these sizes, if it cannot."""
    try:
        learner = Learner(recipe).eval()
        with torch.inference_mode():
            for size in sizes:
                learner.read_cells(torch.zeros(2, size, size), torch.zeros(2).long(), torch.zeros(2, 1, 2))
        known = known_encoders().get(recipe.architecture) or describe_backbone(recipe.architecture)
    except (RuntimeError, ValueError, IndexError, AssertionError, AttributeError) as error:
        return " ".join(str(error).split())
    if known.input_size is None or sizes == [known.input_size]:
        return None
    return f"tiles are resized to {known.input_size} pixels for it"


class _Sizes(NamedTuple):
    """Of a backbone: numbers of a plane, of a place on its last map and on its finer one; 0 where it has no such map.

    `fine_map` is the number of the finer map among those that the backbone gives.
    """

    n_features: int
    n_in_map: int
    fine_map: int | None
    n_in_fine_map: int


def _sizes(backbone: nn.Module, n_channels: int) -> _Sizes:
    """Return the sizes of a backbone: tried, since some models say other numbers."""
    noise = torch.zeros(2, n_channels, 96, 64)
    with torch.inference_mode():
        n_features = int(backbone(noise).shape[1])
        features = backbone.forward_features(noise) if hasattr(backbone, "forward_features") else noise[0, 0]  # type: ignore[operator]  # a method
        n_in_map = _n_in_map(features)
        maps = _intermediates(backbone, noise) if n_in_map else []
    fine = [index for index, each in enumerate(maps) if _n_in_map(each) and each.shape[2] * _FINE_STRIDE == 96]
    if not fine or maps[fine[-1]].shape[2] <= features.shape[2]:
        return _Sizes(n_features, n_in_map, None, 0)
    return _Sizes(n_features, n_in_map, fine[-1], int(maps[fine[-1]].shape[1]))


def _n_in_map(features: torch.Tensor) -> int:
    """Return how many numbers a place has on the map of an image of 96 x 64 pixels; 0 if this is no such map."""
    is_map = features.ndim == 4 and features.shape[2] * 64 == features.shape[3] * 96
    return int(features.shape[1]) if is_map else 0


def _intermediates(backbone: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """Return the maps of every stage of a backbone; none if it does not give them beside its last features."""
    if not hasattr(backbone, "forward_intermediates"):
        return []
    last, maps = backbone.forward_intermediates(images)  # type: ignore[operator]  # a method
    return list(maps) if torch.equal(last, backbone.forward_features(images)) else []  # type: ignore[operator]  # a method


def loss_of(
    learner: Learner, batch: Batch, *, precision: str, bottleneck: float = 0.0, noise: torch.Generator | None = None
) -> torch.Tensor:
    """Return the Huber loss of a batch: of the mean phenotype of each crop, plus those of the single cells in it.

    The phenotype of a crop without cells does not count. What the embedding carries costs: it is read through `noise`,
    and half its squared length counts `bottleneck` times. That is the information bottleneck of Alemi et al. (2017,
    arXiv:1612.00410) with a fixed variance of one: a number pays for itself only where it tells of the phenotype.
    """
    planes, channels = torch.from_numpy(batch.planes), torch.from_numpy(batch.channels)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        read = learner.read_cells(planes, channels, torch.from_numpy(batch.places), noise)
    shown = shown_by_stain()[channels]
    known = shown.clone()
    known[:, :N_AXES] *= torch.from_numpy(batch.n_cells > 0).float()[:, None]
    loss = _huber(read.planes.float(), torch.from_numpy(batch.targets), known)
    phenotypes = torch.from_numpy(batch.phenotypes)
    seen = (~phenotypes.isnan()).float() * shown[:, None, :N_AXES]
    for cells, weight in ((read.cells, 1.0), (read.fine_cells, _FINE_WEIGHT)):
        if cells is not None:
            loss = loss + weight * _huber(cells.float(), phenotypes.nan_to_num(0), seen)
    return loss + bottleneck * 0.5 * read.embedding.square().sum(dim=1).mean()


def _huber(read: torch.Tensor, true: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    error = nn.functional.smooth_l1_loss(read, true, reduction="none", beta=_BETA)
    return (error * weight).sum() / weight.sum().clamp(min=1)


_WHOLE_CELL: Final = ("mitotic_arrest", "apoptosis", "cell_spread", "cell_elongation")
_SHOWN: Final = {
    "DNA": (
        "nuclear_area",
        "nuclear_irregularity",
        "chromatin_texture",
        "mitotic_arrest",
        "multinucleation",
        "apoptosis",
    ),
    "RNA": (*_WHOLE_CELL, "nuclear_area", "nucleoli", "cytoplasmic_rna"),
    "ER": (*_WHOLE_CELL, "er_amount", "er_perinuclear", "golgi_dispersal"),
    "AGP": (*_WHOLE_CELL, "stress_fibres", "golgi_dispersal"),
    "Mito": (*_WHOLE_CELL, "mito_amount", "mito_fragmentation"),
}
"""Axes that a stain shows. The others would be noise to it: they are most of the error, and nothing can be learned."""


def shown_by_stain() -> torch.Tensor:
    """Return which of the 17 targets each stain is asked for, (C, 17), as 0 and 1; all are asked for the density."""
    rows = [[float(axis in _SHOWN[stain]) for axis in AXES] + [1.0] for stain in CHANNELS]
    return torch.tensor(rows)


@dataclass(frozen=True, eq=False)
class Judge:
    """Whole sites to judge a learner on: `tiles` (S, C, T, t, t) float32 and the mean `phenotypes` (S, 16) in them."""

    tiles: NDArray[np.float32]
    phenotypes: NDArray[np.float32]


def judge_of(fields: Fields, *, size: int) -> Judge:
    """Return the sites of fields that have cells, cut into tiles as a run cuts them."""
    sites = [site for site in range(fields.n_sites) if fields.cells_of(site).stop > fields.cells_of(site).start]
    planes = fields.planes[sites].astype(np.float32) / np.float32(255)
    tiles = np.stack([cut_tiles(site, size).swapaxes(0, 1) for site in planes])
    return Judge(tiles, np.stack([fields.phenotypes[fields.cells_of(site)].mean(axis=0) for site in sites]))


def explained(learner: Learner, judge: Judge) -> float:
    """Return how much of the mean phenotype of a site can be read off it: squared correlations, averaged over the axes.

    A site's reading is that of its tiles, averaged; an axis is read from the stain that shows it best.
    """
    return float(explained_by_axis(learner, judge).max(axis=0).mean())


def explained_by_axis(learner: Learner, judge: Judge) -> NDArray[np.float64]:
    """Return the squared correlation of each stain's reading with each axis over the sites, (C, 16)."""
    n_sites, n_channels, n_tiles = judge.tiles.shape[:3]
    squared = np.zeros((n_channels, N_AXES))
    with torch.inference_mode():
        for channel in range(n_channels):
            tiles = torch.from_numpy(judge.tiles[:, channel].reshape(n_sites * n_tiles, *judge.tiles.shape[3:]))
            stains = torch.full((len(tiles),), channel)
            read = [
                learner(tiles[start : start + 64], stains[start : start + 64]) for start in range(0, len(tiles), 64)
            ]
            reading = torch.cat(read).view(n_sites, n_tiles, -1).mean(1)[:, :N_AXES].numpy()
            squared[channel] = _squared_correlation(reading, judge.phenotypes)
    shown: NDArray[np.float64] = squared * shown_by_stain()[:, :N_AXES].numpy()
    return shown


def _squared_correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    scale = (a**2).sum(axis=0) * (b**2).sum(axis=0)
    squared: NDArray[np.float64] = np.zeros(a.shape[1])
    np.divide((a * b).sum(axis=0) ** 2, scale, out=squared, where=scale > 0)
    return squared
