"""Leaderboards of made-up results folders: merging, keeping apart, counting and ranking."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from made_results import manifest

from harness import Observable, Registry, Trajectory
from harness.cli.compare_ import command as compare
from harness.cli.leaderboard_ import command as show
from harness.cli.tables import print_leaderboard
from harness.records import TRAINER_VERSION
from harness.scoring import PRIMARY, SCORED, ScoreRow, Scores, overall, score_folders
from harness.scoring.problems import differences
from harness.store import Store
from harness.suites import Cell, Resolved, Suite, cells_of, load_suite
from harness.suites.cells import FORMAT, task_key
from harness.suites.experiment import Experiment, Spec

SUITE = replace(load_suite("smoke", Registry.load()), widths=(16, 32, 64), seeds=(0, 1, 2, 3))
EXPERIMENT = replace(
    SUITE.experiments[0], theories=(Spec("right", "1", {}), Spec("wrong", "1", {}))
)
POINTS = np.linspace(-1, 1, 12)


def outcome(cell: Cell) -> Trajectory:
    """Return networks around the points, `right` at them, and any other theory half off."""
    solver = cell.solver
    if solver.width is None:
        values = POINTS * (1.0 if solver.name == "right" else 1.5)
    else:
        rng = np.random.default_rng([solver.width, solver.seed or 0])
        values = POINTS + 0.05 * rng.standard_normal(12) / np.sqrt(solver.width)
    kernel = np.multiply.outer(values[:8], values[:8]) + np.eye(8)
    stage = {
        "kernel/feature": Observable(np.array([3]), np.stack([np.eye(8), kernel])[None]),
        "output/test": Observable(np.array([3]), values[None]),
        "loss/test": Observable(np.arange(4), np.exp(-np.arange(4)) + abs(values[0])),
        "loss/train": Observable(np.arange(4), np.exp(-np.arange(4)) + abs(values[1])),
    }
    return Trajectory((stage, stage))


def fill(
    folder: Path,
    experiment: Experiment = EXPERIMENT,
    *,
    seeds: Sequence[int] = SUITE.seeds,
    limitbench: str = "0.1.0",
    otherwise: dict[str, dict[str, Any]] | None = None,
    left_out: int = 0,
    suite: str = "made-up",
) -> Store:
    """Write an experiment's cells; `otherwise` has the facts of theories that are not done."""
    store, named = Store(folder), Suite(suite, SUITE.widths, tuple(seeds), "float32", ())
    cells = cells_of(experiment, named, Resolved(task_key(experiment), (0.1, 0.1)))
    for cell in cells[left_out:]:
        facts = {
            "format": FORMAT,
            "key": cell.key,
            "experiment": experiment.name,
            **cell.identity,
            **cell.provenance,
            "seconds": 2.0,
            "status": "done",
            "environment": {"versions": {"limitbench": limitbench}},
        }
        other = (otherwise or {}).get(cell.solver.name)
        store.write(cell, facts | (other or {}), None if other else outcome(cell))
    store.write_manifest(manifest(suite, 0, experiment, [cell.key for cell in cells]))
    return store


def primary(scores: Scores) -> list[ScoreRow]:
    return [row for row in scores.rows if row.observable == PRIMARY]


def test_theories_are_ranked_by_their_gap(tmp_path: Path) -> None:
    rows = primary(score_folders([fill(tmp_path)]))
    assert [(r.theory, r.rank, r.verdict) for r in rows] == [
        ("right", 1, "agrees"),
        ("wrong", 2, "disagrees"),
    ]
    # half off, relative to one and a half
    assert rows[1].limit_gap == pytest.approx(1 / 3, abs=0.01)
    assert all(row.complete and row.apart is None for row in rows)
    assert rows[0].versions["limitbench"] == "0.1.0"


def test_kernels_of_the_last_layer_are_scored_where_they_are_asked_for(tmp_path: Path) -> None:
    store = fill(tmp_path)
    assert {row.observable for row in score_folders([store]).rows} == set(SCORED)
    right, wrong = score_folders([store], ["kernel/feature"]).rows
    assert (right.theory, right.verdict, wrong.verdict) == ("right", "agrees", "disagrees")
    outer = np.multiply.outer(POINTS[:8], POINTS[:8])
    off = np.linalg.norm(1.25 * outer) / np.linalg.norm(np.eye(8) + 2.25 * outer)
    assert wrong.limit_gap == pytest.approx(off, rel=0.05)
    assert score_folders([store], ["preactivation/density"]).rows == []


def test_seeds_from_two_folders_are_scored_as_one_ensemble(tmp_path: Path) -> None:
    one = fill(tmp_path / "one", seeds=(0, 1))
    two = fill(tmp_path / "two", seeds=(2, 3))
    whole = fill(tmp_path / "whole")
    merged, expected = score_folders([one, two]), score_folders([whole])
    assert merged.rows == expected.rows
    assert {row.seeds for row in merged.rows} == {4}
    assert merged.notes == []


def test_cells_that_one_folder_lacks_may_be_in_another(tmp_path: Path) -> None:
    part = fill(tmp_path / "part", left_out=2)
    assert not any(row.complete for row in score_folders([part]).rows)
    assert all(row.complete for row in score_folders([part, fill(tmp_path / "all")]).rows)


@pytest.mark.parametrize("part", ["task", "architecture", "regime"])
def test_other_versions_of_a_component_are_kept_apart_and_named(tmp_path: Path, part: str) -> None:
    newer = replace(EXPERIMENT, **{part: replace(getattr(EXPERIMENT, part), version="2")})
    scores = score_folders([fill(tmp_path / "old"), fill(tmp_path / "new", newer)])
    rows = primary(scores)
    assert sorted((r.theory, r.apart) for r in rows) == [
        ("right", f"{part}.version=1"),
        ("right", f"{part}.version=2"),
        ("wrong", f"{part}.version=1"),
        ("wrong", f"{part}.version=2"),
    ]
    assert {r.seeds for r in rows} == {4}, "not mixed"
    assert any(f"{part}.version=1; {part}.version=2" in note for note in scores.notes)


def test_other_versions_of_a_theory_are_kept_apart_and_named(tmp_path: Path) -> None:
    newer = replace(EXPERIMENT, theories=(Spec("right", "2", {}),))
    scores = score_folders([fill(tmp_path / "old"), fill(tmp_path / "new", newer)])
    labels = sorted(str(r.apart) for r in primary(scores) if r.theory == "right")
    assert labels == ["theory.version=1", "theory.version=2"]
    assert scores.notes == ["digits: right kept apart: theory.version=1; theory.version=2"]


def test_cells_of_several_limitbench_versions_are_said(tmp_path: Path) -> None:
    one = fill(tmp_path / "one", seeds=(0, 1))
    two = fill(tmp_path / "two", seeds=(2, 3), limitbench="0.2.0")
    scores = score_folders([one, two])
    assert scores.notes == ["digits: scored with cells of limitbench 0.1.0, 0.2.0"]
    assert {row.versions["limitbench"] for row in scores.rows} == {"0.1.0, 0.2.0"}


def test_a_theory_that_does_not_apply_is_no_failure(tmp_path: Path) -> None:
    reason = {"status": "not-applicable", "message": "only two layers"}
    store = fill(tmp_path, otherwise={"wrong": reason})
    scores = score_folders([store])
    assert [(u.theory, u.status, u.reason) for u in scores.unscored] == [
        ("wrong", "not-applicable", "only two layers")
    ]
    found = {row.theory: row for row in overall(scores)}
    assert found["wrong"].not_applicable == 1
    assert found["wrong"].experiments == found["wrong"].no_verdict == 0
    assert found["wrong"].share_agreed is None
    assert all(row.complete for row in scores.rows)
    done = CliRunner().invoke(show, [str(tmp_path)])
    assert done.exit_code == 0
    assert "digits: wrong: not applicable: only two layers" in done.stderr


def test_a_theory_that_failed_counts_against_it(tmp_path: Path) -> None:
    failure = {"status": "failed", "message": "out of memory"}
    scores = score_folders([fill(tmp_path, otherwise={"wrong": failure})])
    found = {row.theory: row for row in overall(scores)}
    assert found["wrong"].no_verdict == found["wrong"].experiments == 1
    assert found["wrong"].share_agreed == 0 and not found["wrong"].complete
    assert not any(row.complete for row in scores.rows)


def test_overall_counts_verdicts_and_costs(tmp_path: Path) -> None:
    fill(tmp_path)
    fill(tmp_path, replace(EXPERIMENT, name="again", data_seed=1))
    found = overall(score_folders([Store(tmp_path)]))
    assert [row.theory for row in found] == ["right", "wrong"]
    assert [row.share_agreed for row in found] == [1.0, 0.0]
    assert [row.mean_rank for row in found] == [1.0, 2.0]
    assert [row.experiments for row in found] == [2, 2]
    assert found[1].median_theory_seconds == 2.0
    row = next(row for row in score_folders([Store(tmp_path)]).rows if row.theory == "wrong")
    assert row.limit_stderr is not None and row.limit_gap is not None
    # 12 networks of 2 s; a theory without errors of its own
    assert row.network_seconds_same_error == pytest.approx(
        24 * (row.limit_stderr / row.limit_gap) ** 2
    )


def test_compare_names_what_changed(tmp_path: Path) -> None:
    fill(tmp_path / "old")
    newer = replace(EXPERIMENT, theories=(replace(EXPERIMENT.theories[0], version="2"),))
    fill(tmp_path / "new", newer, seeds=(0, 1, 2))
    done = CliRunner().invoke(compare, [str(tmp_path / "old"), str(tmp_path / "new")])
    first, second = done.stdout.splitlines()
    assert first.startswith("digits · right: agrees; limit gap ")
    assert "theory version 1 -> 2; seeds 4 -> 3" in first
    assert second == f"digits · wrong: only in {tmp_path / 'old'}"


def test_differences_name_only_what_differs() -> None:
    facts = [{"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"b": 1, "c": [2]}, "d": 2}]
    assert differences(facts) == ["a.c=[1]", "a.c=[2]"]
    assert differences(facts[:1]) == [""]


def test_theories_alone_are_neither_scored_nor_complained_of(tmp_path: Path) -> None:
    fill(tmp_path, replace(EXPERIMENT, widths=()))
    scores = score_folders([Store(tmp_path)])
    assert (scores.rows, scores.unscored, scores.notes, overall(scores)) == ([], [], [], [])
    done = CliRunner().invoke(show, [str(tmp_path)])
    assert done.exit_code == 0
    assert "no network is finished" not in done.stderr


def test_theories_whose_networks_are_missing_are_named(tmp_path: Path) -> None:
    fill(tmp_path, left_out=len(SUITE.widths) * len(SUITE.seeds))
    scores = score_folders([Store(tmp_path)])
    assert {u.reason for u in scores.unscored} == {"no network is finished"}


def test_cells_of_other_source_are_kept_apart_and_told(tmp_path: Path) -> None:
    specs = tuple(replace(spec, source="a" * 64) for spec in EXPERIMENT.theories)
    first = replace(EXPERIMENT, theories=specs)
    edited = replace(specs[0], source="b" * 64)
    second = replace(first, theories=(edited, *specs[1:]))
    found = score_folders([fill(tmp_path / "a", first), fill(tmp_path / "b", second)])
    labels = [row.apart for row in primary(found) if row.theory == "right"]
    assert labels == ["source.theory=aaaaaaaa", "source.theory=bbbbbbbb"]
    assert len([row for row in primary(found) if row.theory == "wrong"]) == 1
    assert any("right kept apart: source.theory=aaaaaaaa" in note for note in found.notes)

    regime = replace(first, regime=replace(first.regime, source="c" * 64))
    found = score_folders([fill(tmp_path / "a", first), fill(tmp_path / "c", regime)])
    assert {row.rank for row in primary(found)} == {1, 2}, "each problem ranks its own"
    assert any("kept apart: source.regime=" in note for note in found.notes)


def test_networks_of_another_trainer_are_kept_apart_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same seed of two trainers is no second seed."""
    new = fill(tmp_path / "new")
    monkeypatch.setattr("harness.suites.cells.TRAINER_VERSION", "0")
    found = score_folders([new, fill(tmp_path / "old")])
    rows = [row for row in primary(found) if row.theory == "right"]
    assert [row.apart for row in rows] == ["trainer=0", f"trainer={TRAINER_VERSION}"]
    assert {row.seeds for row in rows} == {4}
    assert any("kept apart: trainer=0; trainer=" in note for note in found.notes)


def test_cells_of_several_compiler_settings_are_told(tmp_path: Path) -> None:
    store = fill(tmp_path)
    assert score_folders([store]).notes == []
    path = next(path for path in sorted(tmp_path.glob("cells/*/cell.json")))
    facts = json.loads(path.read_text())
    facts["environment"]["settings"] = {"XLA_FLAGS": "--xla_cpu_enable_fast_math=true"}
    path.write_text(json.dumps(facts))
    (note,) = score_folders([store]).notes
    assert "several settings of the compiler (XLA_FLAGS=--xla_cpu_enable_fast_math=true" in note


def test_two_problems_of_one_name_are_not_ranked_against_each_other(tmp_path: Path) -> None:
    parameters = EXPERIMENT.regime.parameters | {"target_richness": 7.0}
    other = replace(EXPERIMENT, regime=replace(EXPERIMENT.regime, parameters=parameters))
    found = score_folders([fill(tmp_path / "a"), fill(tmp_path / "b", other)])
    assert [row.rank for row in primary(found) if row.theory == "right"] == [1, 1]
    assert [row.mean_rank for row in overall(found)] == [1, 2]


def test_a_problem_of_two_names_counts_once(tmp_path: Path) -> None:
    renamed = replace(EXPERIMENT, name="renamed")
    found = score_folders([fill(tmp_path / "a"), fill(tmp_path / "b", renamed)])
    assert {row.experiment for row in primary(found)} == {EXPERIMENT.name, "renamed"}
    assert [row.experiments for row in overall(found)] == [1, 1]
    assert f"renamed: the same problem as {EXPERIMENT.name}; theories are counted once" in (
        found.notes
    )


def test_two_suites_of_one_folder_are_both_shown(tmp_path: Path) -> None:
    parameters = EXPERIMENT.regime.parameters | {"target_richness": 7.0}
    other = replace(EXPERIMENT, regime=replace(EXPERIMENT.regime, parameters=parameters))
    fill(tmp_path / "a")
    store = fill(tmp_path / "a", other, suite="another")
    found = score_folders([store])
    assert sorted(row.theory for row in primary(found)) == ["right", "right", "wrong", "wrong"]


def test_processes_score_as_one_does(tmp_path: Path) -> None:
    parameters = EXPERIMENT.regime.parameters | {"target_richness": 7.0}
    other = replace(EXPERIMENT, regime=replace(EXPERIMENT.regime, parameters=parameters))
    failing = {"wrong": {"status": "failed", "message": "no", "phase": "solve"}}
    stores = [fill(tmp_path / "a"), fill(tmp_path / "b", other, otherwise=failing)]
    fill(tmp_path / "b", replace(EXPERIMENT, name="renamed"), otherwise=failing)
    (manifest,) = (tmp_path / "b" / "experiments").glob("renamed-*")
    manifest.unlink()  # its cells are found by the name that they were computed under
    damaged = stores[0].folders()[3]
    (damaged / "curves.parquet").write_bytes(b"")
    code = (
        "import sys, json\n"
        "from harness.scoring import SCORED, read_problems, score_problems, score_folders\n"
        "from harness.processes import processes_for\n"
        "from harness.store import Store\n"
        "notes = []\n"
        "problems = read_problems([Store(folder) for folder in sys.argv[2:]], notes)\n"
        "found = score_problems(problems, SCORED, notes, int(sys.argv[1]))\n"
        "stores = [Store(folder) for folder in sys.argv[2:]]\n"
        "parts = score_folders(stores, SCORED, int(sys.argv[1]))\n"
        "for each in (found, parts):\n"
        "    rows = [row.as_json() for row in each.rows]\n"
        "    print(json.dumps([rows, list(map(repr, each.unscored)), each.notes]))\n"
        "assert processes_for(10) == 1\n"
    )
    told: set[str] = set()
    command = [sys.executable, "-c", code]
    folders = [str(store.root) for store in stores]
    for count in ("1", "2", "3"):
        done = subprocess.run(
            [*command, count, *folders], capture_output=True, text=True, check=True
        )
        told.update(done.stdout.splitlines())
        assert done.stderr.count(f"{damaged / 'curves.parquet'}: cut short") == 2, "once by each"
    assert len(told) == 1


def test_the_ranking_is_shown_in_every_form(tmp_path: Path) -> None:
    fill(tmp_path)
    said = CliRunner().invoke(show, [str(tmp_path), "--ranking"])
    title, header, first, *_ = said.stdout.splitlines()
    assert title == "Ranking of theories: output/test, 1 experiment"
    assert header.split()[:4] == ["rank", "theory", "domain", "agrees"]
    assert first.split()[:5] == ["1", "right", "1", "of", "1"]
    found = json.loads(CliRunner().invoke(show, [str(tmp_path), "--ranking", "--json"]).stdout)
    assert [s["rank"] for s in found["standings"]] == [1, 2]
    assert found["comparisons"][0]["first_nearer"] == 1
    marked = CliRunner().invoke(show, [str(tmp_path), "--ranking", "--markdown"]).stdout
    assert marked.startswith("| rank | theory |")
    wrong = CliRunner().invoke(show, [str(tmp_path), "--ranking", "--csv"])
    assert wrong.exit_code == 2


def test_with_many_theories_rows_stand_together_by_experiment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("right", "wrong", "third", "fourth")
    theories = tuple(Spec(name, "1", {}) for name in names)
    one = replace(EXPERIMENT, name="one", theories=theories)
    two = replace(one, name="two", data_seed=7)
    rows = primary(score_folders([fill(tmp_path / "1", one), fill(tmp_path / "2", two)]))
    assert [row.rank for row in rows] == sorted(row.rank for row in rows)
    print_leaderboard(rows, PRIMARY)
    shown = [line.split()[1] for line in capsys.readouterr().out.splitlines()[2:]]
    assert shown == ["one"] * 4 + ["two"] * 4
