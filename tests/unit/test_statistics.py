"""Scores of hand-made ensembles whose limit, noise and bias are known."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scoring import score
from harness.scoring.advice import OpenVerdict, what_would_decide
from harness.scoring.calibration import calibration
from harness.scoring.gap import Noise, gap_interval
from harness.scoring.limit import extrapolate
from harness.scoring.statistics import TOLERANCE
from harness.scoring.trend import Fit, fit, width_at

WIDTHS = (64, 128, 256, 512, 1024)


def ensembles(
    rng: np.random.Generator,
    gap: float,
    noise: float = 2.0,
    bias: float = 2.0,
    seeds: int = 8,
    components: int = 40,
    theory_error: float = 0.0,
) -> tuple[dict[int, np.ndarray], np.ndarray, np.ndarray]:
    """Return networks whose limit is `gap` away from a theory of unit norm."""

    def direction() -> np.ndarray:
        v = rng.standard_normal(components)
        return v / np.linalg.norm(v)

    truth = direction()
    limit, drift = truth + gap * direction(), bias * direction()
    unit = 1 / np.sqrt(components)
    networks = {
        n: limit + drift / n + noise / np.sqrt(n) * unit * rng.standard_normal((seeds, components))
        for n in WIDTHS
    }
    errors = np.full(components, theory_error * unit)
    return networks, truth + errors * rng.standard_normal(components), errors


def test_discrepancy_is_the_root_mean_square_distance() -> None:
    networks = {4: np.array([[1.0, 3.0], [1.0, 1.0]]), 16: np.array([[1.0, 2.0], [1.0, 0.0]])}
    found = score(networks, np.array([1.0, 1.0]))
    # squared distances 4 and 0, then 1 and 1, over |theory|^2 = 2
    assert found.discrepancy == pytest.approx({4: 1.0, 16: np.sqrt(0.5)})
    # log(1 / sqrt(1/2)) / log(16 / 4)
    assert found.exponent == pytest.approx(0.25)


def test_theory_error_is_taken_off_the_discrepancy() -> None:
    networks = {4: np.array([[2.0], [2.0]])}
    found = score(networks, np.array([1.0]), np.array([0.6]))
    assert found.discrepancy[4] == pytest.approx(np.sqrt(1 - 0.36))
    assert found.theory_stderr == pytest.approx(0.6)


def test_limit_gap_is_the_intercept_of_a_regression_on_one_over_width() -> None:
    """Without noise a bias b / N is extrapolated away."""
    theory = np.array([2.0, 0.0])
    networks = {n: np.tile([2.0 + 5.0 / n, 0.3], (3, 1)) for n in (10, 20, 40)}
    assert score(networks, theory).limit_gap == pytest.approx(0.3 / 2.0)


def test_exponent_is_one_half_for_pure_noise() -> None:
    exponents = []
    for seed in range(20):
        networks, theory, _ = ensembles(np.random.default_rng(seed), gap=0.0, bias=0.0)
        exponents.append(score(networks, theory).exponent)
    assert np.mean(np.array(exponents, dtype=float)) == pytest.approx(0.5, abs=0.02)


def test_width_at_five_percent_is_where_noise_falls_below_it() -> None:
    networks, theory, _ = ensembles(np.random.default_rng(0), gap=0.0, bias=0.0, seeds=400)
    # 2 / sqrt(N) = 0.05 at N = 1600
    assert score(networks, theory).width_at_5_percent == pytest.approx(1600, rel=0.05)


def test_width_at_five_percent_is_none_above_a_gap() -> None:
    networks, theory, _ = ensembles(np.random.default_rng(0), gap=0.2)
    assert score(networks, theory).width_at_5_percent is None


def test_ensemble_discrepancy_is_the_distance_of_the_mean_less_its_noise() -> None:
    networks = {4: np.array([[4.0], [2.0]]), 16: np.array([[3.0]])}
    found = score(networks, np.array([1.0]), np.array([0.5]))
    # mean 3, variance of the mean (1 + 1) / 1 / 2 = 1
    assert found.ensemble_discrepancy[4] == pytest.approx(np.sqrt(4 - 1 - 0.25))
    assert found.ensemble_discrepancy[16] is None, "one network does not show its spread"
    assert found.ensemble_discrepancy_ci[16] is None


def test_gap_is_corrected_for_the_noise_of_both_sides() -> None:
    networks = {4: np.array([[2.0, 5.0], [4.0, 5.0]]), 16: np.array([[3.0, 6.0], [3.0, 4.0]])}
    replicates = np.array([[0.0, 2.0], [2.0, 2.0]])
    found = score(networks, np.array([1.0, 2.0]), replicates=replicates)
    # the intercept weighs widths 4 and 16 by -1/3 and 4/3: every mean is (3, 5), so (2, 3) off
    # N times the variance, pooled: (4 * 2 + 16 * 2) / 2 = 20
    networks_variance = 20 * (1 / 9 / 4 / 2 + 16 / 9 / 16 / 2)
    theory_variance = 2 / 2
    assert found.limit_stderr == pytest.approx(np.sqrt(networks_variance / 5))
    assert found.theory_stderr == pytest.approx(np.sqrt(theory_variance / 5))
    assert found.limit_gap == pytest.approx(
        np.sqrt((4 + 9 - networks_variance - theory_variance) / 5)
    )


def test_widths_for_which_the_expansion_fails_are_dropped() -> None:
    rng = np.random.default_rng(3)
    networks, theory, errors = ensembles(rng, gap=0.0, noise=0.3, bias=1.0)
    assert score(networks, theory, errors).dropped_widths == []
    networks[64] = networks[64] + 0.2 * rng.standard_normal(40) / np.sqrt(40)
    found = score(networks, theory, errors)
    assert found.dropped_widths == [64]
    assert found.limit_gap_ci is not None and found.limit_gap_ci[0] == 0
    assert set(found.discrepancy) == set(WIDTHS), "their distances are still given"


def test_three_widths_are_never_dropped() -> None:
    networks = {n: np.array([[1 + 9 / n**2], [1 + 9.01 / n**2]]) for n in (2, 4, 8, 16)}
    found = score(networks, np.array([1.0]))
    assert found.dropped_widths == [2]
    assert score({n: networks[n] for n in (2, 4, 8)}, np.array([1.0])).dropped_widths == []


def test_widths_are_dropped_by_chance_once_in_a_hundred() -> None:
    runs = 500
    dropped = sum(
        bool(extrapolate(ensembles(np.random.default_rng(1000 + s), 0.05)[0]).dropped)
        for s in range(runs)
    )
    assert dropped / runs < 0.01 + 3 * np.sqrt(0.01 / runs)


@pytest.mark.parametrize("gap", [0.0, 0.02, 0.05, 0.1, 0.2])
def test_intervals_cover_a_planted_gap_and_verdicts_follow(gap: float) -> None:
    """A small part of the table in docs/scoring.md, which `make calibration` makes."""
    found = calibration(gap, leaderboards=150, seed=5)
    # three binomial standard errors
    assert abs(found.covered - 0.955) < 3 * np.sqrt(0.05 * 0.95 / 150)
    if gap <= 0.05:
        assert found.disagrees < 0.025 + 3 * np.sqrt(0.025 / 150)
    if gap == 0:
        assert found.agrees > 0.9
    if gap == 0.2:
        assert found.disagrees > 0.95


@pytest.mark.parametrize("gap", [0.0, 0.1])
@pytest.mark.parametrize("directions", [1, 3, 30])
def test_noise_beyond_the_tolerance_lets_nothing_agree(gap: float, directions: int) -> None:
    """An estimate may lie below its noise by chance; that shows nothing of small gaps."""
    rng, components, rows, size = np.random.default_rng(directions), 30, 8, 0.3
    for _ in range(300):
        mixed = rng.standard_normal((directions, components)) / np.sqrt(directions)
        drawn = rng.standard_normal((rows, directions)) @ mixed * size * np.sqrt(rows / components)
        estimate = drawn.mean(axis=0)
        estimate[0] += gap
        residuals = drawn - drawn.mean(axis=0)
        _, high = gap_interval(estimate, [Noise(residuals, rows - 1, 1 / rows)], TOLERANCE)
        assert high > TOLERANCE


def test_replicates_tell_how_the_errors_of_a_theory_are_correlated() -> None:
    """An error along one direction may pass for a gap far more easily than a spread-out one."""
    rng = np.random.default_rng(0)
    networks, theory, _ = ensembles(rng, gap=0.03, noise=0.2)
    along = networks[1024].mean(axis=0) - theory
    along /= np.linalg.norm(along)
    draws = rng.standard_normal(8)
    draws = 0.03 * (draws - draws.mean()) / draws.std(ddof=1) * np.sqrt(8)
    one = score(networks, theory, replicates=theory + draws[:, None] * along)
    spread = rng.standard_normal((8, 40))
    spread = (spread - spread.mean(axis=0)) / np.sqrt(40)
    many = score(networks, theory, replicates=theory + 0.03 * np.sqrt(8) * spread)
    assert one.limit_gap_ci is not None and many.limit_gap_ci is not None
    assert one.theory_stderr == pytest.approx(many.theory_stderr, rel=0.2)
    assert one.limit_gap_ci[1] - one.limit_gap_ci[0] > many.limit_gap_ci[1] - many.limit_gap_ci[0]


def test_fit_finds_the_terms_that_made_the_distances() -> None:
    found = fit([10, 20, 40, 80], [0.04 + 3 / n + 7 / n**2 for n in (10, 20, 40, 80)])
    assert (found.floor, found.noise, found.bias) == pytest.approx((0.04, 3, 7))
    assert fit([10, 20, 40], [-0.001, 0.2, 0.1]).floor >= 0, "no term is negative"
    assert fit([10, 20], [0.0, 0.0]) == Fit(0.0, 0.0, 0.0), "networks that are the theory"
    only = fit([50], [0.1])
    assert (only.floor, only.noise, only.bias) == pytest.approx((0, 5, 0))


def test_width_at_a_level_solves_the_fit_and_says_whether_it_was_covered() -> None:
    found = Fit(floor=0.0009, noise=0.5, bias=20.0)
    n, kind = width_at(0.05, found, [64, 1024]) or (0.0, "")
    assert 0.0009 + 0.5 / n + 20 / n**2 == pytest.approx(0.05**2)
    assert kind == "interpolated"
    assert (width_at(0.05, found, [64, 128]) or (0, ""))[1] == "extrapolated"
    assert width_at(0.03, found, [64, 1024]) is None, "the floor is 3 %"


def test_an_open_verdict_says_what_would_decide_it() -> None:
    """Doing what was advised does decide most of them."""
    decided = asked = 0
    for seed in range(30):
        few = ensembles(np.random.default_rng(seed), gap=0.02, noise=3.0, seeds=3, components=3)
        found = score(*few)
        if found.verdict != "undecided":
            assert found.advice is None
            continue
        assert found.advice is not None
        more = re.search(r"about (\d+) more seeds", found.advice)
        if more is None or int(more[1]) > 200:
            continue
        asked += 1
        rng = np.random.default_rng(seed)
        many = ensembles(rng, gap=0.02, noise=3.0, seeds=3 + int(more[1]), components=3)
        decided += score(*many).verdict != "undecided"
    assert asked > 10
    assert decided / asked > 0.5


def test_advice_names_the_side_whose_error_is_in_the_way() -> None:
    def advice(limit: float, theory: float, gap: float = 0.02) -> str:
        return what_would_decide(OpenVerdict(gap, (0.0, 0.08), 0.05, limit, theory, 8, 1024))

    # the interval reaches 6 % beyond the gap and must reach 3 %: a quarter of the variance
    assert "24 more seeds of every width (or all widths 4.0 times" in advice(1e-4, 0.0)
    assert "samples" not in advice(1e-4, 0.0)
    assert advice(0.0, 1e-4).startswith("would be decided by about 4.0 times as many samples")
    assert "seeds" in advice(1e-4, 1e-4) and "samples" in advice(1e-4, 1e-4)
    assert "too close to the tolerance" in advice(1e-4, 0.0, gap=0.0499)


def test_one_seed_leaves_the_verdict_undecided() -> None:
    networks, theory, _ = ensembles(np.random.default_rng(0), gap=0.0, seeds=1)
    found = score(networks, theory)
    assert found.verdict == "undecided" and found.limit_gap_ci is None
    assert found.advice is not None and "run at least 4 seeds" in found.advice


def test_one_width_has_no_exponent() -> None:
    found = score({64: np.array([[1.0], [1.1]])}, np.array([1.0]))
    assert found.exponent is None and found.exponent_ci is None
    assert found.width_at_5_percent is None, "it shows no decay to go on with"
    assert found.verdict == "undecided" and found.limit_gap_ci is None, "it shows no limit"
    assert found.advice is not None and "run at least one more" in found.advice


@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_scores_do_not_depend_on_units_or_on_the_order_of_points(scale: float, seed: int) -> None:
    networks, theory, errors = ensembles(np.random.default_rng(seed), 0.05, theory_error=0.0)
    order = np.random.default_rng(seed).permutation(len(theory))
    one = score(networks, theory, errors)
    two = score(
        {n: scale * o[:, order] for n, o in networks.items()},
        scale * theory[order],
        scale * errors[order],
    )
    assert two.limit_gap == pytest.approx(one.limit_gap)
    assert two.discrepancy == pytest.approx(one.discrepancy)
    assert two.verdict == one.verdict


def test_needs_networks_and_a_prediction() -> None:
    with pytest.raises(ValueError, match="at least one width"):
        score({}, np.array([1.0]))
    with pytest.raises(ValueError, match="predicts zero"):
        score({4: np.ones((2, 1))}, np.zeros(1))
