"""Several outputs: networks, theories, observables, and labels that do not fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from problems import assert_near_networks, gaussian_data, make, norm_error, problem, relative

from harness import (
    Dataset,
    DivergenceError,
    Problem,
    Stage,
    Trajectory,
    TransferData,
    networks,
    numerics,
    observables,
)
from harness.networks.automatic_dt import resolve_steps
from harness.networks.ensemble import Ensemble

SOFTMAX = Stage(data="target", richness=1.5, steps=30, dt=0.1, loss="softmax")


def classes(source: int = 3, target: int = 3, points: int = 12) -> TransferData:
    """Return Gaussian points whose classes are one-hot, all of them present."""
    rng = np.random.default_rng(5)

    def one_hot(data: Dataset, count: int) -> Dataset:
        scores = data.x @ rng.standard_normal((data.x.shape[1], count))
        scores[np.arange(count), np.arange(count)] += 100
        return Dataset(data.x, np.eye(count)[scores.argmax(axis=1)])

    plain = gaussian_data(points=points).sets()
    sets: dict[str, Any] = {
        n: one_hot(d, source if n.startswith("source") else target) for n, d in plain.items()
    }
    return TransferData(**sets)


def with_labels(data: TransferData, label: Any) -> TransferData:
    sets: dict[str, Any] = {n: Dataset(d.x, label(d.y)) for n, d in data.sets().items()}
    return TransferData(**sets)


def test_a_column_of_labels_is_one_output() -> None:
    plain = gaussian_data()
    column = with_labels(plain, lambda y: y[:, None])
    assert column.digest == plain.digest and column.target.outputs == 1


def test_an_error_signal_of_several_outputs_is_minus_the_derivative_of_its_loss() -> None:
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        y, f = np.eye(4)[[0, 3, 2]], rng.standard_normal((3, 4)) * [[1.0], [30.0], [500.0]]
        for loss, factor in (("softmax", 3.0), ("squared", 1.5)):
            slope = jax.grad(lambda f, loss=loss: numerics.mean_loss(loss, y, f))(f)
            np.testing.assert_allclose(
                numerics.error_signal(loss, y, f), -factor * np.asarray(slope), atol=1e-12
            )
        curvature = jax.hessian(lambda f: numerics.mean_loss("softmax", y[:1], f[None]))(
            np.zeros(4)
        )
    assert np.linalg.eigvalsh(curvature).max() <= numerics.CURVATURE["softmax"]


def test_accuracy_shares_a_point_between_equal_outputs() -> None:
    y = np.eye(4)[[0, 1, 2]]
    assert numerics.accuracy(y, np.zeros((2, 3, 4))).tolist() == [0.25, 0.25]
    assert numerics.accuracy(y, y) == 1.0
    assert numerics.accuracy(y, y + np.eye(4)[[1, 2, 3]]) == 0.5


def test_networks_take_the_steps_of_the_theory() -> None:
    """Two stages with other classes (docs/theory.md, section 1), in plain NumPy."""
    source = replace(SOFTMAX, data="source", richness=1.2, steps=10, decay=0.05)
    data = classes(source=3, target=4)
    task = problem(data, source, replace(SOFTMAX, steps=12, readout="zero"), activation="tanh")
    width = 32
    ensemble = Ensemble(task, width, [0], "float64")
    (w0,) = (np.array(v[0]).T for v in jax.tree.leaves(ensemble.weights["hidden"]))
    readout = np.array(ensemble.weights["readout"])[0]
    (found,) = networks.train(task, width, [0], dtype="float64")
    assert isinstance(found, Trajectory)
    scale = np.sqrt(data.target.x.shape[1])
    for index, stage in enumerate(task.protocol.stages):
        train, test = data.train(stage.data), data.test(stage.data)
        gamma, dt = stage.richness, stage.step_size
        if stage.readout == "zero":
            readout = np.zeros((width, 4))

        def output(x: np.ndarray, gamma: float = gamma) -> np.ndarray:
            return np.tanh(x @ w0.T / scale) @ readout / (gamma * width)  # noqa: B023

        start, start_test = output(train.x), output(test.x)
        for _ in range(stage.steps):
            phi = np.tanh(train.x @ w0.T / scale)
            grown = np.exp(output(train.x) - start)
            delta = train.y - grown / grown.sum(axis=1, keepdims=True)
            pulled = ((delta @ readout.T) * (1 - phi**2)).T @ train.x / scale
            readout = readout + dt * (gamma * phi.T @ delta - stage.decay * readout)
            w0 = w0 + dt * (gamma * pulled - stage.decay * w0)
        end = output(test.x) - start_test
        np.testing.assert_allclose(
            found[index, "output/test"].values[0], end.ravel(), rtol=1e-9, atol=1e-12
        )
        loss = np.log(np.exp(end).sum(axis=1)) - (test.y * end).sum(axis=1)
        np.testing.assert_allclose(found[index, "loss/test"].values[-1], loss.mean())
        right = np.mean(end.argmax(axis=1) == test.y.argmax(axis=1))
        assert found[index, "accuracy/test"].values[-1] == pytest.approx(right)


@pytest.mark.parametrize(("loss", "depth"), [("squared", 1), ("softmax", 2)])
def test_theories_agree_with_each_other_and_with_wide_networks(loss: str, depth: int) -> None:
    source = replace(SOFTMAX, data="source", richness=1.2, loss=loss)  # type: ignore[arg-type]
    target = replace(source, data="target", readout="reset")
    task = problem(classes(target=2), source, target, activation="tanh", depth=depth)
    theories = {"dmft": make("theory", "dmft", samples=2048).predict(task)}
    if depth == 1:
        theories["mean-field"] = make("theory", "mean-field").predict(task)
    assert_near_networks(theories, task, 1024)


def test_softmax_of_two_classes_is_the_logistic_loss() -> None:
    """f_1 - f_2 of (gamma, dt) is the logistic f of (gamma / sqrt 2, 2 dt)."""
    two = classes(2, 2)
    one = with_labels(two, lambda y: y[:, 0] - y[:, 1])
    pair = replace(SOFTMAX, data="source", richness=1.2, steps=20)
    single = replace(pair, loss="logistic", richness=1.2 / 2**0.5, dt=0.2)
    for name in ("mean-field", "lazy-ntk"):
        differences, plain = (
            make("theory", name).predict(problem(data, stage, activation="tanh"))
            for data, stage in ((two, pair), (one, single))
        )
        found = differences[0, "output/test"].values[0].reshape(-1, 2)
        known = plain[0, "output/test"].values[0]
        error = np.hypot(norm_error(differences, 0), norm_error(plain, 0))
        assert relative(found[:, 0] - found[:, 1], known) < 4 * error + 1e-9


@pytest.mark.parametrize("name", ["mean-field", "lazy-ntk", "lazy-nngp"])
def test_lazy_outputs_do_not_know_of_each_other(name: str) -> None:
    """Under the squared loss a lazy network learns each output as if it were alone."""
    data = classes()
    poor = replace(SOFTMAX, richness=1e-3, loss="squared", readout="reset", dt=0.05)
    if name == "lazy-nngp":
        poor = replace(poor, trainable="readout", readout="zero")
    together = make("theory", name).predict(problem(data, poor, activation="relu"))
    found = together[0, "output/test"].values[0].reshape(-1, 3)
    for c in range(3):
        own = with_labels(data, lambda y, c=c: y[:, c])
        alone = make("theory", name).predict(problem(own, poor, activation="relu"))
        error = np.hypot(norm_error(together, 0), norm_error(alone, 0))
        assert relative(found[:, c], alone[0, "output/test"].values[0]) < 4 * error + 1e-9


def test_a_linear_network_is_exact() -> None:
    stages = [replace(SOFTMAX, data="source"), replace(SOFTMAX, readout="reset", richness=1.0)]
    task = problem(classes(target=2), *stages, activation="linear")
    exact = make("theory", "dmft").predict(task)
    sampled = make("theory", "mean-field").predict(task)
    for index in range(2):
        one, two = (t[index, "output/test"].values[0] for t in (sampled, exact))
        assert relative(one, two) < 4 * norm_error(sampled, index)
    assert exact[0, "output/test"].stderr is None


def test_frozen_features_are_solved_alike_by_all_theories() -> None:
    stages = [
        replace(SOFTMAX, data="source"),
        replace(SOFTMAX, readout="zero", trainable="readout", decay=0.1),
    ]
    task = problem(classes(target=5), *stages, activation="tanh")
    one = make("theory", "mean-field").predict(task)
    two = make("theory", "dmft", samples=512).predict(task)
    for index in range(2):
        error = np.hypot(norm_error(one, index), norm_error(two, index))
        distance = relative(*(t[index, "output/test"].values[0] for t in (one, two)))
        assert distance < 4 * error


def test_alignment_and_laws_are_those_of_all_outputs() -> None:
    y = np.eye(3)[[0, 0, 1, 2, 2]]
    assert observables.kernel_alignment(y @ y.T, y) == pytest.approx(1.0)
    h = np.random.default_rng(0).standard_normal((5, 400))
    together = observables.preactivation_laws([h], y)
    each = [observables.preactivation_laws([h], column) for column in y.T]
    for name in ("preactivation/excess-kurtosis", "preactivation/wasserstein"):
        np.testing.assert_allclose(together[name], np.mean([e[name] for e in each], axis=0))


def test_an_automatic_step_is_stable_for_several_outputs() -> None:
    steps = [
        resolve_steps(
            problem(data, replace(SOFTMAX, loss="squared", dt="auto", steps=0, richness=1e-2))
        )[0]
        for data in (classes(), with_labels(classes(), lambda y: y[:, 0]))
    ]
    # outputs share the feature kernel, and each has a tangent kernel of its own
    assert 0.5 < steps[0] / steps[1] <= 1.1


@pytest.mark.parametrize(
    ("label", "change", "said"),
    [
        (lambda y: y[:, 0], {}, "the softmax loss needs labels of shape"),
        (lambda y: 2 * y, {}, "rows of labels of at least 0 that sum to one; row 0"),
        (lambda y: 2 * y - 1, {}, "rows of labels of at least 0 that sum to one; row 0"),
        (lambda y: 0 * y + [1, 0, 0], {}, "needs two classes"),
        (
            lambda y: 0 * y + [0, 1, 0],
            {"loss": "squared"},
            "all training labels of the target are of class 1 of 3, counted from 0; take more",
        ),
        (
            lambda y: y,
            {"loss": "logistic"},
            "labels of -1 and 1; those of the target have a column for each of 3 classes; use the"
            " softmax loss",
        ),
    ],
)
def test_labels_that_do_not_fit_are_refused_in_one_line(
    label: Any, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        problem(with_labels(classes(), label), replace(SOFTMAX, **change), activation="tanh")
    assert "\n" not in str(refused.value)


def test_labels_that_are_equal_but_no_classes_suit_the_squared_loss() -> None:
    for row in ([0.5, 0.5, 0.0], [2.0, 0.0, 0.0], [1.0, 1.0, 0.0]):
        data = with_labels(classes(), lambda y, row=row: 0 * y + row)
        assert problem(data, replace(SOFTMAX, loss="squared")).data is data


def test_a_readout_for_other_classes_cannot_be_kept() -> None:
    with pytest.raises(ValueError, match="keeps the readout, which has 3 outputs; its labels need"):
        problem(classes(3, 4), replace(SOFTMAX, data="source"), SOFTMAX)


def test_sets_of_a_task_have_the_same_outputs() -> None:
    data = classes()
    with pytest.raises(ValueError, match=r"target and target_test have \[1, 3\] outputs"):
        TransferData(
            target=data.target, target_test=Dataset(data.target_test.x, data.target_test.y[:, 0])
        )


@pytest.mark.parametrize("name", ["adaptive-kernel", "linear-transfer"])
def test_a_theory_of_one_output_says_so(name: str) -> None:
    task = problem(classes(), replace(SOFTMAX, loss="squared"), activation="linear")
    reason = make("theory", name).supports(task)
    assert reason is not None and "\n" not in reason


def test_divergence_with_several_outputs_is_told() -> None:
    wild = replace(SOFTMAX, loss="squared", dt=50.0)
    task: Problem = problem(classes(), wild, activation="tanh")
    (found,) = networks.train(task, 64, [0])
    assert isinstance(found, DivergenceError)
    with pytest.raises(DivergenceError):
        make("theory", "mean-field", samples=256).predict(task)
