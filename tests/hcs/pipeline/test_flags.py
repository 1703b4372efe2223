from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

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


@settings(deadline=None)
@given(seed=st.integers(0, 1_000), n_wells=st.integers(1, 12), rounding=st.sampled_from([0, 1, 9]))
def test_flags_are_those_of_a_loop_over_channels_and_sites(seed: int, n_wells: int, rounding: int) -> None:
    rng = np.random.default_rng(seed)
    frame = pl.concat([quality(n_wells, channel=channel) for channel in ("DNA", "AGP")]).with_columns(
        power_loglog_slope=pl.Series(np.round(rng.standard_cauchy(2 * n_wells), rounding)),
        saturation_fraction=pl.Series(rng.choice([0.0, 0.009, 0.02, 0.5], 2 * n_wells, p=[0.7, 0.1, 0.1, 0.1])),
    )

    assert flags_of(frame) == {well: "|".join(naive_flags(frame, well)) for well in frame["well"]}


def naive_flags(frame: pl.DataFrame, well: str) -> list[str]:
    found = []
    for channel in ("AGP", "DNA"):
        own = frame.filter(channel=channel)
        slope, saturation = (own.filter(well=well)[name][0] for name in ("power_loglog_slope", "saturation_fraction"))
        if naive_z(own["power_loglog_slope"], slope) < -5:
            found.append(f"blurred:{channel}")
        if naive_z(own["saturation_fraction"], saturation) > 5 and saturation >= 0.01:
            found.append(f"saturated:{channel}")
    return found


def naive_z(values: pl.Series, value: float) -> float:
    centre = float(np.median(values.to_numpy()))
    spread = 1.4826022185056018 * float(np.median(np.abs(values.to_numpy() - centre)))
    if spread == 0:
        return float("nan") if value == centre else float("inf") * (value - centre)
    return (value - centre) / spread
