"""From the wells' mean vectors to the profiles that calls are made on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.profiling.audit.rule import BASELINE
from hcs.profiling.batches import correct_batches, leave_batches
from hcs.profiling.combine import combine_blocks
from hcs.profiling.control_scale import FEW_CONTROLS
from hcs.profiling.normalize import NormalizedProfiles, robust_z
from hcs.profiling.whiten import Whitening, whiten
from schemas.screen import ProfileConfig

COMBINED = "combined"
"""The profile made of several encoders' blocks: of all, unless `ProfileConfig.combine` names some."""


@dataclass(frozen=True)
class BlockFit:
    """What the block of one encoder was made of, and on what it was fitted."""

    encoder: str
    n_features: int
    """Of the embedding."""
    n_kept: int
    """Features that can be normalized on every plate."""
    whitening: Whitening | None
    """None where the block is the normalized features as they are."""


@dataclass(frozen=True)
class Profiles:
    """The profiles of W wells."""

    blocks: dict[str, NDArray[np.float64]]
    """Encoder -> (W, k), and `combined` -> (W, sum of k) where an encoder that it is made of has a block."""
    normalized: dict[str, NormalizedProfiles]
    """Encoder -> what its block was made of: robust z of features, each of one channel."""
    combined: tuple[str, ...]
    """The encoders whose blocks make `combined`, sorted."""
    fits: tuple[BlockFit, ...]
    """One an encoder, in the order of their names."""
    notes: tuple[str, ...]
    """What a reader of the calls must know, as sentences."""


@dataclass(frozen=True)
class _Layout:
    """What is known of each of W wells, beside its vectors."""

    plates: NDArray[np.str_]
    is_negcon: NDArray[np.bool_]
    is_measured: NDArray[np.bool_]


def build_profiles(
    wells: pl.DataFrame, embeddings: Mapping[str, NDArray[np.floating]], *, config: ProfileConfig
) -> Profiles:
    """Return the profile of every well by every encoder, and the `combined` one.

    Each embedding is turned into robust z on the negative controls of its plate (`hcs.profiling.normalize`), then
    reduced and whitened with a fit on the wells of all plates, whatever they hold (`hcs.profiling.whiten`). If any
    plate has negative controls but fewer than 16, nothing is whitened: such a plate's scale is uncertain, and whitening
    would enlarge that. Where there are several batches, each whitened block is corrected for them if an audit of that
    block finds that this helps (`hcs.profiling.batches`). In `combined`, blocks are divided by their root mean square
    length over the wells of the fit where they are whitened, over the negative controls where they are not.

    A plate without negative controls gets profiles but takes no part in any fit: it changes nothing on other plates.
    An encoder that is not combined is a baseline: it changes no bit of `combined`, nor of another encoder's block.

    Args:
        wells: `plate, well, control_type` and, where batches shall be corrected, `batch, perturbation`; one row a well.
            A null or `empty` control type stays out of fits.
        embeddings: Encoder -> (W, D), finite, rows in the order of `wells`.
        config: `correct: none` turns whitening off, `whiten` does nothing else, `auto` lets an audit choose a
            correction for batches for each encoder, others name it; `combine` names the encoders of `combined`.

    Returns:
        Profiles with rows in the order of `wells`: the same bits for any order of them and any names of the plates. An
        encoder without a feature that can be normalized has no block, and a note. If that leaves `combined` without a
        block, there is no such profile, and a note.

    Raises:
        InputRejectedError: If a matrix does not fit the wells or is not finite, a well comes twice, no encoder has a
            feature that can be normalized, or one that shall be combined is missing.
    """
    _check(wells, embeddings, config)
    layout = _layout(wells)
    normalized = {name: _normalize(embeddings[name], layout, encoder=name) for name in sorted(embeddings)}
    usable = {name: z for name, z in normalized.items() if z.kept.any()}
    if not usable:
        raise InputRejectedError(
            f"no feature of {', '.join(normalized)} varies among the negative controls of every plate: images may be "
            "blank, or the wells of a plate copies of one another"
        )
    first = usable[min(usable)]
    is_fitted = layout.is_measured & _is_on_a_plate_with_controls(layout, first)
    is_whitened = config.correct != "none" and not first.has_few_controls and bool(layout.is_negcon.any())
    whitened = {name: whiten(z.values, is_fitted=is_fitted) for name, z in usable.items()} if is_whitened else {}
    blocks = {name: whitened[name][0] if name in whitened else z.values for name, z in usable.items()}
    chosen = tuple(name for name in blocks if config.combine is None or name in config.combine)
    correct = correct_batches if is_whitened else leave_batches
    corrected = correct(blocks, wells, is_fitted=is_fitted, method=config.correct)
    blocks = corrected.blocks
    is_reference = layout.is_negcon if layout.is_negcon.any() and not is_whitened else is_fitted
    fits = tuple(
        BlockFit(name, len(z.kept), int(z.kept.sum()), whitened[name][1] if name in whitened else None)
        for name, z in normalized.items()
    )
    parts = {name: blocks[name] for name in chosen}
    combined = {COMBINED: combine_blocks(parts, is_reference=is_reference)} if parts else {}
    told = _notes_on_combined({name: corrected.methods[name] for name in chosen})
    notes = (*_notes(normalized, fits), *corrected.notes, *told, *_notes_without_combined(config, blocks))
    return Profiles(blocks=blocks | combined, normalized=usable, combined=tuple(sorted(chosen)), fits=fits, notes=notes)


def _layout(wells: pl.DataFrame) -> _Layout:
    kind = wells["control_type"].cast(pl.String).fill_null("empty")
    return _Layout(
        plates=wells["plate"].to_numpy().astype(np.str_),
        is_negcon=(kind == "negcon").to_numpy(),
        is_measured=(kind != "empty").to_numpy(),
    )


def _normalize(embedding: NDArray[np.floating], layout: _Layout, *, encoder: str) -> NormalizedProfiles:
    return robust_z(
        embedding,
        plates=layout.plates,
        is_negcon=layout.is_negcon,
        is_fitted=layout.is_measured,
        encoder=encoder,
    )


def _is_on_a_plate_with_controls(layout: _Layout, z: NormalizedProfiles) -> NDArray[np.bool_]:
    """Return the wells of plates with controls, or of all plates if none has any."""
    with_controls = [name for name, n in z.n_controls.items() if n]
    return np.isin(layout.plates, with_controls or list(z.n_controls))


def _notes(normalized: Mapping[str, NormalizedProfiles], fits: tuple[BlockFit, ...]) -> Iterator[str]:
    first = next(iter(normalized.values()))
    few = [f"{name} ({n})" for name, n in first.n_controls.items() if 0 < n < FEW_CONTROLS]
    if few:
        yield (
            f"fewer than {FEW_CONTROLS} negative controls on {_listed(few)}: their scales are shrunk, nothing is "
            f"whitened, and blocks of `{COMBINED}` are divided by their root mean square over the negative controls"
        )
    without = [name for name, n in first.n_controls.items() if not n]
    if without:
        yield (
            f"no negative control on {_listed(without)}: profiles there are normalized to the whole plate, kept out of "
            "every fit, and not called"
        )
    for fit in fits:
        yield from normalized[fit.encoder].notes
        if not fit.n_kept:
            yield f"{fit.encoder}: no feature is left, it has no profile and no part in `{COMBINED}`"
        if fit.whitening:
            yield (
                f"{fit.encoder}: {fit.n_kept} features were reduced to {len(fit.whitening.variances)} whitened "
                f"components, fitted on {fit.whitening.n_wells} wells without their labels"
            )


def _notes_on_combined(methods: Mapping[str, str]) -> Iterator[str]:
    if set(methods.values()) - {BASELINE}:
        parts = [f"{name} ({'as it is' if how == BASELINE else how})" for name, how in methods.items()]
        yield f"`{COMBINED}` is made of blocks that are corrected for batches each by itself: {', '.join(parts)}"


def _notes_without_combined(config: ProfileConfig, blocks: Mapping[str, NDArray[np.float64]]) -> Iterator[str]:
    if config.combine and blocks.keys().isdisjoint(config.combine):
        yield (
            f"there is no profile `{COMBINED}`: {', '.join(config.combine)} should make it and have no feature left; "
            f"ask for {' or '.join(blocks)} instead"
        )


def _listed(plates: list[str]) -> str:
    shown = ", ".join(plates[:5])
    return f"plate {shown}" + (f" and {len(plates) - 5} more" if len(plates) > 5 else "")


def _check(wells: pl.DataFrame, embeddings: Mapping[str, NDArray[np.floating]], config: ProfileConfig) -> None:
    if not embeddings or wells.is_empty():
        raise InputRejectedError(
            f"profiles need wells and an encoder's vectors, but {wells.height} wells and {len(embeddings)} encoders "
            "came"
        )
    missing = sorted(set(config.combine or ()) - embeddings.keys())
    if missing:
        raise InputRejectedError(
            f"`{COMBINED}` shall be made of {', '.join(config.combine or ())}, but vectors came of "
            f"{', '.join(sorted(embeddings))} alone; leave {', '.join(missing)} out of `combine`"
        )
    repeated = wells.filter(pl.struct("plate", "well").is_duplicated())
    if repeated.height:
        plate, well = repeated.select("plate", "well").row(0)
        raise InputRejectedError(f"well {well} of plate {plate} comes more than once ({repeated.height} rows like it)")
