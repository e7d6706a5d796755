"""Observables by their definitions, the same for units and for kernels."""

from __future__ import annotations

import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from problems import gaussian_data, three_tasks

from harness import Protocol, Stage, observables


def stage(data: str = "target") -> Stage:
    return Stage(data=data, richness=1.0, steps=1, dt=0.1)


def test_points_of_a_target_stage_are_its_sets_then_the_source() -> None:
    data = gaussian_data()
    x, y, sets = observables.stage_points(data, stage())
    assert data.source is not None and data.source_test is not None
    assert np.array_equal(x[slice(*sets.train)], data.target.x)
    ((name, known, held_out),) = sets.probes
    assert name == "source"
    assert np.array_equal(x[slice(*known)], data.source.x)
    assert np.array_equal(x[slice(*held_out)], data.source_test.x)
    labels = (y.train, y.test, *y.probes[0])
    for found, own in zip(
        labels, (data.target, data.target_test, data.source, data.source_test), strict=True
    ):
        assert np.array_equal(found, own.y)


def test_points_of_a_source_stage_are_its_own_probe() -> None:
    data = gaussian_data()
    x, _, sets = observables.stage_points(data, stage("source"))
    assert len(x) == len(data.source or []) + len(data.source_test or [])
    assert sets.probes == (("source", sets.train, sets.test),)


def test_a_stage_probes_the_tasks_of_all_earlier_stages_and_the_source() -> None:
    data = three_tasks()
    order = ("third", "target", "third")
    protocol = Protocol(tuple(stage(name) for name in order))
    probed = [("source",), ("source", "third"), ("source", "third", "target")]
    for each, names in zip(protocol.stages, probed, strict=True):
        x, y, sets = observables.stage_points(data, each)
        assert tuple(name for name, *_ in sets.probes) == names
        for (name, known, held_out), labels in zip(sets.probes, y.probes, strict=True):
            assert np.array_equal(x[slice(*known)], data.train(name).x)
            assert np.array_equal(x[slice(*held_out)], data.test(name).x)
            assert np.array_equal(labels[0], data.train(name).y)
            assert np.array_equal(labels[1], data.test(name).y)
        kernel = jnp.eye(len(x))
        found = observables.curves(sets, y, jnp.zeros(len(x)), lambda a, b: kernel[a, b])  # noqa: B023
        assert {f"probe/{name}-loss" for name in names} == {n for n in found if "probe" in n}


def test_a_single_task_has_no_probe() -> None:
    from harness import TransferData

    full = gaussian_data()
    data = TransferData(target=full.target, target_test=full.target_test)
    x, y, sets = observables.stage_points(data, stage())
    values = observables.curves(sets, y, jnp.zeros(len(x)), lambda a, b: jnp.eye(len(x))[a, b])
    assert set(values) == {"loss/train", "loss/test", "kernel/alignment"}


def test_alignment_is_a_cosine() -> None:
    y = jnp.array([1.0, -1.0, 2.0])
    assert observables.kernel_alignment(jnp.outer(y, y), y) == pytest.approx(1.0)
    assert observables.kernel_alignment(jnp.eye(3), y) == pytest.approx(1 / np.sqrt(3))


def test_probe_is_ridge_regression_on_the_features() -> None:
    rng = np.random.default_rng(0)
    phi, held_out = rng.standard_normal((6, 20)), rng.standard_normal((4, 20))
    y, y_test = rng.standard_normal(6), rng.standard_normal(4)
    train, cross = phi @ phi.T / 20, held_out @ phi.T / 20
    ridge = observables.PROBE_RIDGE * np.trace(train) / 6
    # the same in feature space: w = (phi^T phi / 20 + ridge)^-1 phi^T y / sqrt(20)
    weights = np.linalg.solve(phi.T @ phi / 20 + ridge * np.eye(20), phi.T @ y / np.sqrt(20))
    expected = np.mean((y_test - held_out @ weights / np.sqrt(20)) ** 2)
    found = observables.probe_loss(*map(jnp.asarray, (train, cross, y, y_test)))
    assert float(found) == pytest.approx(expected)


def test_a_probe_of_dead_features_predicts_zero() -> None:
    dead, y = np.zeros((6, 6)), np.arange(1.0, 7.0)
    assert observables.probe_loss(dead, dead[:4], y, y[:4]) == pytest.approx(np.mean(y[:4] ** 2))


def test_several_steps_are_observed_as_each_of_them() -> None:
    x, y, sets = observables.stage_points(gaussian_data(), stage())
    rng = np.random.default_rng(2)
    features, outputs = rng.standard_normal((3, len(x), 20)), rng.standard_normal((3, len(x)))
    together = observables.unit_curves(sets, y, outputs, features)
    kernels = features @ features.swapaxes(1, 2) / 20
    from_kernels = observables.recorded_curves(sets, y, outputs, kernels)
    for step in range(3):
        kernel = jnp.asarray(kernels[step])
        alone = observables.curves(
            sets,
            y,
            jnp.asarray(outputs[step]),
            lambda a, b: kernel[a, b],  # noqa: B023
        )
        for name, value in alone.items():
            assert together[name][step] == pytest.approx(float(value)), name
            assert from_kernels[name][step] == pytest.approx(float(value)), name


def test_replicates_are_observed_together_from_the_blocks_of_each() -> None:
    x, y, sets = observables.stage_points(gaussian_data(), stage())
    rng = np.random.default_rng(3)
    features, outputs = rng.standard_normal((3, len(x), 20)), rng.standard_normal((3, len(x)))
    blocks = observables.stacked([observables.feature_blocks(sets, phi) for phi in features])
    found = observables.block_curves(sets, y, outputs, blocks)
    for replicate in range(3):
        alone = observables.unit_curves(sets, y, outputs[replicate], features[replicate])
        for name, value in alone.items():
            assert found[name][replicate] == pytest.approx(float(value)), name


def test_steps_may_share_one_kernel() -> None:
    x, y, sets = observables.stage_points(gaussian_data(), stage())
    outputs = np.random.default_rng(3).standard_normal((4, len(x)))
    found = observables.recorded_curves(sets, y, outputs, x @ x.T)
    assert {name: value.shape for name, value in found.items()} == dict.fromkeys(found, (4,))
    assert np.ptp(found["kernel/alignment"]) == 0


def test_units_and_gaussians_of_the_same_law_have_the_same_snapshot() -> None:
    data = gaussian_data(points=5)
    x, y, sets = observables.stage_points(data, stage())
    kernel = x @ x.T / x.shape[1]
    units = 100_000
    h = (np.random.default_rng(0).standard_normal((units, x.shape[1])) @ x.T).T
    h = jnp.asarray(h / np.sqrt(x.shape[1]))
    output = jnp.zeros(len(x))
    sampled = observables.unit_snapshot(sets, y, output, [h], [h])
    exact = observables.gaussian_snapshot(
        sets, np.zeros(len(x)), np.diag(kernel)[None], kernel[None]
    )
    assert set(sampled) == set(exact)
    # a sampled density in a bin of width 0.1 has a standard error of sqrt(p / (0.1 n))
    density = exact["preactivation/density"]
    allowed = 5 * np.sqrt((density + 1e-3) / (0.1 * units))
    assert np.all(np.abs(sampled["preactivation/density"] - density) < allowed)
    scale = np.abs(exact["kernel/feature"]).max()
    assert np.abs(sampled["kernel/feature"] - exact["kernel/feature"]).max() < 5 * scale * np.sqrt(
        2 / units
    )


def test_a_gaussian_projection_is_told_from_one_that_is_not() -> None:
    rng, units = np.random.default_rng(1), 40_000
    mixing = rng.standard_normal((6, 6))
    y = rng.standard_normal(6)
    gaussian = mixing @ rng.standard_normal((6, units))
    # of a sign flipped for all points of a unit at once, the projection becomes bimodal
    signs = rng.choice([-1.0, 1.0], units)
    spiked = gaussian + 3 * np.linalg.norm(y @ mixing) * np.outer(y, signs) / (y @ y)
    found = observables.preactivation_laws([jnp.asarray(gaussian), jnp.asarray(spiked)], y)
    kurtosis, distance = (
        np.asarray(found[f"preactivation/{name}"]) for name in ("excess-kurtosis", "wasserstein")
    )
    assert abs(kurtosis[0]) < 5 * np.sqrt(24 / units)
    assert distance[0] < 5 / np.sqrt(units)
    # s = (e + 3 sign) / sqrt(10): E s^4 = (3 + 6 * 9 + 81) / 100
    assert kurtosis[1] == pytest.approx(138 / 100 - 3, abs=5 * np.sqrt(24 / units))
    assert distance[1] > 0.2


def test_equal_projections_are_no_departure_from_a_gaussian() -> None:
    found = observables.preactivation_laws([jnp.ones((3, 50))], np.ones(3))
    assert found["preactivation/wasserstein"] == pytest.approx(0.0, abs=0.02)


def test_densities_count_what_lies_outside_in_the_outermost_bins() -> None:
    data = gaussian_data(points=3)
    x, y, sets = observables.stage_points(data, stage())
    far = jnp.full((len(x), 10), 100.0)
    density = observables.unit_snapshot(sets, y, jnp.zeros(len(x)), [far], [far])[
        "preactivation/density"
    ]
    width = np.diff(observables.DENSITY_EDGES)[0]
    assert density[0, -1] * width == pytest.approx(1.0)


def test_replicates_give_mean_and_standard_error() -> None:
    curves = {"loss/train": np.array([[1.0, 2.0], [3.0, 4.0]])}
    final = {"output/test": np.array([[1.0, 1.0, 1.0], [2.0, 3.0, 4.0]])}
    found = observables.stage_observables(np.array([0, 7]), curves, final, replicated=True)
    assert found["loss/train"].values.tolist() == [2.0, 3.0]
    # standard deviation sqrt(2) over sqrt(2) replicates
    assert found["loss/train"].stderr == pytest.approx([1.0, 1.0])
    assert found["output/test"].steps.tolist() == [7]
    assert found["output/test"].values.shape == (1, 3)


def test_kernels_are_kept_on_a_bounded_number_of_points() -> None:
    sets = observables.Sets((0, 500), (500, 900))
    assert len(sets.kept) == 2 * observables.KERNEL_POINTS
    assert sets.kept[observables.KERNEL_POINTS] == 500


def test_the_density_of_a_point_without_variance_lies_around_zero() -> None:
    sets = observables.Sets((0, 2), (0, 2))
    kernel = np.zeros((2, 2))
    found = observables.gaussian_snapshot(sets, np.zeros(2), np.diag(kernel)[None], kernel[None])
    (density,) = found["preactivation/density"]
    occupied = np.flatnonzero(density)
    assert np.abs(observables.DENSITY_EDGES[[occupied[0], occupied[-1] + 1]]).max() < 0.11
    assert density.sum() * np.diff(observables.DENSITY_EDGES)[0] == pytest.approx(1.0)


def test_what_a_report_asks_of_observables_loads_no_jax() -> None:
    """It takes as long as drawing several figures."""
    code = "import sys; from harness.observables import DENSITY_EDGES, KERNEL_POINTS"
    asked = f"{code}; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
