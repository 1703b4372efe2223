"""`hcs score singlicates`: calls of wells that have no replicate."""

from __future__ import annotations

import polars as pl

from hcs.cli.options import FormatOption, OutputOption
from hcs.cli.output import Format, counted, print_table, say
from hcs.cli.profiles.options import FeaturesOption, In, MetadataOption
from hcs.cli.score.reading import (
    ControlsOption,
    PerturbationOption,
    PlateOption,
    QMaxOption,
    WellOption,
    column_of,
    controls_of,
    filled_column_of,
    named_wells,
    read_scored,
)


def singlicates(
    source: In,
    perturbation: PerturbationOption,
    controls: ControlsOption,
    plate: PlateOption = "Metadata_Plate",
    well: WellOption = "Metadata_Well",
    q_max: QMaxOption = 0.05,
    features: FeaturesOption = None,
    metadata: MetadataOption = None,
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """Call wells without a replicate: does a well lie further from the controls than controls do?

    Example: hcs score singlicates wells.csv --perturbation Metadata_compound --controls "Metadata_type == 'negcon'"
    """
    from hcs.hits.singlicates import call_singlicates

    profiles = read_scored(source, metadata=metadata, features=features)
    profiles, is_control = named_wells(profiles, perturbation, controls_of(profiles, controls))
    places = {
        "plate": filled_column_of(profiles, plate, option="--plate"),
        "well": filled_column_of(profiles, well, option="--well"),
    }
    calls = call_singlicates(
        profiles.values,
        plates=places["plate"],
        wells=places["well"],
        is_control=is_control,
        q_max=q_max,
    )
    rows = calls["row"].to_numpy()
    names = pl.DataFrame({"perturbation": column_of(profiles, perturbation), **places})[rows]
    _say_what_is_attainable(calls, q_max=q_max)
    print_table(pl.concat([names, calls.drop("row")], how="horizontal"), form=form, output=output)


def _say_what_is_attainable(calls: pl.DataFrame, *, q_max: float) -> None:
    tested = calls.drop_nulls("p_value")
    if tested.is_empty():
        say("no well can be called: no plate has two negative controls, one to fit on and one to compare with")
        return
    smallest = min(tested["smallest_possible_p"].to_list())
    hits = int(tested["is_hit"].sum())
    say(f"{counted(hits, 'hit')} among {counted(tested.height, 'well')}; p cannot be below {smallest:.2g}")
    if smallest > q_max / tested.height:
        say(
            f"a single well cannot be called here: it would need p <= {q_max:g} / {tested.height}; more controls, on "
            "more plates, make p smaller"
        )
