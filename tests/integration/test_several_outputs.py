"""A task of one file with three classes runs from networks and theories to scores and a page."""

from __future__ import annotations

from pathlib import Path

import pytest

import harness

TASK = """
import numpy as np
from pydantic import Field

from harness import Dataset, Params, TransferData, task


class ThreeParams(Params):
    points: int = Field(default=9, ge=3)


@task("three-classes", version="1")
def three(params: ThreeParams, seed: int) -> TransferData:
    rng = np.random.default_rng(seed)

    def one() -> Dataset:
        classes = rng.permutation(np.arange(params.points) % 3)
        x = rng.standard_normal((params.points, 6))
        x[np.arange(params.points), classes] += 2
        return Dataset(x, np.eye(3)[classes])

    return TransferData(source=one(), source_test=one(), target=one(), target_test=one())
"""

SUITE = """
[suite]
name = "three"
widths = [16, 32]
seeds = 2

[[experiment]]
name = "softmax"
task = { name = "three-classes" }
architecture = { name = "mlp", activation = "tanh" }
theories = [{ name = "mean-field", samples = 512 }, "lazy-ntk", "linear-transfer"]

[experiment.regime]
name = "jointly-rich"
loss = "softmax"
source_richness = 1.0
target_richness = 1.0
source_steps = 10
target_steps = 10
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> harness.Results:
    folder = tmp_path_factory.mktemp("three")
    (folder / "plugins").mkdir()
    (folder / "plugins" / "three.py").write_text(TASK)
    (folder / "three.toml").write_text(SUITE)
    return harness.run(
        folder / "three.toml", results=folder / "results", plugin_dirs=[folder / "plugins"]
    )


def test_networks_and_theories_are_scored_on_pairs_of_point_and_output(
    found: harness.Results,
) -> None:
    curves = found.curves
    outputs = curves[curves["observable"] == "output/test"]
    assert set(outputs["index"]) == set(range(27))
    assert set(curves[curves["observable"] == "accuracy/test"]["stage"]) == {0, 1}
    scored = found.discrepancies[found.discrepancies["observable"] == "output/test"]
    assert set(scored["theory"]) == {"mean-field", "lazy-ntk"}
    assert scored["discrepancy"].gt(0).all()


def test_a_theory_of_one_output_is_left_out_with_its_reason(found: harness.Results) -> None:
    cells = found.cells
    reasons = cells[cells["solver"] == "linear-transfer"]["message"]
    assert len(reasons) == 1 and reasons.str.contains("describes").all()


def test_the_page_shows_the_experiment(found: harness.Results) -> None:
    page = (Path(found.folders[0]) / "report.html").read_text()
    assert "softmax" in page and "mean-field" in page
    assert "Test accuracy over training" in page
    assert "Feature kernels, networks and mean-field" in page
