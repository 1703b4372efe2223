"""The microscope: what becomes of light on its way to 16-bit pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from hcs.simulation.library import CHANNELS

Light = NDArray[np.float32]

FULL_SCALE: Final = np.array([5200.0, 2600.0, 3000.0, 2800.0, 3400.0], dtype=np.float32)
"""Grey values of light 1 at stain gain 1, by channel."""
_CROSSTALK: Final = (("RNA", "ER", 0.12), ("ER", "RNA", 0.06), ("AGP", "Mito", 0.06), ("Mito", "AGP", 0.04))
"""(into, from, share): RNA and ER, and AGP and Mito, are dyes with overlapping spectra."""
_HAZE_SHARE: Final = 0.16
_HAZE_SIGMA: Final = 7.0
"""Light from above and below the focal plane, in pixels."""
_GREY_PER_PHOTON: Final = 1.6


@dataclass(frozen=True)
class Optics:
    """How one site is seen. By channel: (5,) unless it says otherwise; distances in pixels."""

    psf_sigma: NDArray[np.float64]
    shift: NDArray[np.float64]
    """(5, 2): chromatic shift, (y, x)."""
    defocus_sigma: float
    crosstalk: float
    """0 for none, 1 for that of the dyes of Cell Painting."""
    vignetting: NDArray[np.float64]
    """(5, 4): a, b, y, x of `1 - a r^2 - b r^4` around (y, x); r is 1 in the corners."""
    gain: NDArray[np.float64]
    """Of the stains: product of batch, plate, well, position and bleaching."""
    background: NDArray[np.float64]
    """Scattered light of the well, grey values before vignetting."""
    dark: NDArray[np.float64]
    """Offset of the camera, grey values."""
    read_noise: float
    """Standard deviation, grey values."""


def photograph(light: Light, optics: Optics, rng: np.random.Generator, *, site_px: int) -> NDArray[np.uint16]:
    """Return the site as the camera delivers it, (5, site_px, site_px) uint16.

    Shot noise is Gaussian with the variance of Poisson noise: there are hundreds of photons in every pixel.

    Args:
        light: (5, S, S) with S > site_px: the site is its middle; the rest only scatters into it.
        optics: How it is seen.
        rng: Noise of the camera.
        site_px: Side of the site.
    """
    first = (light.shape[1] - site_px) // 2
    middle = slice(first, first + site_px)
    seen = blur(mix_spectra(light, optics.crosstalk), optics)[:, middle, middle]
    scale, scattered = _per_channel(FULL_SCALE * optics.gain), _per_channel(optics.background)
    grey = (np.maximum(seen, 0) * scale + scattered) * flat_field(optics, site_px=site_px)
    noise = rng.standard_normal(grey.shape, dtype=np.float32)
    noise *= np.sqrt(grey * _GREY_PER_PHOTON + optics.read_noise**2)
    grey += noise
    grey += _per_channel(optics.dark)
    pixels: NDArray[np.uint16] = np.clip(np.rint(grey), 0, np.iinfo(np.uint16).max).astype(np.uint16)
    return pixels


def _per_channel(values: NDArray[np.float64]) -> Light:
    return values.astype(np.float32)[:, None, None]


def mix_spectra(light: Light, strength: float) -> Light:
    """Return light, (5, Y, X), with what bleeds from one channel into another."""
    mixed = light.copy()
    for into, source, share in _CROSSTALK:
        mixed[CHANNELS.index(into)] += strength * share * light[CHANNELS.index(source)]
    return mixed


def blur(light: Light, optics: Optics) -> Light:
    """Return light, (5, S, S), through the lens: point spread, chromatic shift, haze, defocus. Borders are periodic."""
    side = light.shape[1]
    rows, columns = fft.fftfreq(side), fft.rfftfreq(side)
    sigma = np.hypot(optics.psf_sigma, optics.defocus_sigma)
    sharp = _gaussian(rows, sigma)[:, :, None] * _gaussian(columns, sigma)[:, None, :]
    wide = np.full(1, _HAZE_SIGMA)
    haze = _gaussian(rows, wide)[:, :, None] * _gaussian(columns, wide)[:, None, :]
    moved = _phase(rows, optics.shift[:, 0])[:, :, None] * _phase(columns, optics.shift[:, 1])[:, None, :]
    transfer = sharp * (1.0 - _HAZE_SHARE + _HAZE_SHARE * haze) * moved
    return np.asarray(fft.irfft2(fft.rfft2(light) * transfer, s=(side, side)), dtype=np.float32)


def _gaussian(frequencies: NDArray[np.float64], sigma: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the transfer function of a Gaussian, one row a sigma."""
    return np.exp(-2.0 * (np.pi * sigma[:, None] * frequencies[None, :]) ** 2).astype(np.float32)


def _phase(frequencies: NDArray[np.float64], shift: NDArray[np.float64]) -> NDArray[np.complex64]:
    phase: NDArray[np.complex64] = np.exp(-2j * np.pi * shift[:, None] * frequencies[None, :]).astype(np.complex64)
    return phase


def flat_field(optics: Optics, *, site_px: int) -> Light:
    """Return the illumination, (5, site_px, site_px): 1 where it is brightest, darker towards the corners."""
    axis = np.linspace(-1.0, 1.0, site_px, dtype=np.float32)
    a, b, y, x = optics.vignetting.T.astype(np.float32)[:, :, None, None]
    r2 = 0.5 * (axis[None, :, None] - y) ** 2 + 0.5 * (axis[None, None, :] - x) ** 2
    return np.asarray(1 - r2 * (a + b * r2), dtype=np.float32)
