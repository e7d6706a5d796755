"""An observable of one file goes from the suite to the leaderboard, the page and frames."""

from __future__ import annotations

import json
import tomllib
from html import unescape
from pathlib import Path

import pytest
from click.testing import CliRunner

import harness
from harness.cli.tables import other_sources
from harness.report.sections.provenance import as_toml
from harness.scoring import read_problems, score_folders
from harness.store import Store, experiments
from harness.store.care import verify

OBSERVABLES = '''
import numpy as np
from harness import Params, Units, observable

class PowerParams(Params):
    power: int = 2
    """Power of the features."""

@observable("feature/moment", version="1")
def moment(params: PowerParams, end: Units):
    """Mean power of the features of every layer."""
    return np.array([np.mean(phi**params.power) for phi in end.test.features])

@observable("feature/broken", version="1")
def broken(params: PowerParams, end: Units):
    """One that fails."""
    raise RuntimeError("no luck")
'''

SUITE = """
[suite]
name = "moments"
widths = [16, 32, 64]
seeds = 2
observables = [{ name = "feature/moment", power = 4, scored = true }, "preactivation/change-rms"]

[[experiment]]
name = "one"
architecture = { name = "mlp", activation = "tanh" }
regime = { name = "single", richness = 1.0, steps = 5 }
theories = [{ name = "mean-field", samples = 512 }, "lazy-ntk"]

[experiment.task]
name = "linear-transfer"
dimension = 6
source_points = 8
target_points = 6
test_points = 8
alignment = 0.5
"""

MOMENT = "feature/moment"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("moments")
    (found / "moment.py").write_text(OBSERVABLES)
    (found / "moments.toml").write_text(SUITE)
    return found


def run(folder: Path, results: str = "results") -> harness.Results:
    plugins = [folder / "moment.py"]
    return harness.run(
        folder / "moments.toml", results=folder / results, plugin_dirs=plugins, workers=1
    )


@pytest.fixture(scope="module")
def found(folder: Path) -> harness.Results:
    return run(folder)


def test_networks_and_the_theory_of_units_record_it(found: harness.Results) -> None:
    curves = found.curves
    moments = curves[curves["observable"] == MOMENT]
    assert set(moments["solver"]) == {"network", "mean-field"}
    assert set(moments["step"]) == {5} and set(moments["index"]) == {0}
    errors = moments[moments["solver"] == "mean-field"]["stderr"]
    assert errors.gt(0).all()


def test_it_is_scored_as_asked_and_others_are_not(found: harness.Results) -> None:
    scores = found.scores
    own = scores[scores["observable"] == MOMENT]
    assert own["theory"].tolist() == ["mean-field"]
    assert own[f"versions.observable {MOMENT}"].tolist() == ["1"]
    assert set(scores["observable"]) == {"output/test", "loss/test", "loss/train", MOMENT}
    notes = score_folders([Store(found.folders[0])]).notes
    assert f"one: lazy-ntk is not scored on {MOMENT}: it does not predict it" in notes


def test_the_leaderboard_shows_it(found: harness.Results) -> None:
    from harness.cli.leaderboard_ import command

    done = CliRunner().invoke(
        command, [str(found.folders[0]), "--observable", MOMENT, "--json"], catch_exceptions=False
    )
    (row,) = json.loads(done.stdout)
    assert (row["theory"], row["observable"]) == ("mean-field", MOMENT)
    wrong = CliRunner().invoke(command, [str(found.folders[0]), "--observable", "feature/mment"])
    assert str(wrong.exception) == (
        "--observable 'feature/mment' is not scored; did you mean 'feature/moment'?; allowed are"
        " output/test, loss/test, loss/train, feature/moment, kernel/feature,"
        " preactivation/density and all"
    )


def test_the_page_shows_it_and_the_coordinate_check(found: harness.Results) -> None:
    page = unescape((found.folders[0] / "report.html").read_text())
    assert "Coordinate check: one" in page
    assert f"{MOMENT} over width: one" in page
    assert f"observable: {MOMENT}, version 1" in page


def test_the_suite_on_the_page_finds_the_same_cells(folder: Path, found: harness.Results) -> None:
    (experiment,) = experiments(Store(found.folders[0]))
    again = tomllib.loads(as_toml(experiment))["experiment"][0]
    assert again["observables"] == [
        {"name": MOMENT, "power": 4, "scored": True},
        {"name": "preactivation/change-rms", "points": "test"},
    ]
    before = {p: p.stat().st_mtime_ns for p in found.folders[0].glob("cells/*/cell.json")}
    (folder / "moments.toml").write_text(as_toml(experiment))
    run(folder)
    (folder / "moments.toml").write_text(SUITE)
    assert {p: p.stat().st_mtime_ns for p in found.folders[0].glob("cells/*/cell.json")} == before


def test_whether_it_is_scored_can_change_without_computing(
    folder: Path, found: harness.Results
) -> None:
    before = {p: p.stat().st_mtime_ns for p in found.folders[0].glob("cells/*/cell.json")}
    (folder / "moments.toml").write_text(SUITE.replace(", scored = true", ""))
    again = run(folder)
    assert MOMENT not in set(again.scores["observable"])
    (folder / "moments.toml").write_text(SUITE)
    run(folder)
    assert {p: p.stat().st_mtime_ns for p in found.folders[0].glob("cells/*/cell.json")} == before


def test_results_without_it_are_kept_apart(folder: Path, found: harness.Results) -> None:
    """The networks are the same, and would count twice."""
    (folder / "moments.toml").write_text(
        "\n".join(line for line in SUITE.splitlines() if not line.startswith("observables"))
    )
    run(folder, "plain")
    (folder / "moments.toml").write_text(SUITE)
    problems = read_problems([Store(folder / name) for name in ("results", "plain")], [])
    assert [{n: len(r) for n, r in p.networks.items()} for p in problems] == [
        {16: 2, 32: 2, 64: 2}
    ] * 2
    assert [p.scored for p in problems] == [(MOMENT,), ()]
    assert problems[1].apart == "observables=None"


def test_another_source_is_noticed(folder: Path, found: harness.Results) -> None:
    from harness import Registry
    from harness.store.care import Sources

    sources = Sources()
    assert list(verify(Store(found.folders[0]), sources)) == []
    other = folder / "other.py"
    other.write_text(OBSERVABLES.replace("np.mean(phi", "np.mean(1.0 * phi"))
    assert list(sources.changed(Registry.load([folder / "moment.py"]))) == []
    lines = list(sources.changed(Registry.load([other])))
    assert [line.partition(",")[0] for line in lines] == [f"observable {MOMENT!r}"]
    rows = score_folders([Store(found.folders[0])]).rows
    assert other_sources(rows, Registry.load([folder / "moment.py"])) == []
    (line,) = other_sources(rows, Registry.load([other]))
    assert line.startswith(f"observable {MOMENT!r}, version 1, has another source here")


def test_one_that_fails_costs_its_cells_and_says_so(folder: Path) -> None:
    own = 'observables = ["feature/broken"]\nname = "one"'
    (folder / "moments.toml").write_text(SUITE.replace('name = "one"', own))
    cells = run(folder, "broken").cells
    (folder / "moments.toml").write_text(SUITE)
    reason = "observable 'feature/broken': RuntimeError: no luck; mend it, then run again"
    assert set(cells[cells["status"] == "failed"]["message"]) == {reason}
    assert cells[cells["status"] == "done"]["solver"].tolist() == ["lazy-ntk"], "it shows no units"
    facts = [json.loads(p.read_text()) for p in (folder / "broken").glob("cells/*/cell.json")]
    assert all("no luck" in f["traceback"] for f in facts if f["status"] == "failed")
