"""A suite that trains on the steps of a staircase in turn runs to scores, transfer and a page."""

from __future__ import annotations

import html
import re
import subprocess
from pathlib import Path

import pytest
from commands import COMMAND, suite_file, with_own_caches

import harness
from harness.suites import load_suite

SUITE = """
[suite]
name = "stairs"
widths = [16, 32]
seeds = 2

[[experiment]]
name = "in-turn"
theories = [{ name = "mean-field", samples = 512 }, "lazy-ntk", "linear-transfer"]

[experiment.task]
name = "multi-index"
dimension = 6
directions = 3
source_directions = 1
source_points = 8
step_points = 9
target_points = 10
test_points = 7

[experiment.architecture]
name = "mlp"

[experiment.regime]
name = "curriculum"
tasks = ["source", "step-2", "source", "target"]
richness = [1.0, 1.0, 1.0, 0.5]
steps = [6, 8, 3, 10]
dt = 0.05
readout = "reset"

[[experiment]]
name = "alone"
theories = ["lazy-ntk"]
REGIME
"""
PARTS = SUITE[SUITE.index("[experiment.task]") : SUITE.index("[experiment.regime]")]
ALONE = """
[experiment.regime]
name = "no-pretraining"
target_richness = 0.5
target_steps = 10
dt = 0.05
"""
STAIRS = SUITE.replace("REGIME", PARTS + ALONE)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> harness.Results:
    folder = tmp_path_factory.mktemp("stairs")
    path = suite_file(folder, text=STAIRS)
    return harness.run(path, results=folder / "results")


def test_every_stage_records_how_much_is_left_of_earlier_tasks(found: harness.Results) -> None:
    curves = found.curves
    mine = curves[curves["experiment"] == "in-turn"]
    probed = mine[mine["observable"].str.startswith("probe/")]
    for solver in ("network", "mean-field", "lazy-ntk"):
        by_stage = probed[probed["solver"] == solver].groupby("stage")["observable"].agg(set)
        both = {"probe/source-loss", "probe/step-2-loss"}
        assert by_stage.tolist() == [{"probe/source-loss"}, {"probe/source-loss"}, both, both]


def test_the_last_stage_is_scored(found: harness.Results) -> None:
    scored = found.discrepancies[found.discrepancies["experiment"] == "in-turn"]
    assert set(scored["theory"]) == {"mean-field", "lazy-ntk"}
    reasons = found.cells[found.cells["solver"] == "linear-transfer"]["message"]
    assert len(reasons) == 1 and reasons.str.contains("describes").all()


def test_the_gain_is_over_the_last_stage_alone(found: harness.Results) -> None:
    frame = found.transfer
    assert set(frame["experiment"]) == {"in-turn"}
    networks = frame[frame["solver"] == "network"]
    assert set(networks["control"]) == {"alone"}
    assert networks[["gain", "forgetting", "forgetting_stderr"]].notna().all(axis=None)


def test_the_page_draws_the_forgetting_of_every_task_under_the_names_of_the_stages(
    found: harness.Results,
) -> None:
    page = (Path(found.folders[0]) / "report.html").read_text()
    titles = re.findall(r"<title[^>]*>([^<]* loss during [^<]*)</title>", page)
    assert titles == [
        "Source loss during later training: in-turn",
        "Step-2 loss during later training: in-turn",
    ]
    assert "step-2 loss" in page


def test_the_page_holds_a_suite_file_of_the_curriculum(
    found: harness.Results, tmp_path: Path
) -> None:
    page = (Path(found.folders[0]) / "report.html").read_text()
    copied = page[page.index("[suite]") :].partition("</pre>")[0].partition("</code>")[0]
    path = suite_file(tmp_path, text=html.unescape(copied))
    suite = load_suite(path, harness.Registry.load())
    assert suite.experiments[0].regime.parameters["steps"] == [6, 8, 3, 10]


def test_a_plan_tells_which_tasks_there_are(tmp_path: Path) -> None:
    path = suite_file(tmp_path, ('"step-2"', '"step-4"'), text=STAIRS)
    done = subprocess.run(
        [COMMAND, "run", path, "--dry-run", "--results", tmp_path / "results"],
        env=with_own_caches(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "a stage trains on 'step-4', which this task does not have" in done.stderr
    assert "its data are named source, step-2, target" in done.stderr
