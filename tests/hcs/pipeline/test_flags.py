from __future__ import annotations

import numpy as np
import polars as pl

from hcs.pipeline.flags import flag_sites

ROWS = "ABCDEFGH"


def quality(n_wells: int = 40, *, plate: str = "P", channel: str = "DNA") -> pl.DataFrame:
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "plate": [plate] * n_wells,
            "well": [f"{ROWS[i // 12]}{i % 12 + 1:02d}" for i in range(n_wells)],
            "site": pl.Series([1] * n_wells, dtype=pl.Int32),
            "channel": [channel] * n_wells,
            "power_loglog_slope": rng.normal(-2.0, 0.05, n_wells),
            "saturation_fraction": rng.uniform(0, 1e-4, n_wells),
        }
    )


def with_value(frame: pl.DataFrame, well: str, **values: float | None) -> pl.DataFrame:
    return frame.with_columns(
        pl.when(pl.col("well") == well).then(pl.lit(value)).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )


def flags_of(frame: pl.DataFrame) -> dict[str, str]:
    flagged = flag_sites(frame)
    return dict(zip(flagged["well"], flagged["flags"], strict=True))


def test_ordinary_sites_are_not_flagged() -> None:
    assert set(flags_of(quality()).values()) == {""}


def test_a_blurred_and_a_saturated_site_are_flagged_with_their_channel() -> None:
    frame = with_value(with_value(quality(), "A05", power_loglog_slope=-3.5), "B02", saturation_fraction=0.2)

    flags = flags_of(frame)

    assert flags.pop("A05") == "blurred:DNA"
    assert flags.pop("B02") == "saturated:DNA"
    assert set(flags.values()) == {""}


def test_a_sharper_site_and_a_few_saturated_pixels_are_not_flagged() -> None:
    frame = with_value(with_value(quality(), "A05", power_loglog_slope=-0.5), "B02", saturation_fraction=0.005)

    assert set(flags_of(frame).values()) == {""}


def test_a_plate_that_is_blurred_as_a_whole_is_judged_by_itself() -> None:
    blurred = quality(plate="Q").with_columns(pl.col("power_loglog_slope") - 2)

    assert set(flag_sites(pl.concat([quality(), blurred]))["flags"]) == {""}


def test_a_constant_image_has_no_slope_and_no_flag() -> None:
    assert flags_of(with_value(quality(), "A05", power_loglog_slope=None))["A05"] == ""


def test_flags_of_several_channels_stand_side_by_side_and_the_order_of_rows_changes_nothing() -> None:
    frame = pl.concat(
        [
            with_value(quality(channel="DNA"), "A05", power_loglog_slope=-4.0),
            with_value(quality(channel="AGP"), "A05", saturation_fraction=0.3),
        ]
    )

    flagged = flag_sites(frame)

    assert flagged.filter(pl.col("well") == "A05")["flags"].to_list() == ["saturated:AGP|blurred:DNA"]
    assert flag_sites(frame.sample(fraction=1, shuffle=True, seed=1)).equals(flagged)


def test_no_site_gives_no_row() -> None:
    assert flag_sites(quality().clear()).is_empty()
