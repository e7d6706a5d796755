"""Stages that train or draw afresh some layers, and stages of richness 0."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import gaussian_data, make, problem, relative

from harness import (
    Architecture,
    LimitbenchError,
    Problem,
    Stage,
    Trajectory,
    TransferData,
    networks,
)
from harness.networks.automatic_dt import resolve_steps
from harness.networks.ensemble import Ensemble

SOURCE = Stage(data="source", richness=1.0, steps=12, dt=0.05)
TARGET = Stage(data="target", richness=0.8, steps=12, dt=0.05)
WORDS: tuple[Any, ...] = (["readout"], "readout")


def output(task: Problem, width: int = 24, seed: int = 0) -> np.ndarray:
    found = networks.train(task, width, [seed], dtype="float64")[0]
    assert isinstance(found, Trajectory)
    return found[-1, "output/test"].values[0]


def weights_of(task: Problem, stages: int) -> list[Any]:
    """Return the weights of one network, layer after layer, at the start of each stage."""
    ensemble = Ensemble(task, 24, [0], "float64")
    found = []
    for index in range(stages):
        for pause in ensemble.run(index, [0, task.protocol.stages[index].steps]):
            if pause.steps[0] == 0:
                found.append(in_order(pause.weights))
        found.append(in_order(ensemble.weights))
    return found


def in_order(weights: Any) -> list[np.ndarray]:
    hidden = weights["hidden"]
    return [
        *(np.asarray(hidden[f"MeanFieldDense_{i}"]["kernel"][0]) for i in range(len(hidden))),
        np.asarray(weights["readout"][0]),
    ]


def features(hidden: Any, x: Any) -> Any:
    for kernel in hidden:
        x = jnp.tanh(x @ kernel / np.sqrt(len(kernel)))
    return x


def test_stages_move_and_redraw_the_weights_that_they_name() -> None:
    later = replace(TARGET, trainable=[2, "readout"], reset={3})
    task = problem(gaussian_data(), SOURCE, later, activation="tanh", depth=3)
    first, learned, start, end = weights_of(task, 2)
    kept = [np.array_equal(a, b) for a, b in zip(learned, start, strict=True)]
    assert kept == [True, True, False, True], "layer 3 alone is drawn afresh"
    assert not np.array_equal(first[2], start[2])
    moved = [not np.array_equal(a, b) for a, b in zip(start, end, strict=True)]
    assert moved == [False, True, False, True]


@pytest.mark.parametrize("trainable", [(1, 3), (2,), ("readout", 1), (3, "readout")])
def test_chosen_layers_follow_their_gradients(trainable: tuple[Any, ...]) -> None:
    stage = replace(TARGET, trainable=trainable, decay=0.2)
    data = gaussian_data()
    task = problem(data, stage, activation="tanh", depth=3)
    with jax.enable_x64(True):
        start = in_order(Ensemble(task, 24, [0], "float64").weights)
        chosen = [stage.trains(layer) for layer in (1, 2, 3, "readout")]

        def predictor(weights: Any, x: Any) -> Any:
            return features(weights[:-1], x) @ weights[-1] / (stage.richness * 24)

        def energy(weights: Any) -> Any:
            f = predictor(weights, data.target.x) - predictor(start, data.target.x)
            return 0.5 * jnp.sum((data.target.y - f) ** 2)

        now = list(start)
        for _ in range(stage.steps):
            slopes = jax.grad(energy)(now)
            now = [
                w - stage.step_size * (stage.richness**2 * 24 * g + 0.2 * w) if moves else w
                for w, g, moves in zip(now, slopes, chosen, strict=True)
            ]
        x = data.target_test.x
        expected = predictor(now, x) - predictor(start, x)
        assert output(task) == pytest.approx(np.asarray(expected), rel=1e-9)


def test_sets_of_layers_have_one_meaning_in_all_words() -> None:
    stage = Stage(data="target", richness=1.0, steps=1)
    assert replace(stage, trainable=["readout"]) == replace(stage, trainable="readout")
    assert replace(stage, reset="readout") == replace(stage, readout="reset")
    assert replace(stage, reset=["readout", 2]) == replace(stage, readout="reset", reset=(2,))
    assert replace(stage, trainable={3, 1, "readout"}).trainable == (1, 3, "readout")
    whole = replace(stage, reset="all")
    assert (whole.reset, whole.readout) == ("all", "reset")


def test_every_layer_by_number_is_all_of_them() -> None:
    data, later = gaussian_data(), replace(TARGET, trainable={1, 2, "readout"}, reset={1, 2})
    by_number = problem(data, SOURCE, later, activation="tanh", depth=2)
    in_words = problem(data, SOURCE, replace(TARGET, reset={1, 2}), activation="tanh", depth=2)
    assert output(by_number) == pytest.approx(output(in_words), rel=1e-12)


def test_frozen_features_are_those_of_a_readout_that_trains_alone() -> None:
    data, later = gaussian_data(), replace(TARGET, readout="zero")
    some, alone = (
        problem(data, SOURCE, replace(later, trainable=words), activation="tanh", depth=2)
        for words in WORDS
    )
    assert np.array_equal(output(some), output(alone))


def test_a_stage_from_a_fresh_draw_knows_nothing_of_the_source() -> None:
    data, later = gaussian_data(), replace(TARGET, reset="all")
    idle = replace(SOURCE, steps=0)
    after, before = (problem(data, s, later, activation="tanh", depth=2) for s in (SOURCE, idle))
    assert np.array_equal(output(after), output(before))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trainable": []}, "trainable is empty; name a layer, or 'readout', or set steps to 0"),
        ({"trainable": "layers"}, "trainable = 'layers'; allowed are 'all', 'readout', or a list"),
        ({"reset": [0]}, "reset names 0; allowed are layer numbers from 1 and 'readout'"),
        ({"trainable": [True]}, "trainable names True; allowed are layer numbers"),
        ({"reset": "all", "readout": "zero"}, "reset names the readout, and readout is 'zero'"),
        ({"richness": 0.0, "decay": 0.1}, "decay = 0.1 at richness 0, which leaves the weights"),
        ({"richness": 0.0, "center": False}, "richness 0 needs center = true"),
        ({"richness": -1.0}, "richness = -1.0; a number of at least 0 is needed"),
    ],
)
def test_sets_that_mean_nothing_are_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]*$") as caught:
        replace(TARGET, **options)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["trainable", "reset"])
def test_a_layer_that_the_network_lacks_is_one_line(name: str) -> None:
    wrong: dict[str, Any] = {name: [4, "readout"]}
    stage = replace(TARGET, **wrong)
    with pytest.raises(ValueError, match=f"{name} names layer 4; the network has layers 1 to 3"):
        problem(gaussian_data(), stage, depth=3)


def test_layers_of_a_network_without_groups_have_no_numbers() -> None:
    from harness.networks.draws import Layout, layers_of

    found = Layout(("a/bias", "a/kernel", "b/kernel"), (), (), None, 1, ("b", "a"))
    assert layers_of(found, 2) == [2, 2, 1]
    with pytest.raises(LimitbenchError, match=r"2 groups of weights \(b, a\) for 3 hidden layers"):
        layers_of(found, 3)


def test_layers_are_numbered_as_the_module_makes_them() -> None:
    from harness.networks.draws import layout

    many = make("architecture", "mlp", depth=12).network(4)
    names = layout(many, np.zeros((2, 3), np.float32))
    assert [names.groups.index(f"MeanFieldDense_{i}") for i in range(12)] == list(range(12))


@pytest.mark.parametrize("layer", [1, 2])
def test_a_layer_is_trained_whatever_its_name(layer: int) -> None:
    """The alphabet would put the second layer, "body", before the first, "stem"."""
    from flax import linen as nn

    class Named(nn.Module):
        width: int

        @nn.compact
        def __call__(self, x: Any) -> networks.Layers:
            first = networks.MeanFieldDense(self.width, name="stem")(x)
            second = networks.MeanFieldDense(self.width, name="body")(first)
            return networks.Layers((first, second), (first, second))

    stages = SOURCE, replace(TARGET, trainable=[layer])
    plain = problem(gaussian_data(), *stages, activation="linear", depth=2)
    named = replace(plain, architecture=Architecture(network=Named, depth=2, activation="linear"))
    mine, same = (networks.train(task, 256, range(8), "float64") for task in (named, plain))
    for index in range(2):
        ours, theirs = (
            np.stack([t[index, "loss/train"].values for t in found if isinstance(t, Trajectory)])
            for found in (mine, same)
        )
        error = np.hypot(*(v.std(axis=0, ddof=1) / 8**0.5 for v in (ours, theirs)))
        assert np.all(np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) < 4 * error + 1e-3)


# ---------------------------------------------------------------- richness 0


@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("trainable", ["all", "readout", (1, "readout"), (2,)])
def test_richness_zero_follows_the_kernel_at_the_stages_start(trainable: Any, loss: Any) -> None:
    """f += dt K Delta with the tangent kernel of the network as the source stage left it."""
    data = gaussian_data()
    later = replace(TARGET, richness=0.0, trainable=trainable, loss=loss)
    task = problem(data, SOURCE, later, activation="tanh", depth=2)
    with jax.enable_x64(True):
        *hidden, readout = weights_of(task, 1)[-1]
        x = np.concatenate([data.target.x, data.target_test.x])

        def raw(weights: Any) -> Any:
            return features(weights[:-1], x) @ weights[-1] / np.sqrt(24)

        jacobian = jax.jacrev(raw)([*hidden, readout])
        kernel = sum(
            j.reshape(len(x), -1) @ j.reshape(len(x), -1).T
            for j, layer in zip(jacobian, (1, 2, "readout"), strict=True)
            if later.trains(layer)  # type: ignore[arg-type]
        )
        count, f = len(data.target), np.zeros(len(x))
        for _ in range(later.steps):
            y, own = data.target.y, f[:count]
            delta = y - own if loss == "squared" else y / (1 + np.exp(y * own))
            f = f + later.step_size * np.asarray(kernel)[:, :count] @ delta
        assert output(task) == pytest.approx(f[count:], rel=1e-9)


def test_richness_zero_is_the_limit_of_small_richness() -> None:
    data = gaussian_data()

    def at(richness: float, data: TransferData = data) -> np.ndarray:
        later = replace(TARGET, richness=richness)
        return output(problem(data, SOURCE, later, activation="tanh", depth=2))

    limit = at(0.0)
    near, nearer = (relative(at(r), limit) for r in (0.02, 0.01))
    assert nearer < 0.01
    assert nearer == pytest.approx(near / 2, rel=0.2), "the distance is linear in richness"


def test_a_stage_of_richness_zero_leaves_the_weights_as_they_are() -> None:
    data = gaussian_data()
    between = replace(SOURCE, richness=0.0)
    task = problem(data, between, TARGET, activation="tanh", depth=2)
    alone = problem(data, replace(between, steps=0), TARGET, activation="tanh", depth=2)
    assert np.array_equal(output(task), output(alone))
    kernels = networks.train(task, 24, [0])[0]
    assert isinstance(kernels, Trajectory)
    assert len(set(kernels[0, "kernel/alignment"].values.tolist())) == 1


def test_automatic_steps_of_chosen_layers_follow_their_own_kernel() -> None:
    data = gaussian_data()

    def step(**options: Any) -> float:
        stage = replace(TARGET, dt="auto", **options)
        return resolve_steps(problem(data, stage, activation="tanh", depth=2))[0]

    whole, part, none = step(), step(trainable=[2]), step(richness=0.0)
    assert part > whole, "fewer weights have a smaller kernel"
    assert none >= whole


@pytest.mark.parametrize(
    ("trainable", "readout"),
    [((1, 3), "keep"), ((2, "readout"), "keep"), ((1,), "zero"), ((3, "readout"), "zero")],
)
def test_the_lazy_limit_of_chosen_layers_is_that_of_wide_networks(
    trainable: Any, readout: Any
) -> None:
    data, width, seeds = gaussian_data(points=6), 1024, 6
    stage = replace(TARGET, richness=0.0, trainable=trainable, readout=readout)
    task = problem(data, stage, activation="tanh", depth=3)
    found = make("theory", "lazy-ntk").predict(task)[0, "output/test"].values[0]
    each = []
    for trained in networks.train(task, width, range(seeds)):
        assert isinstance(trained, Trajectory)
        each.append(trained[0, "output/test"].values[0])
    error = np.linalg.norm(np.std(each, axis=0, ddof=1)) / seeds**0.5
    bias = 5 / width * np.linalg.norm(found)
    assert np.linalg.norm(np.mean(each, axis=0) - found) <= 3 * error + bias


def test_theories_of_whole_networks_refuse_chosen_layers() -> None:
    data = gaussian_data()
    chosen = problem(data, replace(TARGET, trainable=[1]), activation="linear")
    lazy = problem(data, replace(TARGET, richness=0.0), activation="linear")
    exact = make("theory", "linear-transfer")
    assert exact.supports(chosen) == (
        "describes stages that train all weights or the readout, not those of some layers"
    )
    assert exact.supports(lazy) == ("describes stages of richness above 0, not linearised ones")
    frozen = make("theory", "lazy-nngp").supports(chosen)
    assert frozen == "describes training of the readout, which is frozen"
