"""A theory is ranked against networks that are at hand, with the verdicts of a full run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness.cli.score_ import command as score
from harness.errors import LimitbenchError
from harness.runs import run
from harness.scoring import RANKED, score_folders
from harness.store import Store
from harness.store.check import IDENTITY
from harness.submissions import pack
from harness.suites.cells import digest

SUITE = """
[suite]
name = "few"
widths = [16, 32]
seeds = 3
theories = {theories}

[[experiment]]
name = "shallow"
task = {{ {task} }}
architecture = {{ name = "mlp", depth = 1, activation = "relu" }}
regime = {{ {regime} }}

[[experiment]]
name = "decayed"
task = {{ {task} }}
architecture = {{ name = "mlp", depth = 1, activation = "relu" }}
regime = {{ name = "no-pretraining", target_richness = 1.0, target_steps = 6, decay = 0.1 }}
"""

PARTS = {
    "task": 'name = "linear-transfer", dimension = 5, source_points = 6, target_points = 4,'
    " test_points = 8, alignment = 0.8",
    "regime": 'name = "jointly-rich", source_richness = 1.0, target_richness = 1.0,'
    " source_steps = 6, target_steps = 6",
}

OWN = """
from harness import Params, Problem, ProblemSize, Trajectory, Work, theory
import harness


class HalfParams(Params):
    pass


@theory("half", version="1", tags={{"test"}})
class Half:
    \"\"\"Half of the lazy predictor.\"\"\"

    def __init__(self, params: HalfParams) -> None:
        self.params = params

    def supports(self, problem: Problem) -> str | None:
        return "no decay" if any(s.decay for s in problem.protocol.stages) else None

    def cost(self, size: ProblemSize) -> Work:
        return Work(1.0)

    def predict(self, problem: Problem) -> Trajectory:
        {body}
        settings = harness.numerics.LazySettings(False)
        found = harness.solving.solve_problem(problem, harness.numerics.solve_lazy, settings)
        halved = [
            {{n: harness.Observable(o.steps, o.values / 2) for n, o in stage.items()}}
            for stage in found.stages
        ]
        return Trajectory(tuple(halved))
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the suite's results, and a submission of them, by lazy-ntk alone."""
    folder = tmp_path_factory.mktemp("contest")
    (folder / "few.toml").write_text(SUITE.format(**PARTS, theories='["lazy-ntk"]'))
    run(folder / "few.toml", results=folder / "networks", workers=1)
    pack([Store(folder / "networks")], folder / "few.parquet")
    return folder


def scored(*arguments: str | Path) -> Result:
    found = CliRunner().invoke(score, [str(a) for a in arguments])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


def rows(text: str, theory: str) -> dict[tuple[str, str], dict[str, Any]]:
    found = [row for row in json.loads(text) if row["theory"] == theory]
    return {(row["experiment"], row["observable"]): row for row in found}


def test_verdicts_are_those_of_a_full_run(suite: Path, tmp_path: Path) -> None:
    (tmp_path / "full.toml").write_text(SUITE.format(**PARTS, theories='["lazy-ntk", "lazy-nngp"]'))
    run(tmp_path / "full.toml", results=tmp_path / "full", workers=1)
    full = score_folders([Store(tmp_path / "full")], RANKED).rows
    said = scored(
        "lazy-nngp", "--against", suite / "few.parquet", "--results", tmp_path / "own", "--json"
    )
    mine = rows(said.stdout, "lazy-nngp")
    whole = {(r.experiment, r.observable): r for r in full if r.theory == "lazy-nngp"}
    assert len(whole) == 8
    assert mine.keys() == whole.keys()
    for place, row in whole.items():
        assert mine[place]["verdict"] == row.verdict
        assert mine[place]["limit_gap"] == pytest.approx(row.limit_gap, abs=1e-9)
        assert mine[place]["limit_gap_ci"] == pytest.approx(row.limit_gap_ci, abs=1e-9)
    assert not (tmp_path / "own" / "cells").joinpath("network").exists()
    assert {r.facts.solver.width for r in Store(tmp_path / "own").cells()} == {None}


def test_a_file_is_ranked_on_its_half_and_is_not_solved_twice(suite: Path, tmp_path: Path) -> None:
    own = tmp_path / "half.py"
    own.write_text(dedent(OWN.format(body="pass")))
    asked = (own, "--against", suite / "networks", "--results", tmp_path / "own", "--workers", "1")
    first = scored(*asked)
    assert "decayed: half: not applicable: no decay" in first.stderr
    assert "half: rank 1 of 2, tied with lazy-ntk" in first.stdout
    assert "in 0 of the 1 experiments that it supports, of 2" in first.stdout
    stamps = [Store(tmp_path / "own").stamp(r.key) for r in Store(tmp_path / "own").cells()]
    again = scored(*asked)
    assert again.stdout == first.stdout
    assert [Store(tmp_path / "own").stamp(r.key) for r in Store(tmp_path / "own").cells()] == stamps


def test_a_failure_is_told_and_costs_no_other_result(suite: Path, tmp_path: Path) -> None:
    own = tmp_path / "half.py"
    own.write_text(dedent(OWN.format(body="raise ValueError('not today')")))
    said = scored(
        own, "--against", suite / "networks", "--results", tmp_path / "own", "--workers", "1"
    )
    assert "not today" in said.stderr
    assert "lazy-ntk" in said.stdout


@pytest.mark.parametrize(
    ("theory", "against", "message"),
    [
        ("lazy-ntkk", "standard", "unknown theory 'lazy-ntkk'; did you mean 'lazy-ntk'?"),
        ("nowhere.py", "standard", "nowhere.py: no such file; give a plugin file"),
        ("lazy-ntk", "standart", "standart: no such networks; did you mean 'standard'?"),
    ],
)
def test_a_mistake_is_one_line(theory: str, against: str, message: str) -> None:
    with pytest.raises(LimitbenchError, match=r"^[^\n]*$") as refused:
        scored(theory, "--against", against)
    assert str(refused.value).startswith(message)


def test_a_file_declares_one_theory(tmp_path: Path) -> None:
    (tmp_path / "none.py").write_text("x = 1\n")
    with pytest.raises(LimitbenchError, match="declares these theories: none; one is needed"):
        scored(tmp_path / "none.py")
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(LimitbenchError, match="ModuleNotFoundError"):
        scored(tmp_path / "broken.py")


def test_a_folder_without_networks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(LimitbenchError, match="no results here"):
        scored("lazy-ntk", "--against", tmp_path)


def changed(networks: Store, root: Path, change: Callable[[dict[str, Any]], None]) -> Store:
    """Return a copy of results whose cells of one experiment have other facts, and their keys."""
    copied, keys = Store(root), dict[str, str]()
    for record in networks.cells():
        files = {p.name: p.read_bytes() for p in record.folder.iterdir()}
        facts = json.loads(files["cell.json"])
        if facts["experiment"] == "decayed":
            change(facts)
        facts["key"] = digest({name: facts[name] for name in IDENTITY})
        keys[record.key] = facts["key"]
        files["cell.json"] = json.dumps(facts).encode()
        copied.adopt(facts["key"], files)
    for manifest in networks.manifests():
        cells = [keys[key] for key in manifest.cells]
        copied.write_manifest(manifest.model_copy(update={"cells": cells}))
    return copied


def test_other_versions_of_a_problem_are_named(suite: Path, tmp_path: Path) -> None:
    def older(facts: dict[str, Any]) -> None:
        facts["regime"]["version"] = "0"

    changed(Store(suite / "networks"), tmp_path / "newer", older)
    said = scored("lazy-nngp", "--against", tmp_path / "newer", "--results", tmp_path / "own")
    assert "regime 'no-pretraining' is version 1 here, and 0 in the results" in said.stderr
    assert "lazy-nngp: rank" in said.stdout


def test_data_of_another_machine_are_the_same_but_for_rounding(suite: Path, tmp_path: Path) -> None:
    def elsewhere(facts: dict[str, Any]) -> None:
        facts["data"] = "0" * 64  # a digest of every bit differs

    networks = Store(suite / "networks")
    changed(networks, tmp_path / "there", elsewhere)
    asked = ("lazy-nngp", "--results", tmp_path / "own", "--json", "--against")
    found = rows(scored(*asked, tmp_path / "there").stdout, "lazy-nngp")
    expected = rows(scored(*asked, networks.root).stdout, "lazy-nngp")
    assert found.keys() == expected.keys()
    for place, row in expected.items():
        assert found[place]["limit_gap_ci"] == row["limit_gap_ci"]


def test_other_data_are_not_scored(suite: Path, tmp_path: Path) -> None:
    def other(facts: dict[str, Any]) -> None:
        facts |= {"data": "0" * 64, "rounded": "1" * 64}

    changed(Store(suite / "networks"), tmp_path / "there", other)
    said = scored("lazy-nngp", "--against", tmp_path / "there", "--results", tmp_path / "own")
    assert (
        "decayed: lazy-nngp is not solved: task 'linear-transfer' makes other data" in said.stderr
    )
    assert "in 0 of the 1 experiments that it supports, of 1" in said.stdout
