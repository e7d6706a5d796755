"""Architectures by their structure: residual layers, and units at several positions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import gaussian_data, images, make, norm_error

from harness import (
    Architecture,
    Dataset,
    LimitbenchError,
    Problem,
    Protocol,
    Stage,
    Trajectory,
    TransferData,
    networks,
    numerics,
    solving,
)

STAGES = (
    Stage(data="source", richness=1.0, steps=20, dt=0.05),
    Stage(data="target", richness=0.7, steps=20, dt=0.05, readout="zero"),
)


def solved(data: TransferData, architecture: Architecture, *stages: Stage) -> Problem:
    return Problem(data, architecture, Protocol(stages or STAGES))


def outputs(found: Trajectory | LimitbenchError) -> np.ndarray:
    assert isinstance(found, Trajectory)
    return np.concatenate([found[i, "output/test"].values[0] for i in range(len(found.stages))])


def trained(task: Problem, width: int = 48, **options: Any) -> np.ndarray:
    return outputs(networks.train(task, width, [0], **options)[0])


@pytest.mark.parametrize("readout", ["flatten", "mean"])
def test_one_patch_is_a_dense_layer(readout: str) -> None:
    data = images()
    whole = solved(data, make("architecture", "conv", patch=6, readout=readout))
    dense = solved(data, make("architecture", "mlp"))
    assert np.array_equal(trained(whole), trained(dense))
    for theory in ("lazy-ntk", "linear-transfer", "dmft"):
        solver = make("theory", theory)
        assert solver.supports(whole) == solver.supports(dense)
    lazy = make("theory", "lazy-ntk")
    assert np.array_equal(outputs(lazy.predict(whole)), outputs(lazy.predict(dense)))


def test_the_mean_over_equal_patches_is_a_dense_layer_on_one_of_them() -> None:
    one = images(side=3)
    sets: Any = {n: Dataset(np.tile(d.x, (1, 2, 2, 1)), d.y) for n, d in one.sets().items()}
    tiled = solved(TransferData(**sets), make("architecture", "conv", patch=3, readout="mean"))
    dense = solved(one, make("architecture", "mlp"))
    assert trained(tiled) == pytest.approx(trained(dense), rel=1e-4, abs=1e-6)
    lazy = make("theory", "lazy-ntk")
    found, expected = (outputs(lazy.predict(task)) for task in (tiled, dense))
    assert found == pytest.approx(expected, rel=1e-9)


def test_without_branches_a_residual_network_is_its_first_layer() -> None:
    data = gaussian_data()
    short = solved(data, make("architecture", "mlp", activation="tanh"))
    deep = solved(data, make("architecture", "resmlp", depth=4, branch_scale=0))
    assert trained(deep) == pytest.approx(trained(short), rel=1e-5)
    lazy = make("theory", "lazy-ntk")
    found, expected = (outputs(lazy.predict(task)) for task in (deep, short))
    assert found == pytest.approx(expected, rel=1e-12)


def test_one_residual_layer_is_a_dense_layer() -> None:
    data = gaussian_data()
    plain, residual = (
        solved(data, make("architecture", name, depth=1, activation="relu"))
        for name in ("mlp", "resmlp")
    )
    assert np.array_equal(trained(plain), trained(residual))


@pytest.mark.parametrize("readout", ["flatten", "mean"])
def test_networks_of_patches_follow_the_equations_of_their_units(readout: str) -> None:
    """docs/theory.md, section 1: filters and readouts in plain NumPy."""
    data, width, (stage, _) = images(), 24, STAGES
    architecture = make(
        "architecture", "conv", patch=4, stride=2, activation="tanh", readout=readout
    )
    task = solved(data, architecture, stage)
    found = networks.train(task, width, [3], dtype="float64")[0]
    ensemble = networks.ensemble.Ensemble(task, width, [3], "float64")
    filters = ensemble.weights["hidden"]["MeanFieldDense_0"]["kernel"][0]
    x = {n: architecture.inputs(d.x) for n, d in data.sets().items()}
    positions, inputs = x["source"].shape[1:]
    flat = readout == "flatten"
    w = ensemble.weights["readout"][0].reshape(positions if flat else 1, width)
    scale = np.sqrt(positions) if flat else positions

    def output(x: np.ndarray) -> np.ndarray:
        features = np.tanh(x @ filters / np.sqrt(inputs))
        return np.einsum("mpi,pi->m", features, np.broadcast_to(w, (positions, width))) / (
            stage.richness * width * scale
        )

    start = {n: output(x[n]) for n in ("source", "source_test")}
    for _ in range(stage.steps):
        delta = data.sets()["source"].y - output(x["source"]) + start["source"]
        features = np.tanh(x["source"] @ filters / np.sqrt(inputs))
        pull = delta[:, None, None] * w * (1 - features**2)
        rate = stage.step_size * stage.richness / scale
        along = np.einsum("m,mpi->pi", delta, features)
        moved = np.einsum("mpi,mpd->di", pull, x["source"]) / np.sqrt(inputs)
        w = w + rate * (along if flat else along.sum(axis=0, keepdims=True))
        filters = filters + rate * moved
    expected = output(x["source_test"]) - start["source_test"]
    assert outputs(found) == pytest.approx(expected, rel=1e-9, abs=1e-12)


STRUCTURES: list[tuple[str, dict[str, Any]]] = [
    ("conv", {"patch": 3}),
    ("conv", {"patch": 4, "stride": 1, "readout": "mean", "activation": "erf"}),
    ("conv", {"patch": 3, "readout": "mean", "activation": "tanh"}),
    ("resmlp", {"depth": 5}),
    ("resmlp", {"depth": 3, "activation": "relu", "branch_scale": 2.0}),
    ("mlp", {"depth": 3, "activation": "gelu"}),
]


@pytest.mark.parametrize(("name", "parameters"), STRUCTURES)
def test_lazy_kernels_are_those_of_wide_networks(name: str, parameters: dict[str, Any]) -> None:
    architecture = make("architecture", name, **parameters)
    x = images(points=4).target.x.astype(np.float32)
    exact = solving.initial_kernels(architecture, x)
    width, seeds = 1024, 6
    module = architecture.network(width)

    def both(key: Any) -> tuple[Any, Any]:
        weights = module.init(key, x)
        features = module.apply(weights, x).features[-1]
        count = features.shape[1]
        w = jax.random.normal(jax.random.fold_in(key, 1), (count,), features.dtype)
        scale = jnp.sqrt(jnp.float32(width * count))
        jacobian = jax.jacrev(lambda v: module.apply(v, x).features[-1] @ w / scale)(weights)
        flat = [j.reshape(len(x), -1) for j in jax.tree.leaves(jacobian)]
        feature = features @ features.T / count
        return feature, feature + width * sum(j @ j.T for j in flat)

    keys = jax.random.split(jax.random.key(0), seeds)
    pairs = jax.lax.map(jax.jit(both), keys), (exact.features[-1], exact.ntk)
    for found, expected in zip(*jax.tree.map(np.asarray, pairs), strict=True):
        error = np.linalg.norm(np.std(found, axis=0, ddof=1)) / seeds**0.5
        assert np.linalg.norm(np.mean(found, axis=0) - expected) < 3 * error


@pytest.mark.parametrize(("name", "parameters"), STRUCTURES[:5:2])
def test_the_lazy_limit_is_that_of_wide_networks(name: str, parameters: dict[str, Any]) -> None:
    stages = tuple(
        Stage(data=s.data, richness=1.0, steps=20, dt=0.05, parameterization="ntk") for s in STAGES
    )
    task = solved(images(points=6), make("architecture", name, **parameters), *stages)
    assert_close(make("theory", "lazy-ntk").predict(task), task, 2048)


def assert_close(found: Trajectory, task: Problem, width: int, seeds: int = 6) -> None:
    """Assert that a theory predicts the mean of networks within three standard errors."""
    each = np.stack([outputs(t) for t in networks.train(task, width, range(seeds))])
    mean, own = each.mean(axis=0), np.linalg.norm(each.std(axis=0, ddof=1)) / seeds**0.5
    known = norm_error(found, -1) * np.linalg.norm(mean)
    bias = 5 / width * np.linalg.norm(mean)
    assert np.linalg.norm(outputs(found) - mean) < 3 * np.hypot(own, known) + bias


@pytest.mark.parametrize(
    ("rows", "columns"), [(slice(0, 5), slice(0, 5)), (slice(1, 3), slice(2, 5))]
)
@pytest.mark.parametrize("readout", ["flatten", "mean"])
def test_kernels_of_positions_are_blocks_of_one_another(
    readout: str, rows: slice, columns: slice
) -> None:
    architecture = make("architecture", "conv", patch=2, readout=readout)
    inputs = architecture.inputs(images(points=5).target.x)
    pooling = architecture.pooled(inputs)
    whole = numerics.lazy_kernels(inputs, inputs, activation="relu", depth=1, pooling=pooling)
    part = numerics.lazy_kernels(
        inputs[rows], inputs[columns], activation="relu", depth=1, pooling=pooling
    )
    assert part.ntk == pytest.approx(whole.ntk[rows, columns], rel=1e-12)
    assert part.features[0] == pytest.approx(whole.features[0][rows, columns], rel=1e-12)


def test_patches_lie_from_left_to_right_and_downward() -> None:
    x = np.arange(16.0).reshape(1, 4, 4, 1)
    architecture = make("architecture", "conv", patch=2)
    assert architecture.inputs(x)[0].tolist() == [
        [0, 1, 4, 5],
        [2, 3, 6, 7],
        [8, 9, 12, 13],
        [10, 11, 14, 15],
    ]
    overlapping = make("architecture", "conv", patch=3, stride=1)
    assert overlapping.inputs(x).shape == (1, 4, 9)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 12), "conv needs images (H, W, C); inputs have shape (12,); use a task of images"),
        ((2, 3, 5, 1), "patch = 4 is larger than the images, 3 x 5; use a patch of at most 3"),
    ],
)
def test_inputs_that_no_patch_fits_are_one_line(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]*$") as caught:
        make("architecture", "conv", patch=4).inputs(np.zeros(shape))
    assert message in str(caught.value)


def test_theories_say_which_part_of_a_structure_they_do_not_describe() -> None:
    residual = solved(gaussian_data(), make("architecture", "resmlp"))
    patches = solved(images(), make("architecture", "conv", patch=3))
    assert make("theory", "linear-transfer").supports(patches) is not None
    assert make("theory", "mean-field").supports(residual) == "describes one hidden layer, not 2"
    found = make("theory", "adaptive-kernel").supports(residual)
    assert found == "describes layers without skips, not residual ones"
    single = solved(gaussian_data(), make("architecture", "resmlp", depth=1))
    assert make("theory", "mean-field").supports(single) is None, "one layer has no skip"
    found = make("theory", "dmft").supports(patches)
    assert found == "describes units at one position of the input, not at 4"


def test_several_layers_of_positions_have_no_kernel() -> None:
    x = np.zeros((2, 4, 3))
    with pytest.raises(ValueError, match="units at several positions need a depth of 1"):
        numerics.lazy_kernels(x, x, activation="relu", depth=2)


def test_a_pooling_of_one_position_is_not_lost() -> None:
    """Two readouts of one position with weights of their own."""
    dense = make("architecture", "mlp")
    own = Architecture(
        network=dense.network,
        depth=1,
        activation="relu",
        pooling=lambda positions: np.full((2, positions), 3.0),
        input_map=lambda x: x[:, None],
    )
    x = gaussian_data().target.x
    found, plain = (solving.initial_kernels(each, x) for each in (own, dense))
    assert found.features[0] == pytest.approx(9 * plain.features[0], rel=1e-12)
