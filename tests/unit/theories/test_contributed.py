"""The theory of docs/writing-plugins.md: in forty lines, through the loop of the built-in ones."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from problems import gaussian_data, make, problem

from harness import Component, Registry, Stage
from harness.conformance import check_component

DOCS = Path(__file__).parents[3] / "docs/writing-plugins.md"
SOURCE = re.findall(r"```python\n(.*?)```", DOCS.read_text(), flags=re.DOTALL)
MOST_LINES = 40


@pytest.fixture
def theory(tmp_path: Path) -> Component:
    (text,) = [block for block in SOURCE if "random-features" in block]
    assert len(text.splitlines()) <= MOST_LINES
    (tmp_path / "random_features.py").write_text(text)
    return Registry.load([tmp_path]).get("theory", "random-features")


def test_it_samples_until_its_standard_error_is_small(theory: Component) -> None:
    asked = problem(
        gaussian_data(),
        Stage(data="source", richness=1.0, steps=40, dt=0.05, trainable="readout"),
        Stage(data="target", richness=1.0, steps=40, dt=0.05, trainable="readout", readout="zero"),
    )
    found = {
        target: theory.make(theory.parse({"target_error": target})).predict(asked)
        for target in (0.05, 0.01)
    }
    exact = make("theory", "lazy-nngp").predict(asked)
    assert found[0.01].notes["samples"] > found[0.05].notes["samples"] >= 2**12
    for target, trajectory in found.items():
        for index in range(2):
            sampled, known = (t[index, "output/test"] for t in (trajectory, exact))
            assert sampled.stderr is not None
            size = np.linalg.norm(sampled.values)
            assert np.linalg.norm(sampled.stderr) <= target * size
            off = (sampled.values - known.values) / sampled.stderr
            # the square of a t of 7 degrees of freedom has mean 7/5, and few components differ
            assert np.mean(off**2) < 4
            assert trajectory[index, "kernel/feature"].stderr is not None


def test_it_refuses_a_logistic_problem_in_one_line(theory: Component) -> None:
    stage = Stage(data="target", richness=1.0, steps=2, dt=0.05)
    solver = theory.make(theory.parse({}))
    assert solver.supports(problem(gaussian_data(), stage)) is None
    logistic = problem(gaussian_data(), replace(stage, loss="logistic"))
    assert solver.supports(logistic) == "describes the squared loss, not the logistic one"


def test_it_passes_the_checks_of_every_theory(theory: Component, tmp_path: Path) -> None:
    checks = check_component(theory, {}, [str(tmp_path)])
    assert [f"{c.name}: {c.failure}" for c in checks if c.failure] == []
