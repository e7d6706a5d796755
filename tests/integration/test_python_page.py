"""The examples of docs/python.md run, in order, on real results."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

import harness
from harness.errors import StoreError

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
COMMAND = Path(sys.executable).with_name("limitbench")


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    subprocess.run([COMMAND, "run", "smoke"], cwd=folder, check=True, capture_output=True)
    return folder


def test_the_examples_run_as_they_are_printed(
    smoke: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    matplotlib.use("agg")
    monkeypatch.chdir(smoke)
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(code) > 5
    names: dict[str, object] = {}
    for block in code:
        exec(compile(block, str(PAGE), "exec"), names)
    printed = capsys.readouterr().out
    assert "lazy-ntk" in printed and "agrees" in printed


def test_frames_are_tidy(smoke: Path) -> None:
    results = harness.load(smoke / "results" / "smoke")
    cells = results.cells
    assert cells.index.is_unique and len(cells) == 6
    assert cells["width"].dropna().tolist() == [16, 16, 32, 32]
    assert set(cells["regime"]) == {"jointly-rich"}
    assert set(cells["regime.target_richness"]) == {1.0}
    assert set(cells["status"]) == {"done"}
    curves = results.curves
    key = ["experiment", "solver", "width", "seed", "stage", "observable", "step", "index"]
    assert not curves.duplicated(key).any(), "one row a value"
    assert len(results.scores) == 2 * 3, "theories and observables"
    assert len(results.discrepancies) == 2 * 3 * 2, "and widths"
    assert (results.scores["limit_gap_low"] <= results.scores["limit_gap_high"]).all()


def test_arrays_are_read_one_at_a_time(smoke: Path) -> None:
    results = harness.load(smoke / "results" / "smoke")
    theory = results.cells.index[results.cells["solver"] == "mean-field"][0]
    arrays = results.arrays[theory]
    assert "stage1/kernel/feature" in arrays and len(arrays) == len(list(arrays))
    replicates = arrays["stage1/output/test/replicates"]
    curves = results.curves
    mine = curves[
        (curves["solver"] == "mean-field")
        & (curves["stage"] == 1)
        & (curves["observable"] == "output/test")
    ]
    assert replicates[:, -1].mean(axis=0) == pytest.approx(mine["value"].to_numpy(), abs=1e-6)


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no results here"):
        harness.load(tmp_path)
