"""The two-layer theory for units at several positions, against networks and its equations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from problems import assert_near_networks, images, make, norm_error, relative

from harness import Dataset, Problem, Protocol, Stage, TransferData, numerics, solving

READOUTS = ["flatten", "mean"]
SOURCE = Stage(data="source", richness=1.2, steps=30, dt=0.05)
TARGET = Stage(data="target", richness=0.8, steps=30, dt=0.05)


def conv(data: TransferData, *stages: Stage, **parameters: Any) -> Problem:
    architecture = make("architecture", "conv", **{"patch": 3, **parameters})
    return Problem(data, architecture, Protocol(stages or (SOURCE, TARGET)))


def dense(data: TransferData) -> Problem:
    return Problem(data, make("architecture", "mlp"), Protocol((SOURCE, TARGET)))


def test_one_patch_is_a_dense_layer() -> None:
    tasks = [conv(images(), patch=6, readout=readout) for readout in READOUTS]
    solver = make("theory", "mean-field", samples=512)
    expected, *found = (solver.predict(task) for task in (dense(images()), *tasks))
    for each in found:
        for one, other in zip(each.stages, expected.stages, strict=True):
            for name, values in one.items():
                assert np.array_equal(values.values, other[name].values), name


def test_the_mean_over_equal_patches_is_a_dense_layer_on_one_of_them() -> None:
    one = images(side=3)
    sets: Any = {n: Dataset(np.tile(d.x, (1, 2, 2, 1)), d.y) for n, d in one.sets().items()}
    tiled = conv(TransferData(**sets), readout="mean")
    found = make("theory", "mean-field", samples=2048).predict(tiled)
    expected = make("theory", "mean-field", samples=2048, seed=1).predict(dense(one))
    for stage in (0, 1):
        distance = relative(*(t[stage, "output/test"].values for t in (found, expected)))
        assert distance < 3 * np.hypot(norm_error(found, stage), norm_error(expected, stage))


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("options", [{}, {"readout": "zero", "trainable": "readout"}], ids=str)
@pytest.mark.parametrize("classes", [2, 3])
def test_networks_of_patches_approach_it(
    classes: int, options: dict[str, Any], readout: str
) -> None:
    loss: Any = "squared" if classes == 2 else "softmax"
    stages = (
        Stage(data="source", richness=1.2, steps=20, dt=0.06, loss=loss),
        Stage(data="target", richness=0.8, steps=20, dt=0.06, loss=loss, **options),
    )
    task = conv(images(points=6, classes=classes), *stages, readout=readout)
    solver = make("theory", "mean-field", samples=4096)
    assert solver.supports(task) is None
    assert_near_networks({"mean-field": solver.predict(task)}, task, 1024)


@pytest.mark.parametrize(
    ("readout", "options"),
    [
        ("flatten", {"readout": "reset", "decay": 0.5, "elastic": 0.7}),
        ("mean", {"readout": "keep", "temperature": 0.1, "decay": 1.0}),
    ],
)
def test_overlapping_patches_with_every_rate(readout: str, options: dict[str, Any]) -> None:
    target = Stage(data="target", richness=0.8, steps=30, dt=0.05, **options)
    task = conv(
        images(points=6), SOURCE, target, patch=4, stride=2, activation="tanh", readout=readout
    )
    found = make("theory", "mean-field", samples=8192).predict(task)
    assert_near_networks({"mean-field": found}, task, 1024)


@pytest.mark.parametrize("readout", READOUTS)
def test_the_lazy_limit_is_reached_without_sampling_error(readout: str) -> None:
    gamma = 1e-3
    stages = tuple(
        Stage(data=name, richness=gamma, steps=30, dt=0.03) for name in ("source", "target")
    )
    task = conv(images(points=6), *stages, activation="erf", patch=4, stride=2, readout=readout)
    found = make("theory", "mean-field", samples=512, precision="float64").predict(task)
    exact = make("theory", "lazy-ntk").predict(task)
    for stage in (0, 1):
        assert norm_error(found, stage) < 100 * gamma**2
        values = (t[stage, "output/test"].values for t in (found, exact))
        assert relative(*values) < 100 * gamma**2


def test_driven_samples_tell_what_trained_ones_miss() -> None:
    first = Stage(data="source", richness=1.5, steps=40, dt=0.05)
    second = Stage(data="target", richness=1.5, steps=40, dt=0.05, readout="reset")
    task = conv(images(points=5), first, second)
    few = make("theory", "mean-field", samples=2048).predict(task)
    target = 0.4 * max(norm_error(few, stage) for stage in (0, 1))
    driven = make("theory", "mean-field", target_error=target).predict(task)
    many = make("theory", "mean-field", samples=8192, seed=1).predict(task)
    assert driven.notes["samples"] > 2048
    for stage in (0, 1):
        error = np.hypot(norm_error(driven, stage), norm_error(many, stage))
        values = (t[stage, "output/test"].values for t in (driven, many))
        assert relative(*values) < 2 * error
        assert norm_error(driven, stage) < 0.6 * norm_error(few, stage)


@pytest.mark.parametrize("pooled", [False, True])
def test_units_follow_their_equations_step_by_step(pooled: bool) -> None:
    """docs/theory.md, section 2, as sums over named indices; trained, and driven alike."""
    rng = np.random.default_rng(0)
    points, train, positions, rank, samples, outputs = 5, 4, 3, 4, 6, 2
    pooling = rng.standard_normal((2, positions)) if pooled else None
    a = np.eye(positions) if pooling is None else pooling
    factor = rng.standard_normal((points, positions, rank))
    omega, z = rng.standard_normal((rank, samples)), rng.standard_normal((outputs, len(a), samples))
    y, gamma, dt, decay = rng.standard_normal((train, outputs)), 0.7, 0.05, 0.3
    start = numerics.Particles(
        omega[None], z.reshape(1, outputs, -1), np.zeros((1, train, outputs))
    )
    rates = numerics.StageRates(gamma / len(a) ** 0.5, dt, decay).cast("float64")
    nothing, control = np.zeros((1, points, outputs)), np.zeros((1, points, train))
    frame = numerics.ParticleFrame(factor, nothing, nothing, control, None, None, pooling)
    moved = numerics.advance_particles(
        start, frame, y, rates, None, 3, activation="tanh", frozen=False
    )

    def output() -> np.ndarray:
        psi = np.einsum("kp,mps->mks", a, np.tanh(np.einsum("mpr,rs->mps", factor, omega)))
        return np.einsum("cks,mks->mc", z, psi) / (samples * gamma * len(a) ** 0.5)

    impulses, at_start = [], output()
    for _ in range(3):
        phi = np.tanh(np.einsum("mpr,rs->mps", factor[:train], omega))
        delta = y - output()[:train]
        impulses.append(dt * delta)
        along = np.einsum("kp,mps,mc->cks", a, phi, delta)
        pull = np.einsum("mpr,mps,kp,cks,mc->rs", factor[:train], 1 - phi**2, a, z, delta)
        z = z + dt * (gamma / len(a) ** 0.5 * along - decay * z)
        omega = omega + dt * (gamma / len(a) ** 0.5 * pull - decay * omega)
    signal = numerics.FrozenSignal(np.stack(impulses), np.ones(3), np.zeros((3, train, outputs)))
    driven, outputs_at = numerics.follow_signal(
        start,
        factor,
        control,
        signal,
        rates,
        activation="tanh",
        frozen=False,
        center=True,
        pooling=pooling,
    )
    for found in (moved, driven):
        assert np.asarray(found.omega)[0] == pytest.approx(omega, abs=1e-12)
        assert np.asarray(found.z)[0] == pytest.approx(z.reshape(outputs, -1), abs=1e-12)
    predictor = numerics.particle_predictor(moved, frame, rates.richness, activation="tanh")
    assert predictor[0] == pytest.approx(output(), abs=1e-12)
    assert outputs_at[0, -1] == pytest.approx(output() - at_start, abs=1e-12)


@pytest.mark.parametrize(("readout", "features"), [("flatten", 4), ("mean", 1)])
def test_views_show_positions_and_features(readout: str, features: int) -> None:
    stage = Stage(data="target", richness=1.0, steps=1, dt=0.05)
    task = conv(images(points=3), stage, readout=readout)
    shapes = set()

    def observe(stage: int, steps: Any, view: Any, replicates: int = 1, numbers: int = 0) -> None:
        (h,), (psi,) = view(0).preactivations, view(0).features
        shapes.add((h.shape[1:], psi.shape[1]))

    settings = numerics.MeanFieldSettings(2, "float32", 0, None, 64)
    numerics.solve_mean_field(solving.problem_arrays(task), settings, 64, observe, None)
    assert shapes == {((4, 32), 32 * features)}


def test_positions_count_in_memory_and_cost() -> None:
    from harness import ProblemSize

    stage = Stage(data="target", richness=1.0, steps=5, dt=0.05)
    patches, whole = (conv(images(points=10), stage, patch=patch) for patch in (2, 6))
    solver = make("theory", "mean-field", memory_gib=5e-4, target_error=1e-4)
    assert solver.predict(patches).notes["samples"] < solver.predict(whole).notes["samples"]
    given = make("theory", "mean-field", samples=1024)
    small, large = (
        given.cost(ProblemSize.of(conv(images(), patch=3, stride=stride))) for stride in (3, 1)
    )
    assert large.flops > 3 * small.flops
