"""Findings of claims: numbers against ranges, their intervals, and the draws that they need."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from harness import Condition, Finding, Judgement, NotEnoughError
from harness.claims import (
    TOLERANCE,
    averaged,
    curve_distances,
    gains_by,
    paired,
    ratio_of_means,
)
from harness.claims.judgement import combined, jointly
from harness.scoring import statistics


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(1.0, "reproduced"), (0.1, "undecided"), (-0.1, "undecided"), (-1.0, "not reproduced")],
)
def test_a_finding_is_decided_by_its_whole_interval(value: float, verdict: str) -> None:
    assert Finding(what="gain", value=value, stderr=0.1, at_least=0.0).verdict() == verdict


def test_a_range_may_have_two_ends() -> None:
    inside = Finding(what="share", value=0.0, stderr=0.01, at_least=-0.05, at_most=0.05)
    assert inside.interval() == pytest.approx((-0.0196, 0.0196), abs=1e-4)
    assert inside.verdict() == "reproduced"
    above = Finding(what="share", value=0.1, stderr=0.01, at_least=-0.05, at_most=0.05)
    assert above.verdict() == "not reproduced"


def test_the_same_means_in_claims_what_it_means_in_leaderboards() -> None:
    assert TOLERANCE == statistics.TOLERANCE


def test_few_draws_widen_the_interval() -> None:
    found = Finding.mean("gain", [1.0, 2.0, 3.0])
    # standard deviation 1 over sqrt(3) draws, and 4.303, Student's quantile of two degrees
    assert (found.value, found.freedom) == (2.0, 2)
    assert found.stderr == pytest.approx(3**-0.5)
    assert found.interval()[1] == pytest.approx(2 + 4.303 / math.sqrt(3), abs=1e-3)


def test_one_draw_has_no_error() -> None:
    with pytest.raises(NotEnoughError, match="gain: 1 draws, and at least 2 are needed"):
        Finding.mean("gain", [1.0])


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no measured number"):
        Finding(what="gain", value=math.nan)


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (0.05, "reproduced"),  # above the bound, and beyond the smallest effect
        (0.015, "undecided"),  # 0 and effects that count are both possible
        (-0.005, "not reproduced"),  # a true 0, and the interval ends below the smallest effect
        (-0.05, "not reproduced"),
    ],
)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_effect_below_the_smallest_that_counts_is_not_there(
    value: float, verdict: str, sign: float
) -> None:
    """Intervals reach 0.0196 to either side; mirrored, a claim that something falls."""
    least, most = (0.0, math.inf) if sign > 0 else (-math.inf, 0.0)
    found = Finding(
        what="gain",
        value=sign * value,
        stderr=0.01,
        smallest=0.02,
        at_least=least,
        at_most=most,
    )
    assert found.verdict() == verdict


def test_a_known_effect_that_is_too_small_does_not_count() -> None:
    sure = Finding(what="gain", value=0.005, stderr=1e-4, at_least=0.0)
    assert sure.verdict() == "reproduced"
    small = Finding(what="gain", value=0.005, stderr=1e-4, at_least=0.0, smallest=0.01)
    assert small.verdict() == "not reproduced"


@pytest.mark.parametrize("truth", [-0.01, 0.0, 0.004, 0.02])
def test_planned_draws_decide_whatever_the_truth_is(truth: float) -> None:
    """The number comes from a pilot's spread; at twice that many nearly every run is decided."""
    rng = np.random.default_rng(0)
    pilot = Finding.mean("gain", rng.normal(0.0, 0.03, 200), at_least=0.0, smallest=0.01)
    planned = pilot.draws_to_plan()
    # half an interval of 1.98 * 0.03 / sqrt(n) is half of the smallest effect
    assert planned == pytest.approx((1.98 * 0.03 / 0.005) ** 2, rel=0.15)
    assert planned is not None
    verdicts = [
        Finding.mean("gain", rng.normal(truth, 0.03, 2 * planned), 0.0, smallest=0.01).verdict()
        for _ in range(50)
    ]
    assert verdicts.count("undecided") <= 2
    if truth >= 0.01:
        assert verdicts.count("reproduced") >= 47
    if truth <= 0:
        assert "reproduced" not in verdicts


def test_an_open_mean_says_how_many_draws_decide_it() -> None:
    rng = np.random.default_rng(1)
    drawn = rng.normal(0.0, 1.0, 10)
    values = 0.6 + (drawn - drawn.mean()) / drawn.std(ddof=1)  # mean 0.6, deviation 1
    found = Finding.mean("gain", values, at_least=0.0)
    assert found.verdict() == "undecided"
    needed = found.draws_to_decide()
    assert needed is not None and 10 < needed < 20
    again = Finding(what="gain", value=0.6, stderr=needed**-0.5, freedom=needed - 1, at_least=0.0)
    assert again.verdict() == "reproduced"
    fewer = Finding(
        what="gain", value=0.6, stderr=(needed - 1) ** -0.5, freedom=needed - 2, at_least=0.0
    )
    assert fewer.verdict() == "undecided"
    row = jointly([found])[0].as_row()
    assert (row["draws"], row["draws_to_decide"], row["smallest"]) == (10, needed, 0.0)


def test_the_jackknife_of_a_mean_is_the_mean_with_its_error() -> None:
    values = np.random.default_rng(2).normal(size=7)
    left_out = [np.delete(values, at).mean() for at in range(7)]
    found = Finding.jackknife("gain", float(values.mean()), left_out, at_least=0.0)
    plain = Finding.mean("gain", values, at_least=0.0)
    assert found.interval() == pytest.approx(plain.interval())
    assert (found.draws, found.at_least) == (7, 0.0)


def test_curves_are_compared_over_all_steps_of_a_draw() -> None:
    index = pd.MultiIndex.from_product([[0, 1], [0, 5]], names=["data_seed", "step"])
    curve, other = (pd.Series(v, index) for v in ([3.0, 8.0, 1.0, 1.0], [3.0, 4.0, 1.0, 1.0]))
    assert curve_distances(curve, other).tolist() == [4 / 5, 0.0]


def test_numbers_without_draws_need_no_more_of_them() -> None:
    found = Finding(what="gap", value=0.04, known=(0.0, 0.06), at_most=0.05)
    assert (found.draws, found.draws_to_decide(), found.draws_to_plan()) == (None, None, None)


def test_known_intervals_are_widened_as_others_are() -> None:
    """Of ten findings each misses with a chance of 0.5 %: 2.81 instead of 1.96 deviations."""
    found = Finding(what="gap", value=0.02, known=(0.01, 0.04), lowest=0.0, at_most=0.05)
    assert found.interval() == pytest.approx((0.01, 0.04))
    low, high = found.interval(0.05 / 10)
    assert (low, high) == pytest.approx((0.02 - 0.01 * 1.432, 0.02 + 0.02 * 1.432), abs=1e-4)
    assert found.interval(1e-6)[0] == 0.0, "a distance is not negative"


def test_a_smallest_effect_is_a_size() -> None:
    with pytest.raises(ValueError, match=r"gain: smallest effect -1\.0 is no size"):
        Finding(what="gain", value=0.0, smallest=-1.0)


def test_a_claim_needs_all_of_its_findings() -> None:
    good = Finding(what="a", value=1.0, stderr=0.1, at_least=0.0)
    open_ = Finding(what="b", value=0.0, stderr=0.1, at_least=0.0)
    bad = Finding(what="c", value=-1.0, stderr=0.1, at_least=0.0)
    assert combined([good, good]) == "reproduced"
    assert combined([good, open_]) == "undecided"
    assert combined([good, open_, bad]) == "not reproduced"
    assert combined([]) == "undecided"


def test_many_findings_widen_their_intervals() -> None:
    """At 2.1 standard errors one finding refutes; of twenty, one so far off is expected."""
    off = Finding(what="a", value=-0.21, stderr=0.1, at_least=0.0)
    fine = Finding(what="b", value=1.0, stderr=0.1, at_least=0.0)
    assert combined([off]) == "not reproduced"
    assert combined([off, *[fine] * 19]) == "undecided"


def test_true_claims_are_rarely_refuted() -> None:
    """Five true findings on their very edge: refuted together in at most 5 % of cases."""
    rng, runs = np.random.default_rng(0), 2000
    refuted = sum(
        combined([Finding.mean("x", rng.standard_normal(6), at_least=0.0) for _ in range(5)])
        == "not reproduced"
        for _ in range(runs)
    )
    assert refuted / runs < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_other_conditions_do_not_decide() -> None:
    good = Finding(what="a", value=1.0, at_least=0.0)
    bad = Finding(what="b", value=-1.0, at_least=0.0)
    found = Judgement([good], "fine", [Condition("other", [bad])])
    assert (found.verdict, found.conditions[0].verdict) == ("reproduced", "not reproduced")


def test_a_ratio_of_means_has_the_error_of_its_draws() -> None:
    value, other = np.array([1.0, 2.0, 6.0]), np.array([2.0, 4.0, 6.0])
    found = ratio_of_means(value, other)
    assert found.mean() == pytest.approx(9 / 12)
    assert ratio_of_means(other, other).tolist() == [1.0, 1.0, 1.0]


def test_gains_at_the_points_of_a_sweep_keep_their_rows() -> None:
    joined = pd.DataFrame(
        {"gamma": [2, 1, 2, 1], "value": [1.0, 3.0, 2.0, 5.0], "other": [4.0, 4.0, 2.0, 4.0]}
    )
    found = joined.assign(gain=gains_by(joined, ["gamma"]))
    assert found[found["gamma"] == 1]["gain"].mean() == pytest.approx(1 - 4 / 4)
    assert found[found["gamma"] == 2]["gain"].mean() == pytest.approx(1 - 1.5 / 3)
    expected = 1 - ratio_of_means([1.0, 2.0], [4.0, 2.0])
    np.testing.assert_allclose(found.loc[[0, 2], "gain"], expected)


def test_pairs_share_the_draw() -> None:
    frame = pd.DataFrame({"data_seed": [0, 0, 1, 2], "value": [1.0, 3.0, 5.0, 7.0]})
    other = pd.DataFrame({"data_seed": [0, 1], "value": [10.0, 20.0]})
    found = paired(frame, other, ["data_seed"])
    assert found[["value", "other"]].values.tolist() == [[2.0, 10.0], [5.0, 20.0]]
    assert averaged(frame, "data_seed")["value"].tolist() == [2.0, 5.0, 7.0]
    with pytest.raises(NotEnoughError, match="no draw of the data in common"):
        paired(frame, other.assign(data_seed=[8, 9]), ["data_seed"])
