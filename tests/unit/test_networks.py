"""Networks take exactly the steps that the protocol defines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from problems import gaussian_data, make, problem, reference_problem, relative

from harness import (
    Dataset,
    DivergenceError,
    LimitbenchError,
    Problem,
    Stage,
    Trajectory,
    TransferData,
    networks,
)
from harness.networks.ensemble import Ensemble
from harness.records.trainer import Dtype

SOURCE = Stage(data="source", richness=1.3, steps=12, dt=0.04)
TARGET = Stage(data="target", richness=0.6, steps=9, dt=0.03)

COMPILED = "backend_compile_duration"

Elementwise = Callable[[np.ndarray], np.ndarray]

# readout and kernels of both layers, first entries, at width 16 and seed 7
DRAWN = [0.5201921463012695, 0.7092540860176086, 0.6588708758354187]

SLOPES: dict[str, Elementwise] = {
    "tanh": lambda h: 1 - np.tanh(h) ** 2,
    "relu": lambda h: (h > 0) * 1.0,
}
VALUES: dict[str, Elementwise] = {"tanh": np.tanh, "relu": lambda h: np.maximum(h, 0.0)}


def trained(task: Problem, width: int, seeds: Any, dtype: Any = "float64") -> list[Trajectory]:
    found = networks.train(task, width, seeds, dtype)
    assert all(isinstance(t, Trajectory) for t in found)
    return [t for t in found if isinstance(t, Trajectory)]


def by_hand(task: Problem, width: int, weights: list[np.ndarray], readout: np.ndarray) -> list[Any]:
    """Train one network with hand-written gradients; return each stage's loss curve and outputs."""
    phi, slope = (d[task.architecture.activation] for d in (VALUES, SLOPES))
    found = []
    for stage in task.protocol.stages:
        train, test = task.data.train(stage.data), task.data.test(stage.data)
        scale, gamma = stage.richness * width, stage.richness
        readout = readout * (stage.readout != "zero")
        reference = [w.copy() for w in weights]

        def forward(x: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
            a, inputs, hidden = x, [], []
            for w in weights:  # noqa: B023
                inputs.append(a / np.sqrt(a.shape[1]))
                hidden.append(inputs[-1] @ w)
                a = phi(hidden[-1])
            return inputs, hidden

        def output(x: np.ndarray) -> np.ndarray:
            return phi(forward(x)[1][-1]) @ readout / scale  # noqa: B023

        start = {n: output(d.x) * stage.center for n, d in (("train", train), ("test", test))}
        losses = []
        for step in range(stage.steps + 1):
            error = train.y - (output(train.x) - start["train"])
            losses.append(np.mean(error**2))
            if step == stage.steps:
                break
            inputs, hidden = forward(train.x)
            push = gamma**2 * width / scale
            g = np.outer(error, readout) * slope(hidden[-1])
            moved = readout + stage.dt * (push * phi(hidden[-1]).T @ error - stage.decay * readout)
            if stage.trainable == "all":
                new = []
                for layer in reversed(range(len(weights))):
                    pull = stage.decay * weights[layer]
                    pull = pull + stage.elastic * (weights[layer] - reference[layer])
                    new.append(weights[layer] + stage.dt * (push * inputs[layer].T @ g - pull))
                    if layer:
                        g = (g @ weights[layer].T / np.sqrt(width)) * slope(hidden[layer - 1])
                weights = new[::-1]
            readout = moved
        found.append((np.array(losses), output(test.x) - start["test"]))
    return found


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"readout": "zero"},
        {"readout": "zero", "trainable": "readout"},
        {"decay": 0.4},
        {"decay": 0.2, "elastic": 0.9},
        {"center": False},
        {"trainable": "readout", "decay": 0.3},
    ],
    ids=str,
)
def test_steps_are_those_written_by_hand(
    activation: str, depth: int, options: dict[str, Any]
) -> None:
    width = 17
    task = problem(
        gaussian_data(), SOURCE, replace(TARGET, **options), activation=activation, depth=depth
    )
    start = jax.tree.map(lambda w: np.asarray(w)[0], Ensemble(task, width, [3], "float64").weights)
    names = sorted(start["hidden"], key=lambda n: int(n.rpartition("_")[2]))
    hidden = [start["hidden"][n]["kernel"] for n in names]
    expected = by_hand(task, width, hidden, start["readout"])
    (found,) = trained(task, width, [3])
    for index, (losses, outputs) in enumerate(expected):
        curve = found[index, "loss/train"]
        assert curve.values == pytest.approx(losses[curve.steps], rel=1e-10)
        assert found[index, "output/test"].values[0] == pytest.approx(outputs, rel=1e-9, abs=1e-12)


def test_wide_networks_match_reference_networks(reference: dict[str, np.ndarray]) -> None:
    seeds = 4
    ensemble = trained(reference_problem(reference), 4096, range(seeds), "float32")
    for stage in (0, 1):
        steps = ensemble[0][stage, "loss/train"].steps
        losses = np.stack([t[stage, "loss/train"].values for t in ensemble])
        assert (
            relative(losses.mean(axis=0), reference[f"train{stage}"][:, steps].mean(axis=0)) < 0.01
        )
        outputs = np.stack([t[stage, "output/test"].values[0] for t in ensemble])
        theirs = reference[f"ftest{stage}_sd"] / np.sqrt(len(reference[f"train{stage}"]))
        ours = outputs.std(axis=0, ddof=1) / np.sqrt(seeds)
        combined = np.hypot(np.linalg.norm(theirs), np.linalg.norm(ours))
        gap = np.linalg.norm(outputs.mean(axis=0) - reference[f"ftest{stage}"][-1])
        assert gap < 1.5 * combined


@pytest.mark.parametrize("side_by_side", [1, 2], ids=["processor", "accelerator"])
def test_a_seed_does_not_depend_on_its_companions_in_any_bit(
    side_by_side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.networks.trainer.seeds_per_call", lambda: side_by_side)
    task = problem(gaussian_data(), SOURCE, replace(TARGET, readout="reset", temperature=0.1))
    together, alone = (trained(task, 16, seeds, "float32") for seeds in ([4, 5, 6], [6, 5]))
    for one, other in ((together[1], alone[1]), (together[2], alone[0])):
        for stage in (0, 1):
            for name in ("output/test", "loss/train", "kernel/feature", "probe/source-loss"):
                a, b = one[stage, name].values, other[stage, name].values
                assert a.tobytes() == b.tobytes(), (stage, name)


def test_steps_in_several_calls_are_those_of_one() -> None:
    task = problem(gaussian_data(), SOURCE, replace(TARGET, temperature=0.1))
    at_once, stepwise = (Ensemble(task, 16, [1], "float64") for _ in range(2))
    for index, stage in enumerate(task.protocol.stages):
        at = [0, 5, stage.steps]
        (one,) = at_once.run(index, at, together=3)
        several = list(stepwise.run(index, at, together=3, burst_flops=0.0))
        assert one.steps == tuple(at) == tuple(step for pause in several for step in pause.steps)
        assert one.curves.keys() == several[-1].curves.keys()
        for name, values in one.curves.items():
            found = np.concatenate([pause.curves[name] for pause in several], axis=1)
            assert found == pytest.approx(values, abs=1e-12), (index, name)
        final = several[-1].snapshot()
        for name, values in one.snapshot().items():
            assert final[name] == pytest.approx(values, abs=1e-12), (index, name)


def test_initial_weights_are_the_same_everywhere() -> None:
    """They are part of what a seed means: `TRAINER_VERSION` goes up if these numbers change."""
    task = problem(gaussian_data(), SOURCE, depth=2)
    dtypes: tuple[Dtype, ...] = ("float32", "float64")
    for dtype in dtypes:
        weights = Ensemble(task, 16, [7], dtype).weights
        drawn = [
            weights["readout"][0, 0],
            weights["hidden"]["MeanFieldDense_0"]["kernel"][0, 0, 0],
            weights["hidden"]["MeanFieldDense_1"]["kernel"][0, 0, 0],
        ]
        assert np.array(drawn, np.float32).tolist() == pytest.approx(DRAWN, rel=1e-6)


def test_initial_weights_are_standard_normal() -> None:
    weights = Ensemble(problem(gaussian_data(), SOURCE, depth=2), 300, [0]).weights
    for drawn in map(np.ravel, jax.tree.leaves(weights)):
        # standard errors of mean and variance of n draws: 1 / sqrt(n) and sqrt(2 / n)
        assert abs(drawn.mean()) < 4 / np.sqrt(drawn.size)
        assert drawn.var() == pytest.approx(1.0, abs=4 * np.sqrt(2 / drawn.size))


def test_weights_with_initialisers_of_their_own_keep_them() -> None:
    def build(width: int) -> Any:
        class Biased(nn.Module):
            @nn.compact
            def __call__(self, x: Any) -> networks.Layers:
                bias = self.param("bias", nn.initializers.constant(0.5), (width,), x.dtype)
                h = networks.MeanFieldDense(width)(x) + bias[None]
                return networks.Layers((h,), (jnp.tanh(h),))

        return Biased()

    task = problem(gaussian_data(), SOURCE)
    other = replace(task, architecture=replace(task.architecture, network=build))
    biased, plain = (Ensemble(t, 16, [3]).weights for t in (other, task))
    assert np.array_equal(biased["hidden"]["bias"], np.full((1, 16), 0.5))
    ours, theirs = (w["hidden"]["MeanFieldDense_0"]["kernel"] for w in (biased, plain))
    assert np.array_equal(ours, theirs)


def test_the_default_generator_of_jax_changes_no_network() -> None:
    stage = replace(TARGET, steps=3, decay=0.1, temperature=0.5, readout="reset")
    task = problem(gaussian_data(), stage)
    outputs = []
    for implementation in ("threefry2x32", "rbg"):
        with jax.default_prng_impl(implementation):
            outputs.append(trained(task, 8, [0])[0][0, "output/test"].values)
    assert np.array_equal(outputs[0], outputs[1])


def test_one_program_serves_stages_and_steps_that_differ_in_numbers() -> None:
    data = gaussian_data()
    stages = SOURCE, replace(TARGET, decay=0.3, center=False, readout="zero")
    names: list[str] = []
    trained(problem(data, SOURCE), 8, [0])  # finds the compiler's options, once
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, duration_secs, **facts: (
            names.append(str(facts.get("fun_name", ""))) if COMPILED in event else None
        )
    )
    for task in (
        problem(data, *stages),
        problem(data, *(replace(s, steps=2 * s.steps, dt=0.01, richness=0.2) for s in stages)),
    ):
        trained(task, 11, [0, 1], "float32")
    assert sorted(names) == ["jit(_intervals)", "jit(_layers)"]


def test_networks_of_different_seed_or_width_are_different_draws() -> None:
    task = problem(gaussian_data(), SOURCE)
    a, b = (np.asarray(w["readout"]) for w in (Ensemble(task, n, [0, 1]).weights for n in (64, 65)))
    assert abs(np.corrcoef(a[0], a[1])[0, 1]) < 0.5
    assert abs(np.corrcoef(a[0], b[0, :64])[0, 1]) < 0.5


@pytest.mark.parametrize("width", [4, 64, 300])
def test_every_stage_starts_from_the_zero_predictor(width: int) -> None:
    task = problem(gaussian_data(), SOURCE, TARGET)
    for stage, data in enumerate((task.data.source, task.data.target)):
        (found,) = trained(task, width, [0])
        assert data is not None
        assert found[stage, "loss/train"].values[0] == pytest.approx(np.mean(data.y**2))


def test_frozen_features_keep_their_kernels() -> None:
    frozen = replace(TARGET, data="source", readout="zero", trainable="readout")
    (found,) = trained(problem(gaussian_data(), SOURCE, frozen), 32, [0])
    before, after = (found[k, "kernel/feature"].values for k in (0, 1))
    assert np.array_equal(before, after)
    assert np.ptp(found[1, "kernel/alignment"].values) == 0


def test_langevin_noise_reaches_the_stationary_variance() -> None:
    """Without a drive, weights decay to a Gaussian of variance T / (lambda (1 - lambda dt / 2))."""
    temperature, decay, dt = 0.3, 2.0, 0.05
    stage = Stage(
        data="target", richness=1e-6, steps=400, dt=dt, decay=decay, temperature=temperature
    )
    ensemble = Ensemble(problem(gaussian_data(), stage), 2000, [0, 1], "float64")
    for _ in ensemble.run(0, [400]):
        pass
    expected = temperature / (decay * (1 - decay * dt / 2))
    for weights in jax.tree.leaves(ensemble.weights):
        draws = np.asarray(weights).ravel()
        # the variance of n Gaussian draws has a relative standard error of sqrt(2 / n)
        assert np.var(draws) == pytest.approx(expected, rel=4 * np.sqrt(2 / draws.size))


def test_smaller_steps_approach_gradient_flow_linearly() -> None:
    def final(refinement: int) -> np.ndarray:
        stage = replace(SOURCE, steps=20 * refinement, dt=0.04 / refinement)
        task = problem(gaussian_data(), stage, activation="tanh")  # smooth, unlike ReLU
        return trained(task, 16, [0])[0][0, "output/test"].values[0]

    exact = final(64)
    coarse, fine = (np.linalg.norm(final(r) - exact) for r in (2, 4))
    # errors of h and h/2 against h/32: (1/2 - 1/64) / (1/4 - 1/64)
    assert coarse / fine == pytest.approx((1 / 2 - 1 / 64) / (1 / 4 - 1 / 64), rel=0.1)


def test_float32_follows_float64() -> None:
    task = problem(gaussian_data(), SOURCE, TARGET)
    wide = Ensemble(task, 32, [0], "float64").weights
    narrow = Ensemble(task, 32, [0], "float32").weights
    assert {w.dtype for w in jax.tree.leaves(narrow)} == {np.dtype("float32")}
    assert {w.dtype for w in jax.tree.leaves(wide)} == {np.dtype("float64")}


def test_divergence_names_the_step_and_a_smaller_dt() -> None:
    (found,) = networks.train(problem(gaussian_data(), replace(SOURCE, dt=5.0, steps=500)), 32, [0])
    assert isinstance(found, DivergenceError)
    assert "diverged at step" in str(found)
    assert "dt = 5" in str(found) and "smaller dt" in str(found)
    assert "\n" not in str(found)
    step = int(str(found).split("at step ")[1].split()[0])
    assert 0 < step < 50


def test_a_diverging_seed_costs_no_other() -> None:
    """At the edge of stability narrow networks differ in whether they diverge."""
    outcomes: list[Any] = []
    for dt in (0.3, 0.4, 0.5, 0.6, 0.8):
        task = problem(gaussian_data(), replace(SOURCE, dt=dt, steps=300))
        outcomes += networks.train(task, 4, range(6))
        both = {isinstance(o, Trajectory) for o in outcomes[-6:]}
        if both == {True, False}:
            return
    pytest.fail("no step size split the seeds; the test needs other values")


class TestAutomaticStep:
    def test_is_stable_and_leaves_a_margin(self) -> None:
        task = problem(
            gaussian_data(), replace(SOURCE, dt="auto"), replace(TARGET, dt="auto", steps=50)
        )
        dts = networks.resolve_steps(task)
        again = networks.resolve_steps(task)
        assert dts == again
        stages = [replace(s, dt=d) for s, d in zip(task.protocol.stages, dts, strict=True)]
        for width in (16, 256):
            trained(problem(gaussian_data(), *stages), width, range(4), "float32")
        too_large = [replace(s, dt=20 * s.step_size, steps=300) for s in stages]
        assert isinstance(
            networks.train(problem(gaussian_data(), *too_large), 256, [0])[0], DivergenceError
        )

    def test_is_two_over_the_largest_eigenvalue_times_the_margin_in_the_lazy_limit(self) -> None:
        from harness import numerics
        from harness.networks.automatic_dt import STABILITY

        data = gaussian_data()
        stage = Stage(data="target", richness=1e-3, steps=20)
        kernel = numerics.lazy_kernels(data.target.x, data.target.x, activation="relu", depth=1).ntk
        exact = STABILITY / float(np.linalg.eigvalsh(np.asarray(kernel))[-1])
        (dt,) = networks.resolve_steps(problem(data, stage))
        # the pilot's kernel scatters by about sqrt(5 / 256), and two digits are kept
        assert dt == pytest.approx(exact, rel=3 * np.sqrt(5 / 256) + 0.1)

    def test_keeps_numbers_that_are_given(self) -> None:
        task = problem(gaussian_data(), SOURCE, replace(TARGET, dt="auto"))
        dts = networks.resolve_steps(task)
        assert dts[0] == SOURCE.dt
        assert dts[1] < 1.0

    def test_needs_a_weight_that_moves_the_predictor(self) -> None:
        dead = replace(SOURCE, dt="auto", readout="zero", trainable=[1])
        with pytest.raises(LimitbenchError, match="no weight that stage 0 trains moves the predic"):
            networks.resolve_steps(problem(gaussian_data(), dead))

    def test_shrinks_as_richness_grows_the_kernel(self) -> None:
        def step(richness: float) -> float:
            stage = Stage(data="target", richness=richness, steps=150)
            return networks.resolve_steps(problem(gaussian_data(), stage))[0]

        assert step(6.0) < step(0.1)

    def test_heeds_how_narrow_networks_scatter(self) -> None:
        from harness.networks import automatic_dt

        y = np.array([1.0, -1.0, 1.0, 1.0, -1.0, 1.0])
        points = Dataset(np.ones((6, 4)), y)
        stage = Stage(data="target", richness=1.0, steps=40)
        task = problem(TransferData(target=points, target_test=points), stage)
        wide, narrow = networks.resolve_steps(task), networks.resolve_steps(task, 2)
        assert networks.resolve_steps(task, 16) == wide
        assert narrow[0] < wide[0], "the stiffest of 32 networks with two units would diverge"
        resolved = problem(task.data, replace(stage, dt=narrow[0]))
        found = networks.train(resolved, 2, automatic_dt.NARROW_SEEDS)
        assert not [f for f in found if isinstance(f, DivergenceError)]

    def test_leaves_numbers_as_they_are_for_narrow_networks(self) -> None:
        task = problem(gaussian_data(), SOURCE, replace(TARGET, dt="auto"))
        assert networks.resolve_steps(task, 2)[0] == SOURCE.dt

    def test_counts_decay(self) -> None:
        stage = Stage(data="target", richness=0.5, steps=20, decay=1e4)
        assert networks.resolve_steps(problem(gaussian_data(), stage))[0] < 1e-4


def test_progress_reaches_one() -> None:
    shares: list[float] = []
    networks.train(problem(gaussian_data(), SOURCE, TARGET), 16, [0], progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)


def test_mlp_is_in_the_mean_field_parameterisation() -> None:
    """Pre-activations of every layer start with unit variance, the readout with size 1/sqrt(N)."""
    module = make("architecture", "mlp", depth=3, activation="linear").network(1024)
    x = np.random.default_rng(0).standard_normal((5, 40))
    layers = module.apply(module.init(jax.random.key(0), x), x)
    assert len(layers.preactivations) == len(layers.features) == 3
    for h in layers.preactivations:
        assert h.shape == (5, 1024)
        # variance of |x|^2 / D over 1024 units and up to three layers
        assert np.mean(np.asarray(h) ** 2, axis=1) == pytest.approx(
            np.mean(x**2, axis=1), rel=5 * np.sqrt(3 * 2 / 1024)
        )
