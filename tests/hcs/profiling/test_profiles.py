from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hcs.errors import InputRejectedError
from hcs.profiling.normalize import robust_z
from hcs.profiling.profiles import build_profiles
from schemas.screen import ProfileConfig

AUTO = ProfileConfig()


def unit_rows(profiles: np.ndarray) -> np.ndarray:
    return profiles / np.linalg.norm(profiles, axis=1, keepdims=True)


def cosines(profiles: np.ndarray) -> np.ndarray:
    return unit_rows(profiles) @ unit_rows(profiles).T


def test_every_encoder_has_a_block_and_combined_stands_beside_them(screens):
    screen, other = screens(0), screens(1, n_features=200)

    made = build_profiles(screen.wells, {"swin": other.embedding, "named": screen.embedding}, config=AUTO)

    assert list(made.blocks) == ["named", "swin", "combined"]
    assert made.blocks["named"].shape == (120, 12)
    assert made.blocks["swin"].shape == (120, 30)
    lengths = (made.blocks["combined"] ** 2).sum(axis=1)
    assert lengths.mean() == pytest.approx(2)
    np.testing.assert_allclose(cosines(made.blocks["combined"][:, :12]), cosines(made.blocks["named"]), atol=1e-12)
    assert [(fit.encoder, fit.n_features, fit.n_kept, fit.whitening.n_wells) for fit in made.fits] == [
        ("named", 12, 12, 120),
        ("swin", 200, 200, 120),
    ]
    assert made.notes == (
        "named: 12 features were reduced to 12 whitened components, fitted on 120 wells without their labels",
        "swin: 200 features were reduced to 30 whitened components, fitted on 120 wells without their labels",
    )


def test_fewer_than_sixteen_controls_on_one_plate_turn_whitening_off(screens):
    screen, other = screens(0), screens(1, n_features=200)
    first_control = np.flatnonzero((screen.plates == "plate1") & screen.kind("negcon"))[0]
    rows = np.delete(np.arange(120), first_control)
    few = screen.rows(rows)

    made = build_profiles(few.wells, {"swin": other.embedding[rows], "named": few.embedding}, config=AUTO)

    z = robust_z(few.embedding, plates=few.plates, is_negcon=few.kind("negcon"))
    np.testing.assert_array_equal(made.blocks["named"], z.values)
    assert all(fit.whitening is None for fit in made.fits)
    controls = made.blocks["combined"][few.kind("negcon")] ** 2
    assert controls[:, :12].sum(axis=1).mean() == pytest.approx(1)
    assert controls[:, 12:].sum(axis=1).mean() == pytest.approx(1)
    assert made.notes == (
        "fewer than 16 negative controls on plate plate1 (15): their scales are shrunk, nothing is whitened, and "
        "blocks of `combined` are divided by their root mean square over the negative controls",
    )


def test_whitening_can_be_turned_off(screens):
    screen = screens(0)

    made = build_profiles(screen.wells, {"named": screen.embedding}, config=ProfileConfig(correct="none"))

    z = robust_z(screen.embedding, plates=screen.plates, is_negcon=screen.kind("negcon"))
    np.testing.assert_array_equal(made.blocks["named"], z.values)
    assert made.notes == ()


def test_a_plate_without_controls_has_profiles_and_changes_no_other(screens):
    screen = screens(0)
    has_none = screen.plates == "plate2"
    kinds = screen.wells["control_type"].to_numpy().copy()
    kinds[has_none] = "treatment"
    wells = screen.wells.with_columns(control_type=pl.Series(kinds))
    others = np.flatnonzero(~has_none)

    made = build_profiles(wells, {"named": screen.embedding}, config=AUTO)
    alone = build_profiles(wells[others], {"named": screen.embedding[others]}, config=AUTO)

    assert made.blocks["named"].shape == (120, 12)
    np.testing.assert_allclose(made.blocks["combined"][others], alone.blocks["combined"], atol=1e-12)
    assert "no negative control on plate plate2: profiles there are normalized to the whole plate" in made.notes[0]


def test_a_screen_without_controls_is_normalized_to_its_plates_and_not_whitened(screens):
    screen = screens(0)
    wells = screen.wells.with_columns(control_type=pl.lit("treatment"))

    made = build_profiles(wells, {"named": screen.embedding}, config=AUTO)

    assert made.fits[0].whitening is None
    assert np.isfinite(made.blocks["combined"]).all()
    assert "no negative control on plate plate0, plate1, plate2" in made.notes[0]


@pytest.mark.parametrize("kind", ["empty", None])
def test_empty_wells_stay_out_of_every_fit(screens, kind):
    screen = screens(0)
    is_empty = np.arange(120) % 40 >= 38
    kinds = pl.Series(
        [kind if empty else old for empty, old in zip(is_empty, screen.wells["control_type"], strict=True)]
    )
    wells = screen.wells.with_columns(control_type=kinds)
    odd = screen.embedding.copy()
    odd[is_empty] = 1e3

    made = build_profiles(wells, {"named": screen.embedding}, config=AUTO)
    other = build_profiles(wells, {"named": odd}, config=AUTO)

    np.testing.assert_allclose(made.blocks["combined"][~is_empty], other.blocks["combined"][~is_empty], atol=1e-12)


def test_an_encoder_of_blank_images_is_left_out_and_said(screens):
    screen = screens(0)

    made = build_profiles(screen.wells, {"named": screen.embedding, "swin": np.ones((120, 7))}, config=AUTO)

    assert list(made.blocks) == ["named", "combined"]
    assert "swin: no feature is left, it has no profile and no part in `combined`" in made.notes


def test_encoders_that_are_not_combined_are_baselines_and_change_no_bit_of_the_others(screens):
    screen, own, baseline = screens(0), screens(1, n_features=200).embedding, screens(2, n_features=5).embedding

    alone = build_profiles(screen.wells, {"b": screen.embedding, "d": own}, config=AUTO)
    # Names before, between and after those that are combined.
    beside = {"b": screen.embedding, "d": own, "a": baseline, "c": -own, "e": np.ones((120, 3))}
    made = build_profiles(screen.wells, beside, config=ProfileConfig(combine=("d", "b")))

    assert list(made.blocks) == ["a", "b", "c", "d", "combined"]
    for name, block in alone.blocks.items():
        assert made.blocks[name].tobytes() == block.tobytes(), name
    assert [note for note in made.notes if note.startswith(("b:", "d:"))] == list(alone.notes)


@pytest.mark.parametrize("n_controls", [16, 8])
def test_one_encoder_is_combined_to_its_own_block_but_for_the_scale(screens, n_controls):
    screen, other = screens(0, n_controls=n_controls), screens(1, n_controls=n_controls, n_features=200)
    embeddings = {"named": screen.embedding, "swin": other.embedding}

    made = build_profiles(screen.wells, embeddings, config=ProfileConfig(combine=("named",)))

    block, combined = made.blocks["named"], made.blocks["combined"]
    scale = np.linalg.norm(combined) / np.linalg.norm(block)
    assert scale != pytest.approx(1)
    np.testing.assert_allclose(combined, scale * block, rtol=1e-12)


def test_naming_all_encoders_is_naming_none(screens):
    screen, other = screens(0), screens(1, n_features=200)
    embeddings = {"named": screen.embedding, "swin": other.embedding}

    made = build_profiles(screen.wells, embeddings, config=ProfileConfig(combine=("swin", "named")))

    assert (
        made.blocks["combined"].tobytes()
        == build_profiles(screen.wells, embeddings, config=AUTO).blocks["combined"].tobytes()
    )


def test_of_the_combined_encoders_a_blank_one_is_left_out(screens):
    screen, other = screens(0), screens(1, n_features=200)
    embeddings = {"named": screen.embedding, "swin": np.ones((120, 7)), "baseline": other.embedding}

    made = build_profiles(screen.wells, embeddings, config=ProfileConfig(combine=("named", "swin")))

    assert list(made.blocks) == ["baseline", "named", "combined"]
    assert made.blocks["combined"].shape == made.blocks["named"].shape
    assert "swin: no feature is left, it has no profile and no part in `combined`" in made.notes


def test_where_no_combined_encoder_is_left_there_are_baselines_and_a_note(screens):
    screen = screens(0)
    embeddings = {"named": screen.embedding, "swin": np.ones((120, 7))}

    made = build_profiles(screen.wells, embeddings, config=ProfileConfig(combine=("swin",)))

    assert list(made.blocks) == ["named"]
    assert made.notes[-1] == (
        "there is no profile `combined`: swin should make it and have no feature left; ask for named instead"
    )


def test_a_combined_encoder_without_vectors_is_refused(screens):
    screen = screens(0)

    with pytest.raises(InputRejectedError, match="made of named, swin, but vectors came of named alone; leave swin"):
        build_profiles(screen.wells, {"named": screen.embedding}, config=ProfileConfig(combine=("named", "swin")))


def test_blank_images_alone_are_refused(screens):
    screen = screens(0)

    with pytest.raises(InputRejectedError, match="no feature of swin varies"):
        build_profiles(screen.wells, {"swin": np.ones((120, 7))}, config=AUTO)


def test_a_long_list_of_plates_is_cut(screens):
    screen = screens(0, n_plates=8, n_controls=4)

    made = build_profiles(screen.wells, {"named": screen.embedding}, config=AUTO)

    assert "plate4 (4) and 3 more" in made.notes[0]


def test_a_well_that_comes_twice_is_refused(screens):
    screen = screens(0)
    wells = pl.concat([screen.wells, screen.wells[:1]])

    with pytest.raises(InputRejectedError, match="well A01 of plate plate0 comes more than once"):
        build_profiles(wells, {"named": np.vstack([screen.embedding, screen.embedding[:1]])}, config=AUTO)


def test_no_encoder_and_no_well_are_refused(screens):
    wells = screens(0).wells

    with pytest.raises(InputRejectedError, match="120 wells and 0 encoders"):
        build_profiles(wells, {}, config=AUTO)
    with pytest.raises(InputRejectedError, match="0 wells and 1 encoders"):
        build_profiles(wells.clear(), {"named": np.zeros((0, 3))}, config=AUTO)


def test_a_broken_embedding_is_refused_by_its_encoder(screens):
    screen = screens(0)
    broken = screen.embedding.copy()
    broken[3, 1] = np.nan

    with pytest.raises(InputRejectedError, match="named: every value must be finite, but feature 1"):
        build_profiles(screen.wells, {"named": broken}, config=AUTO)
