"""Scores of hand-made ensembles whose limit, noise and bias are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scoring import Score, score

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
        exponents.append(score(networks, theory, resamples=50).exponent)
    assert np.mean(np.array(exponents, dtype=float)) == pytest.approx(0.5, abs=0.02)


def test_width_at_five_percent_is_where_noise_falls_below_it() -> None:
    networks, theory, _ = ensembles(np.random.default_rng(0), gap=0.0, bias=0.0, seeds=400)
    # 2 / sqrt(N) = 0.05 at N = 1600
    assert score(networks, theory, resamples=20).width_at_5_percent == pytest.approx(1600, rel=0.05)


def test_width_at_five_percent_is_none_above_a_gap() -> None:
    networks, theory, _ = ensembles(np.random.default_rng(0), gap=0.2)
    assert score(networks, theory).width_at_5_percent is None


def planted(gap: float, runs: int, theory_error: float = 0.01) -> list[Score]:
    return [
        score(
            *ensembles(np.random.default_rng(seed), gap, theory_error=theory_error), resamples=300
        )
        for seed in range(runs)
    ]


def test_a_planted_gap_is_covered_by_its_interval() -> None:
    runs = 150
    for gap in (0.05, 0.1, 0.2):
        covered = 0
        for found in planted(gap, runs):
            assert found.limit_gap_ci is not None
            covered += found.limit_gap_ci[0] <= gap <= found.limit_gap_ci[1]
        # 95 % less three binomial standard errors, and what few seeds cost
        assert covered / runs > 0.95 - 3 * np.sqrt(0.05 * 0.95 / runs) - 0.02


def test_verdicts_on_planted_gaps() -> None:
    assert sum(s.verdict == "disagrees" for s in planted(0.0, 100)) <= 2
    assert sum(s.verdict == "agrees" for s in planted(0.0, 100)) >= 95
    assert sum(s.verdict == "disagrees" for s in planted(0.2, 100)) >= 95


def test_one_seed_leaves_the_verdict_undecided() -> None:
    networks, theory, _ = ensembles(np.random.default_rng(0), gap=0.0, seeds=1)
    found = score(networks, theory)
    assert found.verdict == "undecided" and found.limit_gap_ci is None


def test_one_width_has_no_exponent() -> None:
    found = score({64: np.array([[1.0], [1.1]])}, np.array([1.0]))
    assert found.exponent is None and found.exponent_ci is None


@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_scores_do_not_depend_on_units_or_on_the_order_of_points(scale: float, seed: int) -> None:
    networks, theory, errors = ensembles(np.random.default_rng(seed), 0.05, theory_error=0.0)
    order = np.random.default_rng(seed).permutation(len(theory))
    one = score(networks, theory, errors, resamples=50)
    two = score(
        {n: scale * o[:, order] for n, o in networks.items()},
        scale * theory[order],
        scale * errors[order],
        resamples=50,
    )
    assert two.limit_gap == pytest.approx(one.limit_gap)
    assert two.discrepancy == pytest.approx(one.discrepancy)
    assert two.verdict == one.verdict


def test_needs_networks_and_a_prediction() -> None:
    with pytest.raises(ValueError, match="at least one width"):
        score({}, np.array([1.0]))
    with pytest.raises(ValueError, match="predicts zero"):
        score({4: np.ones((2, 1))}, np.zeros(1))
