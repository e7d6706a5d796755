"""The examples of docs/python.md run, in order, on real results."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import made_results
import matplotlib
import pytest
from commands import TINY

import harness
from harness.errors import ClusterError, StoreError

BROKEN = """
from harness import LimitbenchError, Params, Problem, Trajectory, theory


class BrokenParams(Params):
    pass


@theory("broken", version="1")
class Broken:
    def __init__(self, params: BrokenParams) -> None:
        pass

    def supports(self, problem: Problem) -> str | None:
        return None

    def predict(self, problem: Problem) -> Trajectory:
        raise LimitbenchError("no such law")
"""

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
SCRIPT = """
import harness
print(harness.run("smoke", workers=2))
"""
"""Without a guard, as people write scripts: workers must not run it again."""


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    (folder / "script.py").write_text(SCRIPT)
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    assert done.stdout == f"Results({Path('results') / 'smoke'}: 6 done)\n"
    assert (folder / "results" / "smoke" / "report.html").is_file()
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


def test_a_notebook_shows_the_leaderboard_as_text_that_is_safe(smoke: Path, tmp_path: Path) -> None:
    made = made_results.Results(tmp_path / "<b>")
    made.add("<i>one</i>", {"exact": 0.001})
    page = harness.load(smoke / "results" / "smoke", tmp_path / "<b>")._repr_html_()
    assert page.count("<tr>") == 1 + 2 + 1
    assert "lazy-ntk" in page and "&lt;i&gt;one&lt;/i&gt;" in page and "<i>" not in page


def test_a_run_from_python_says_how_many_cells_failed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plugin = tmp_path / "plugins" / "broken.py"
    plugin.parent.mkdir()
    plugin.write_text(BROKEN)
    (tmp_path / "suite.toml").write_text(TINY.replace("lazy-ntk", "broken"))
    found = harness.run(
        tmp_path / "suite.toml", results=tmp_path / "results", plugin_dirs=[plugin.parent]
    )
    assert found.cells.loc[found.cells["solver"] == "broken", "message"].tolist() == ["no such law"]
    assert set(found.cells["status"]) == {"done", "failed"}
    assert "1 of the cells failed; Results.cells has their messages" in caplog.messages
    with pytest.raises(ClusterError, match="resources and shared_results go with scheduler"):
        harness.run("smoke", resources={"GPU": 1.0})
    with pytest.raises(ClusterError, match="leave them out with scheduler"):
        harness.run("smoke", workers=1, scheduler="tcp://127.0.0.1:1")


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
