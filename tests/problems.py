"""Small problems that several tests solve, and how far two answers are apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import harness
from harness import (
    Dataset,
    Problem,
    Protocol,
    Registry,
    Stage,
    Trajectory,
    TransferData,
)

REGISTRY = Registry.load()


def make(kind: Any, name: str, **parameters: Any) -> Any:
    component = REGISTRY.get(kind, name)
    return component.make(component.parse(parameters))


def problem(
    data: TransferData, *stages: Stage, activation: str = "relu", depth: int = 1
) -> Problem:
    return Problem(
        data, make("architecture", "mlp", depth=depth, activation=activation), Protocol(stages)
    )


def gaussian_data(seed: int = 0, dimension: int = 8, points: int = 12) -> TransferData:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((4, points, dimension))
    labels = [np.sign(s[:, 0] + 0.5 * s[:, k % 2]) for k, s in enumerate(x)]
    sets = [Dataset(a, b) for a, b in zip(x, labels, strict=True)]
    return TransferData(source=sets[0], source_test=sets[1], target=sets[2], target_test=sets[3])


def images(side: int = 6, channels: int = 2, points: int = 8, classes: int = 2) -> TransferData:
    """Return Gaussian images; three or more classes have one-hot labels."""
    sets: Any = {}
    for name, d in gaussian_data(dimension=side * side * channels, points=points).sets().items():
        y = d.y if classes == 2 else np.eye(classes)[np.argmax(d.x[:, :classes], axis=1)]
        sets[name] = Dataset(d.x.reshape(len(d), side, side, channels), y)
    return TransferData(**sets)


def three_tasks(seed: int = 0, dimension: int = 8, points: int = 12) -> TransferData:
    """Return `gaussian_data` with a third task between its two, of the sign of another input."""
    two = gaussian_data(seed, dimension, points)
    x = np.random.default_rng([seed, 3]).standard_normal((2, points, dimension))
    train, test = (Dataset(each, np.sign(each[:, 3])) for each in x)
    return replace(two, others={"third": (train, test)})


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def norm_error(found: Trajectory, stage: int) -> float:
    output = found[stage, "output/test"]
    if output.stderr is None:  # exact
        return 0.0
    return float(np.linalg.norm(output.stderr) / np.linalg.norm(output.values))


def assert_near_networks(
    theories: dict[str, Trajectory], task: Problem, width: int, seeds: int = 6
) -> None:
    """Train networks of a width, and assert that every theory predicts their mean at each stage."""
    trained = harness.networks.train(task, width, range(seeds))
    for index in range(len(task.protocol.stages)):
        outputs = np.stack([t[index, "output/test"].values[0] for t in trained])  # type: ignore[index]
        mean = outputs.mean(axis=0)
        own = np.linalg.norm(outputs.std(axis=0, ddof=1)) / seeds**0.5 / np.linalg.norm(mean)
        for name, found in theories.items():
            error = np.hypot(own, norm_error(found, index))
            # three standard errors, and the bias of networks: about 1 / N of O(1) to O(10)
            distance = relative(found[index, "output/test"].values[0], mean)
            assert distance < 3 * error + 5 / width, (name, index)


def reference_problem(reference: dict[str, np.ndarray]) -> Problem:
    r = reference
    data = TransferData(
        source=Dataset(r["X1"], r["y1"]),
        source_test=Dataset(r["Xt"], r["yt1"]),
        target=Dataset(r["X2"], r["y2"]),
        target_test=Dataset(r["Xt"], r["yt2"]),
    )
    return problem(
        data,
        Stage(data="source", richness=1.5, steps=300, dt=0.02),
        Stage(data="target", richness=0.7, steps=300, dt=0.02),
    )
