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
from hcs.cli.score.within import WithinOption, in_front, strata_of

COLUMNS = ("distance", "p_value", "smallest_possible_p", "q_value", "is_hit", "call", "reason", "n_controls")


def singlicates(
    source: In,
    perturbation: PerturbationOption,
    controls: ControlsOption,
    plate: PlateOption = "Metadata_Plate",
    well: WellOption = "Metadata_Well",
    within: WithinOption = None,
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
    names = pl.DataFrame({"perturbation": column_of(profiles, perturbation), **places})
    strata = strata_of(profiles, within, taken=(*names.columns, *COLUMNS))
    found = []
    for stratum in strata:
        stratum.say()
        own = names.filter(stratum.rows)
        calls = call_singlicates(
            profiles.values[stratum.rows],
            plates=own["plate"].to_list(),
            wells=own["well"].to_list(),
            is_control=is_control[stratum.rows],
            q_max=q_max,
        )
        _say_what_is_attainable(calls, q_max=q_max)
        named = pl.concat([own[calls["row"].to_numpy()], calls.drop("row")], how="horizontal")
        found.append(in_front(stratum, named))
    print_table(pl.concat(found), form=form, output=output)


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
