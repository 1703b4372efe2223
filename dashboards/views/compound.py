"""The page of compound: why one compound is a hit, and what else could explain it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import streamlit as st

from dashboards.components.addresses import asked_for, chosen
from dashboards.components.choices import ask_ahead, chosen_profile, chosen_run
from dashboards.connection import ask, ask_first
from dashboards.places import link
from dashboards.troubles import drawn
from dashboards.views.compound_parts import show_doses, show_neighbours, show_provenance, show_quality
from dashboards.views.compound_pictures import show_pictures
from dashboards.views.compound_words import explanations, headline, reasons
from dashboards.views.hits_words import described
from dashboards.words import counted, dose, number, plain, shortened
from hcs.client import Client
from hcs.errors import ApiNotFoundError
from schemas.api import Hit, Perturbation

OFFERED = 500  # the surest ones; any other is found by its name or key
SUGGESTED = 6
PARTS = ("Doses", "Neighbours", "Quality", "Provenance")
LONGEST_TITLE = 120
_COMPOUND = "perturbation"


def show() -> None:
    """Draw the page."""
    st.title("Compound")
    compound = asked_for(_COMPOUND)
    ask_ahead(
        "compound",
        lambda run, profile: _surest({"run": run, "profile": profile}),
        *([lambda run, _: ask(Client.perturbation, compound, run=run)] if compound else []),
    )
    first, second, third = st.columns([2, 1.5, 1])
    with second:
        run = chosen_run()
    if run is None:
        return
    with third:
        profile = chosen_profile(run)
    here = {"run": run.id, "profile": profile}
    surest = _surest(here)
    with first:
        asked = _chosen_compound(surest)
    if not asked:
        _suggest(surest, here)
        return
    try:
        whole: Perturbation = ask(Client.perturbation, asked, run=run.id)
    except ApiNotFoundError as error:
        st.warning(plain(error.detail), icon=":material/search_off:")
        _suggest(surest, here)
        return
    _show_compound(whole, here)


def _surest(here: dict[str, str]) -> list[Hit]:
    return ask_first(Client.hits, OFFERED, **here, q_max=1.0)


def _chosen_compound(surest: Sequence[Hit]) -> str | None:
    firsts = {hit.perturbation: hit for hit in reversed(surest)}
    offered = list(dict.fromkeys(hit.perturbation for hit in surest))
    return chosen(
        "Compound",
        offered,
        key=_COMPOUND,
        optional=True,
        free=True,
        format_func=lambda name: offered_as(firsts[name]) if name in firsts else shortened(name),
        placeholder="Type a name or a key, or choose; the surest hits first",
    )


def offered_as(hit: Hit) -> str:
    """Return a compound as it stands in the list."""
    key = "" if hit.name in {None, hit.perturbation} else f" ({shortened(hit.perturbation, longest=24)})"
    sure = "" if hit.q_value is None else f", q {number(hit.q_value, digits=2)}"
    return f"{shortened(hit.name or hit.perturbation, longest=40)}{key}{sure}"


def best_first(calls: Sequence[Hit]) -> list[Hit]:
    """Return the calls, the surest and then the strongest first: what stands on the page until a dose is chosen."""
    return sorted(calls, key=lambda hit: (hit.q_value if hit.q_value is not None else math.inf, -(hit.effect or 0.0)))


def _show_compound(whole: Perturbation, here: dict[str, str]) -> None:
    run, profile = here["run"], here["profile"]
    calls = [hit for hit in whole.calls if hit.profile == profile]
    st.header(plain(shortened(whole.name or whole.perturbation, longest=LONGEST_TITLE)), anchor=False)
    _show_identity(whole)
    hit = _chosen_dose(best_first(calls))
    wells = [well for well in whole.wells if hit is None or well.treatment == hit.treatment]
    own = whole.mechanism
    neighbours = []
    if hit is not None:
        own = hit.mechanism or whole.mechanism
        neighbours = [item for item in whole.neighbours if (item.profile, item.treatment) == (profile, hit.treatment)]
        names = {item.neighbour: item.name for item in whole.neighbours if item.name}
        st.markdown("\n".join([headline(hit), "", *(f"- {reason}" for reason in reasons(hit, names=names))]))
        if said := explanations(hit):
            st.markdown("\n".join(["**What else could explain it**", "", *(f"- {sentence}" for sentence in said)]))
    else:
        _say_uncalled(whole)
    pictures = st.container()
    tabs = st.tabs(PARTS, key="part", on_change="rerun", bind="query-params")
    for name, tab in zip(PARTS, tabs, strict=True):
        if not tab.open:
            continue
        with tab:
            if name == "Doses":
                by_dose = sorted(calls, key=lambda call: (call.concentration_micromolar or 0.0, call.dose_step or 0.0))
                show_doses(by_dose, file_name=f"doses-{run}.csv")
            elif name == "Neighbours":
                show_neighbours(neighbours, own=own, run=run, profile=profile)
            elif name == "Quality":
                show_quality(wells, n_wells=whole.n_wells if len(calls) < 2 else len(wells), run=run)
            else:
                show_provenance(wells, run=run)
    with pictures:
        show_pictures(wells, run=run)


def _show_identity(whole: Perturbation) -> None:
    known = {"Key": whole.perturbation, "InChIKey": whole.inchikey, "SMILES": whole.smiles}
    told = [f"{what} {plain(shortened(text, longest=80))}" for what, text in known.items() if text]
    st.caption(f"{', '.join(told)}; {counted(whole.n_wells, 'well')} in {plain(whole.run)}")


def _chosen_dose(calls: Sequence[Hit]) -> Hit | None:
    by_key = {hit.treatment: hit for hit in reversed(calls)}
    offered = list(dict.fromkeys(hit.treatment for hit in calls))
    if len(offered) < 2:
        return calls[0] if calls else None
    with st.columns([1, 2])[0]:
        name = chosen("Dose", offered, key="treatment", format_func=lambda key: _dose_told(by_key[key]))
    return by_key[name or offered[0]]


def _dose_told(hit: Hit) -> str:
    sure = "not callable" if hit.q_value is None else f"q {number(hit.q_value, digits=2)}"
    return f"{dose(hit.concentration_micromolar, hit.dose_step)} ({sure}{', a hit' if hit.is_hit else ''})"


def _say_uncalled(whole: Perturbation) -> None:
    kinds = {well.control_type for well in whole.wells}
    if kinds == {"negcon"}:
        st.markdown("**It is the negative control**: everything else is compared with it, and it is not called itself.")
    else:
        st.markdown("**No call was made on it in this profile.** Look at its quality below: were its wells read?")


def _suggest(surest: Sequence[Hit], here: dict[str, str]) -> None:
    hits = [hit for hit in surest if hit.is_hit]
    firsts = list({hit.perturbation: hit for hit in reversed(hits)}.values())[::-1][:SUGGESTED]
    if not firsts:
        st.markdown("The run has no hits on this profile. Any compound is found by its name or key.")
        return
    st.markdown("Choose a compound above, or look at one of the surest hits:")
    for hit in firsts:
        link("compound", plain(described(hit)), icon=":material/experiment:", perturbation=hit.perturbation, **here)


if __name__ == "__main__":
    drawn(show)
