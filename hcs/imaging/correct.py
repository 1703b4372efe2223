"""Corrects and scales one site by its plate's survey."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs.errors import ChannelMismatchError, PixelsError
from hcs.imaging.survey import PlateSurvey


def correct_site(pixels: NDArray[Any], survey: PlateSurvey) -> NDArray[np.float32]:
    """Return the site as it would look evenly lit.

    Args:
        pixels: (C, Y, X), any real dtype, channels in the order of `survey.channels`.
        survey: Of the site's plate.

    Returns:
        (C, Y, X), float32, in the file's intensity units, those of the field's darkest corner.

    Raises:
        ChannelMismatchError: If the site does not have the survey's channels.
        PixelsError: If its shape or pixel type is not the one that was surveyed, or values are not finite. An
            illumination function is not stretched to another shape: another binning or objective has another one. Nor
            are 8 bits stretched to 16: on the plate's scale such a site would be black, and look like a phenotype.
    """
    _require_fit(pixels, survey)
    # Any real dtype to float32 in the same pass that divides; 64-bit values lose digits that no camera has.
    corrected: NDArray[np.float32] = np.divide(pixels, survey.illumination, dtype=np.float32, casting="same_kind")
    if pixels.dtype.kind == "f" and not np.isfinite(corrected).all():
        raise PixelsError(
            "pixels of a site were expected to be finite numbers, but some are NaN or infinite; export the images as "
            "integers, or leave the site out"
        )
    return corrected


def scale_site(corrected: NDArray[np.float32], survey: PlateSurvey) -> NDArray[np.float32]:
    """Return grey values: 0 at the plate's 0.1 percentile of each channel, 1 at its 99.9 percentile, clipped.

    Args:
        corrected: (C, Y, X), float32, from `correct_site`.
        survey: The one that it was corrected with.

    Returns:
        (C, Y, X), float32, in [0, 1].
    """
    scale = np.float32(1) / (survey.high - survey.low)
    scaled = np.empty(corrected.shape, dtype=np.float32)
    for channel in range(corrected.shape[0]):
        # Channel by channel: a plane stays in the processor's cache between the three passes.
        np.subtract(corrected[channel], survey.low[channel], out=scaled[channel])
        scaled[channel] *= scale[channel]
        np.clip(scaled[channel], 0, 1, out=scaled[channel])
    return scaled


def _require_fit(pixels: NDArray[Any], survey: PlateSurvey) -> None:
    if pixels.ndim != 3 or pixels.shape[0] != len(survey.channels):
        raise ChannelMismatchError(
            f"a site was expected with the surveyed channels {', '.join(survey.channels)} as channel x row x column, "
            f"but shape {pixels.shape} came; read the same channels of every site of a plate"
        )
    if survey.pixel_type is not None and pixels.dtype.newbyteorder("=") != survey.pixel_type:
        raise PixelsError(
            f"a site was expected with {survey.pixel_type} pixels like most of its plate, but {pixels.dtype} came; "
            "export the whole plate with one pixel type"
        )
    expected = survey.illumination.shape[1:]
    if pixels.shape[1:] != expected:
        raise PixelsError(
            f"a site was expected with {expected[0]} x {expected[1]} pixels like most of its plate, but "
            f"{pixels.shape[1]} x {pixels.shape[2]} came; deliver sites of another size as a plate of their own"
        )
