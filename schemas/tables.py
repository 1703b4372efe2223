"""Contracts of the tables that cross a stop of the walk."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from schemas.screen import WELL_PATTERN

CONTROL_TYPES = ("treatment", "negcon", "poscon", "empty")


class SiteImages(dy.Schema):
    """Stop 1: one row per image plane of one delivered plate."""

    plate = dy.String(primary_key=True)
    well = dy.String(primary_key=True, regex=WELL_PATTERN)
    site = dy.Int32(primary_key=True, min=1)
    channel = dy.String(primary_key=True, min_length=1)
    z = dy.Int32(primary_key=True, min=1)
    timepoint = dy.Int32(primary_key=True, min=1)
    relative_path = dy.String(description="Under the delivery's root, with forward slashes.")
    size_bytes = dy.Int64(nullable=True, min=0, description="As stored; null where the file is missing.")
    witness = dy.String(nullable=True, description="ETag or modification time: recorded, not part of any key.")


class PlateWells(dy.Schema):
    """Stop 1: what was done to every well that a platemap describes."""

    plate = dy.String(primary_key=True)
    well = dy.String(primary_key=True, regex=WELL_PATTERN)
    perturbation = dy.String(nullable=True, description="Null in an empty well.")
    concentration_micromolar = dy.Float64(nullable=True, min=0)
    dose_step = dy.Float64(nullable=True, description="A unitless dose; never micromolar.")
    control_type = dy.Enum(CONTROL_TYPES)
    name = dy.String(nullable=True, description="What people call the perturbation.")
    smiles = dy.String(nullable=True)
    inchikey = dy.String(nullable=True)
    mechanism = dy.String(nullable=True, description="Annotated; several are joined by |.")
    metadata = dy.String(description="A JSON object of every other platemap column, keys sorted.")

    @dy.rule()
    def a_well_that_is_not_empty_has_a_perturbation(cls) -> pl.Expr:
        return (pl.col("control_type") == "empty") | pl.col("perturbation").is_not_null()


class SiteResults(dy.Schema):
    """Stop 3: one row per site, also for a site that could not be read."""

    plate = dy.String(primary_key=True)
    well = dy.String(primary_key=True, regex=WELL_PATTERN)
    site = dy.Int32(primary_key=True, min=1)
    status = dy.Enum(["ok", "failed"])
    reason = dy.String(nullable=True, description="Why the site failed.")
    cell_count = dy.Int32(nullable=True, min=0, description="Nuclei counted; null without a nuclear channel.")
    n_tiles = dy.Int32(min=0)
    height = dy.Int32(nullable=True, min=1, description="Pixels.")
    width = dy.Int32(nullable=True, min=1, description="Pixels.")

    @dy.rule()
    def a_failed_site_says_why(cls) -> pl.Expr:
        return (pl.col("status") == "ok") | pl.col("reason").is_not_null()


class ChannelQuality(dy.Schema):
    """Stop 3: one row per channel of a site that could be read."""

    plate = dy.String(primary_key=True)
    well = dy.String(primary_key=True, regex=WELL_PATTERN)
    site = dy.Int32(primary_key=True, min=1)
    channel = dy.String(primary_key=True)
    power_loglog_slope = dy.Float64(nullable=True, description="Focus: more negative is blurrier; null if constant.")
    saturation_fraction = dy.Float64(min=0, max=1, description="Share of pixels at the top of the file's range.")
    mean = dy.Float64(description="Of the pixels as delivered.")
    sd = dy.Float64(min=0)
    percentile_1 = dy.Float64()
    percentile_99 = dy.Float64()


class ImageWitnesses(dy.Schema):
    """Stop 2: one row per file that was read, with the hash taken in the same read."""

    plate = dy.String(primary_key=True)
    relative_path = dy.String(primary_key=True)
    well = dy.String(regex=WELL_PATTERN)
    site = dy.Int32(min=1)
    channel = dy.String()
    size_bytes = dy.Int64(min=0)
    witness = dy.String(nullable=True, description="ETag or modification time when the delivery was listed.")
    sha256 = dy.String(regex=r"^[0-9a-f]{64}$")


class EmbeddingPart(dy.Schema):
    """Stop 4: one row per site and encoder. Beside it stands `embedding`, FixedSizeList(float32, C x D)."""

    plate = dy.String(primary_key=True)
    well = dy.String(primary_key=True, regex=WELL_PATTERN)
    site = dy.Int32(primary_key=True, min=1)
    encoder = dy.String()
    weights_sha256 = dy.String(regex=r"^[0-9a-f]{64}$")
    n_tiles = dy.Int32(min=1)


POSITION_VERDICTS = ("corrected", "not_shared", "not_testable")
COUNT_VERDICTS = ("explained", "not_explained", "cannot_tell")
CHANNEL_VERDICTS = ("one_channel", "several_channels", "cannot_tell")
BATCH_VERDICTS = ("every_batch", "some_batches", "no_batch", "one_batch", "cannot_tell")
QUALITY_VERDICTS = ("flagged_more", "as_controls", "cannot_tell")


class TreatmentCalls(dy.Schema):
    """Stop 6: one row per treatment: a perturbation at one concentration or dose step."""

    perturbation = dy.String()
    concentration_micromolar = dy.Float64(nullable=True)
    dose_step = dy.Float64(nullable=True)
    control_type = dy.Enum(["treatment", "poscon"])
    profile = dy.String(description="Which profile the call was made on, by default combined.")
    n_replicates = dy.Int32(min=0)
    n_plates = dy.Int32(min=0)
    n_batches = dy.Int32(min=0)
    n_controls = dy.Int32(min=0, description="Negative control wells on the plates of the replicates.")
    mean_average_precision = dy.Float64(nullable=True, min=0, max=1, description="Plain, not re-centred.")
    p_value = dy.Float64(nullable=True, min_exclusive=0, max=1)
    smallest_possible_p = dy.Float64(nullable=True, min_exclusive=0, max=1)
    p_position = dy.Float64(
        nullable=True, min_exclusive=0, max=1, description="p_value without what the places of wells give for nothing."
    )
    smallest_possible_p_position = dy.Float64(nullable=True, min_exclusive=0, max=1)
    position_verdict = dy.Enum(POSITION_VERDICTS, nullable=True)
    q_value = dy.Float64(nullable=True, min_exclusive=0, max=1, description="Of p_position.")
    is_hit = dy.Bool()
    call = dy.Enum(["active", "inactive", "underpowered", "not_callable"])
    reason = dy.String(nullable=True, description="Why it is not callable, what was left out, or that it has one well.")
    effect = dy.Float64(
        nullable=True, min=0, description="Length of the mean profile, in lengths of such a control mean."
    )
    cell_count_ratio = dy.Float64(
        nullable=True, min=0, description="Median cell count over the plates' negative controls'."
    )
    explained_by_count = dy.Enum(COUNT_VERDICTS, nullable=True, description="This and what follows: of hits.")
    n_other_positions = dy.Int32(nullable=True, min=0, description="Replicates with another one in another position.")
    other_positions_precision = dy.Float64(
        nullable=True, min=0, max=1, description="Mean average precision over pairs in different positions."
    )
    channel_verdict = dy.Enum(CHANNEL_VERDICTS, nullable=True)
    channel = dy.String(nullable=True, description="The channel that shows the most of it.")
    batch_verdict = dy.Enum(BATCH_VERDICTS, nullable=True)
    n_batches_testable = dy.Int32(nullable=True, min=0, description="Batches whose wells can reach p <= .05.")
    n_batches_holding = dy.Int32(nullable=True, min=0, description="Batches with p <= .05 by themselves.")
    quality_verdict = dy.Enum(QUALITY_VERDICTS, nullable=True)
    n_judged = dy.Int32(nullable=True, min=0, description="Wells whose images were judged beside controls' that were.")
    n_flagged = dy.Int32(nullable=True, min=0, description="Of these, wells with a flag.")
    flagged_share_of_controls = dy.Float64(nullable=True, min=0, max=1)
