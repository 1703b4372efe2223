"""Stop 1 of a run: looks at every delivered plate of a screen and says what the run will be, before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from hcs.embedding.engine import pin_for
from hcs.errors import ChannelMismatchError, DeliveryError, InputRejectedError, UsageError
from hcs.imaging.tiles import tile_origins
from hcs.pipeline.examination import ExaminedPlate, examine_screen
from hcs.pipeline.plan import PlannedPlate, is_brightfield, missing_channels, planes_of, survey_order
from hcs.pipeline.weights import describe_encoders
from hcs.settings import Settings
from schemas.encoders import EncoderInfo
from schemas.screen import ScreenConfig
from schemas.work import RunPin


@dataclass(frozen=True)
class PreparedRun:
    """Everything that a run needs to know before its first unit."""

    config: ScreenConfig
    examined: tuple[ExaminedPlate, ...]
    plates: tuple[PlannedPlate, ...]
    wells: pl.DataFrame
    channels: tuple[str, ...]
    encoders: tuple[EncoderInfo, ...]
    pin: RunPin

    @property
    def rejected(self) -> tuple[ExaminedPlate, ...]:
        """The plates that do not take part, each with its reason."""
        return tuple(plate for plate in self.examined if not plate.is_accepted)


def prepare_run(config: ScreenConfig, *, settings: Settings, pin: Callable[[int], RunPin] = pin_for) -> PreparedRun:
    """Return what a run of this screen will be.

    Args:
        config: The screen.
        settings: Where weights are looked for.
        pin: Gives the pin of those who perform the units, from the planes of a site.

    Raises:
        InputRejectedError: If no plate can take part.
        UnknownEncoderError: If an encoder is not known.
        WeightsError: If an encoder's weights are missing or do not fit.
    """
    encoders = describe_encoders(config.encoders, settings=settings, is_tried=True)
    examined, wells = examine_screen(config)
    accepted = [plate for plate in examined if plate.is_accepted]
    if not accepted:
        raise InputRejectedError(_all_rejected(config, examined))
    _refuse_mixed_biology(config)
    channels = channels_of(accepted, config)
    examined = tuple(_without_incomplete(config, plate, channels) for plate in examined)
    plates = tuple(_planned(config, plate, channels) for plate in examined if plate.is_accepted)
    if not plates:
        raise InputRejectedError(_all_rejected(config, examined))
    sizes = {plate.plate: plate.sizes for plate in examined}
    own_pin = pin(_planes_a_site(plates, sizes, config=config))
    own = wells.filter(pl.col("plate").is_in([plate.plate for plate in plates])).sort("plate", "well")
    return PreparedRun(
        config=config,
        examined=examined,
        plates=plates,
        wells=own,
        channels=channels,
        encoders=encoders,
        pin=own_pin,
    )


def channels_of(examined: Sequence[ExaminedPlate], config: ScreenConfig) -> tuple[str, ...]:
    """Return the names of the channels that the run embeds, sorted: those of all its plates.

    Raises:
        ChannelMismatchError: If no channel is left to embed.
    """
    found: set[str] = set()
    for plate in examined:
        if plate.delivery is not None:
            found |= set(plate.delivery.images["channel"].unique())
    kept = sorted(name for name in found if config.pixels.brightfield or not is_brightfield(name))
    if not kept:
        raise ChannelMismatchError(
            f"screen {config.screen}: expected at least one fluorescence channel, got {sorted(found) or 'none'}; "
            "set `pixels: {brightfield: true}` to embed brightfield"
        )
    return tuple(kept)


def _without_incomplete(config: ScreenConfig, plate: ExaminedPlate, channels: Sequence[str]) -> ExaminedPlate:
    """Return the plate, with a reason to reject it if no site has all channels: not one could be embedded."""
    if not plate.is_accepted or survey_order(planned := _planned(config, plate, channels)):
        return plate
    missing = missing_channels(planned.planes, channels)
    reason = (
        f"no site has all of the screen's channels {', '.join(channels)}; on the whole plate there is no file of "
        f"{', '.join(missing) or 'at least one of them at every site'}. Leave the channel out with `channels`, or have "
        "it delivered"
    )
    return replace(plate, reason=reason)


def _planned(config: ScreenConfig, plate: ExaminedPlate, channels: Sequence[str]) -> PlannedPlate:
    if plate.delivery is None:
        raise DeliveryError(f"plate {plate.plate} was not listed: {plate.reason}")
    return PlannedPlate(
        screen=config.screen,
        plate=plate.plate,
        root=plate.delivery.uri,
        planes=planes_of(plate.delivery.images, channels=channels),
        channels=tuple(channels),
    )


def _planes_a_site(
    plates: Sequence[PlannedPlate], sizes: Mapping[str, Mapping[str, tuple[int, int]]], *, config: ScreenConfig
) -> int:
    """Return how many grey images a site gives an encoder: channels times tiles of the first that can be read."""
    for plate in plates:
        for plane in plate.planes:
            if plane.relative_path in sizes[plate.plate]:
                height, width = sizes[plate.plate][plane.relative_path]
                return len(plate.channels) * len(tile_origins(height, width, config.pixels.tile))
    return len(plates[0].channels)


def _refuse_mixed_biology(config: ScreenConfig) -> None:
    """Replicates and negatives are never pooled across cell lines or time points: one run holds one of each."""
    for name in ("cell_line", "timepoint"):
        values = sorted({getattr(entry, name) or "unknown" for entry in config.plates})
        if len(values) > 1:
            raise UsageError(
                f"screen {config.screen}: expected plates of one {name} in a run, got {', '.join(values)}; "
                f"make one SCREEN.yaml for each {name}, since their wells are not replicates of one another"
            )


def _all_rejected(config: ScreenConfig, examined: Sequence[ExaminedPlate]) -> str:
    reasons = []
    for plate in examined:
        fatal = [item for item in plate.report.findings if item.severity == "fatal"] if plate.report else []
        said = plate.reason or "; ".join(f"{item.kind} at {item.place}: {item.consequence}" for item in fatal)
        reasons.append(f"{plate.plate}: {said}")
    return f"screen {config.screen}: no plate can be worked with; `hcs check` tells more. {' | '.join(reasons)}"
