from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import median_abs_deviation

from hcs.errors import InputRejectedError
from hcs.profiling.normalize import LARGEST_Z, robust_z


def normalized(screen, **options):
    return robust_z(screen.embedding, plates=screen.plates, is_negcon=screen.kind("negcon"), **options)


def test_sixteen_controls_give_z_by_their_median_and_mad(screens):
    screen = screens(0, n_controls=20)

    z = normalized(screen)

    for plate in np.unique(screen.plates):
        rows = screen.plates == plate
        controls = screen.embedding[rows & screen.kind("negcon")]
        scale = median_abs_deviation(controls, axis=0) * 1.4826
        expected = (screen.embedding[rows] - np.median(controls, axis=0)) / scale
        np.testing.assert_allclose(z.values[rows], np.clip(expected, -LARGEST_Z, LARGEST_Z), rtol=1e-10, atol=1e-12)
    assert z.kept.all()
    assert z.notes == ()
    assert not z.has_few_controls


def test_fewer_controls_have_their_scale_shrunk(screens):
    screen = screens(0, n_controls=15)

    z = normalized(screen)

    controls = screen.embedding[(screen.plates == "plate0") & screen.kind("negcon")]
    own = median_abs_deviation(controls, axis=0) * 1.4826
    assert z.has_few_controls
    assert (np.abs(np.log(z.scale["plate0"] / own)) > 1e-3).any()


def test_values_far_out_are_clipped(screens):
    screen = screens(0)
    far = screen.embedding.copy()
    far[20] = 1e6

    z = normalized(screen.with_embedding(far))

    np.testing.assert_array_equal(z.values[20], LARGEST_Z)


@pytest.mark.parametrize("n_controls", [4, 16])
@pytest.mark.parametrize("value", [0.0, 0.1, -3e8])
def test_a_constant_feature_is_left_out_and_said(screens, n_controls, value):
    screen = screens(0, n_controls=n_controls)
    constant = screen.embedding.copy()
    constant[:, 5] = value

    z = normalized(screen.with_embedding(constant), encoder="swin")

    assert list(np.flatnonzero(~z.kept)) == [5]
    assert z.values.shape[1] == 11
    assert z.notes == (
        "swin: 1 of 12 features were left out, since they hardly vary among the negative controls of a plate",
    )


def test_a_feature_that_is_constant_but_for_rounding_is_left_out(screens):
    screen = screens(0, n_controls=4)
    almost = screen.embedding.copy()
    almost[:, 5] = 0.1
    almost[::3, 5] = np.nextafter(0.1, 1)

    assert not normalized(screen.with_embedding(almost)).kept[5]


def test_a_feature_whose_controls_agree_on_one_plate_is_left_out_on_all(screens):
    screen = screens(0)
    silent = screen.embedding.copy()
    silent[(screen.plates == "plate1") & screen.kind("negcon"), 5] = 1.0

    assert list(np.flatnonzero(~normalized(screen.with_embedding(silent)).kept)) == [5]


def test_a_feature_whose_controls_vary_a_thousandth_of_all_wells_is_left_out(screens):
    screen = screens(0)
    narrow = screen.embedding.copy()
    narrow[screen.kind("negcon"), 5] *= 1e-5

    assert not normalized(screen.with_embedding(narrow)).kept[5]


def test_a_plate_without_controls_is_normalized_to_all_its_wells(screens):
    screen = screens(0)
    has_none = screen.plates == "plate2"
    is_negcon = screen.kind("negcon") & ~has_none

    z = robust_z(screen.embedding, plates=screen.plates, is_negcon=is_negcon)

    wells = screen.embedding[has_none]
    expected = (wells - np.median(wells, axis=0)) / (median_abs_deviation(wells, axis=0) * 1.4826)
    np.testing.assert_allclose(z.values[has_none], np.clip(expected, -LARGEST_Z, LARGEST_Z), rtol=1e-10, atol=1e-12)
    assert z.n_controls == {"plate0": 16, "plate1": 16, "plate2": 0}


def test_a_plate_without_controls_changes_nothing_elsewhere(screens):
    screen = screens(0, n_controls=8)
    has_none = screen.plates == "plate2"
    odd = screen.embedding.copy()
    odd[has_none] *= 100
    odd[has_none, 3] = 7.0
    is_negcon = screen.kind("negcon") & ~has_none
    others = screen.rows(np.flatnonzero(~has_none))

    z = robust_z(odd, plates=screen.plates, is_negcon=is_negcon)
    alone = robust_z(others.embedding, plates=others.plates, is_negcon=others.kind("negcon"))

    assert z.values[~has_none].tobytes() == alone.values.tobytes()
    np.testing.assert_array_equal(z.values[has_none, 3], 0)


def test_wells_outside_the_fit_change_nothing_elsewhere(screens):
    screen = screens(0, n_controls=8)
    is_fitted = np.arange(len(screen.embedding)) % 32 != 31
    odd = screen.embedding.copy()
    odd[~is_fitted] = 1e9

    z, other = normalized(screen, is_fitted=is_fitted), normalized(screen.with_embedding(odd), is_fitted=is_fitted)

    assert z.values[is_fitted].tobytes() == other.values[is_fitted].tobytes()


def test_a_plate_of_one_control_borrows_the_scale_of_the_others(screens):
    screen = screens(0)
    is_lonely = np.flatnonzero((screen.plates != "plate2") | (np.arange(len(screen.plates)) == 80))
    lonely = screen.rows(is_lonely)

    z = normalized(lonely)

    assert z.kept.all()
    assert z.n_controls["plate2"] == 1
    assert np.isfinite(z.values).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_is_refused_with_its_place(screens, value):
    screen = screens(0)
    broken = screen.embedding.copy()
    broken[45, 7] = value

    with pytest.raises(InputRejectedError, match=r"swin: .* feature 7 of a well on plate plate1"):
        normalized(screen.with_embedding(broken), encoder="swin")


@pytest.mark.parametrize("n_plates", [0, 2])
def test_profiles_that_do_not_fit_the_plates_are_refused(n_plates):
    with pytest.raises(InputRejectedError, match="one vector a well"):
        robust_z(np.zeros((n_plates // 2, 3)), plates=["p"] * n_plates, is_negcon=np.zeros(n_plates, dtype=bool))
