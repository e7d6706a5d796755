"""Small values, inputs and problems for checks of components."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from harness.records import Dataset, Problem, Protocol, Stage, TransferData
from harness.registry.component import Component
from harness.registry.registry import Registry

Sample = dict[str, Any]

SAMPLES: Sample = {
    "dimension": 6,
    "source_points": 6,
    "target_points": 4,
    "test_points": 4,
    "alignment": 0.5,
    "source_degree": 1,
    "target_degree": 2,
    "directions": 3,
    "source_directions": 2,
    "tasks": ["source", "target"],
    "richness": 0.7,
    "source_richness": 0.7,
    "target_richness": 0.5,
    "steps": 5,
    "source_steps": 5,
    "target_steps": 4,
}
"""Small values for parameters, by their names in built-in components."""

TABLE: Sample = {
    "file": str(Path(__file__).with_name("sample.csv")),
    "label": "y",
    "source_label": "y_source",
    "source_points": 6,
    "target_points": 4,
    "test_points": 4,
}
"""Values for parameters of a task that reads a table: 40 rows of random numbers."""

INPUTS: dict[str, tuple[tuple[int, ...], ...]] = {
    "flat inputs": ((3, 12),),
    "images": ((3, 8, 8, 1), (3, 8, 8, 3), (3, 28, 28, 1), (3, 32, 32, 3)),
}
"""Shapes of inputs by kind; an architecture is checked on the first one of a kind that it takes."""

IMAGE = (2, 3, 1)
"""Shape of an image with as many numbers as an input of `small_problems`."""


def sample_parameters(component: Component) -> Sample | None:
    """Return parameter values for checking a component, or None if defaults do not suffice."""
    if component.kind == "task" and component.params.model_fields.keys() >= TABLE.keys():
        return dict(TABLE)
    required = [n for n, f in component.params.model_fields.items() if f.is_required()]
    guesses: Sample = {}
    for name in required:
        field = component.params.model_fields[name]
        if name in SAMPLES:
            guesses[name] = SAMPLES[name]
        elif field.annotation is int:
            guesses[name] = 4
        elif field.annotation is float:
            guesses[name] = 0.5
        else:
            return None
    return guesses


def small_problems() -> Iterator[Problem]:
    """Yield problems small enough for any theory, one for each domain of the literature.

    Two stages of a linear network come first, then those of a deep one, training without a source,
    and long training with noise and decay.
    """
    two = (
        Stage(data="source", richness=0.5, steps=4, dt=0.05),
        Stage(data="target", richness=0.5, steps=3, dt=0.05),
    )
    noisy = tuple(
        Stage(data=s.data, richness=0.5, steps=600, dt=0.05, decay=1.0, temperature=0.1)
        for s in two
    )
    yield _problem({"depth": 1, "activation": "linear"}, two)
    yield _problem({"depth": 2, "activation": "relu"}, two)
    yield _problem({"depth": 1, "activation": "linear"}, two[1:])
    yield _problem({"depth": 1, "activation": "linear"}, noisy)


def on_images(problem: Problem) -> Problem:
    """Return a small problem with its inputs as images."""
    sets = problem.data.sets()
    data = {n: Dataset(d.x.reshape(len(d), *IMAGE), d.y) for n, d in sets.items()}
    return Problem(_transfer(data), problem.architecture, problem.protocol)


def _problem(architecture: Sample, stages: tuple[Stage, ...]) -> Problem:
    mlp = Registry.load().get("architecture", "mlp")
    x = np.random.default_rng(0).standard_normal((4, 5, 6))
    sets = [Dataset(points, points[:, k % 2]) for k, points in enumerate(x)]
    data = {"source": sets[0], "source_test": sets[2], "target": sets[1], "target_test": sets[3]}
    seen = {s.data for s in stages}
    kept = {name: d for name, d in data.items() if name.removesuffix("_test") in seen}
    return Problem(_transfer(kept), mlp.make(mlp.parse(architecture)), Protocol(stages))


def _transfer(sets: dict[str, Dataset]) -> TransferData:
    return TransferData(
        source=sets.get("source"),
        source_test=sets.get("source_test"),
        target=sets["target"],
        target_test=sets["target_test"],
    )
