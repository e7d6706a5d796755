"""Observables of one's own in suites: whose they are, and what they do to keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_suite import REGISTRY, Table, changed, written

from harness.execution.cost.estimates import Estimates
from harness.execution.cost.forecast import jobs_of
from harness.execution.cost.history import read_history
from harness.store.cells import Store
from harness.store.check import read_manifest
from harness.suites import Cell, Experiment, Resolved, Solver, Suite, build_observables, load_suite
from harness.suites.repeats import same_problems

CHANGE = "preactivation/change-rms"
NETWORK = Solver("network", 16, 0, "float32")


def load(folder: Path, *changes: tuple[str, Any]) -> Suite:
    path = folder / "s.toml"
    path.write_text(written(changed(*changes)))
    return load_suite(path, REGISTRY)


def first(folder: Path, *changes: tuple[str, Any]) -> Experiment:
    return load(folder, *changes).experiments[0]


def key(experiment: Experiment) -> str:
    return Cell(experiment, Resolved("data", (0.1, 0.2)), NETWORK).key


def test_an_experiment_has_those_of_the_suite_unless_it_lists_its_own(tmp_path: Path) -> None:
    suite = ("suite/observables", [CHANGE])
    assert [spec.name for spec in first(tmp_path, suite).observables] == [CHANGE]
    assert first(tmp_path, suite, ("experiment/0/observables", [])).observables == ()
    assert first(tmp_path).observables == ()
    table = {"name": CHANGE, "points": "train", "scored": True}
    own = first(tmp_path, suite, ("experiment/0/observables", [table]))
    (spec,) = own.observables
    assert (spec.parameters, own.scored) == ({"points": "train"}, (CHANGE,))


def test_a_key_holds_the_observables_that_are_asked_for_and_nothing_of_none(
    tmp_path: Path,
) -> None:
    without = Cell(first(tmp_path), Resolved("data", (0.1, 0.2)), NETWORK)
    assert "observables" not in without.identity
    with_one = first(tmp_path, ("suite/observables", [CHANGE]))
    written_out = first(tmp_path, ("suite/observables", [{"name": CHANGE, "points": "test"}]))
    other = first(tmp_path, ("suite/observables", [{"name": CHANGE, "points": "train"}]))
    newer = replace(with_one, observables=(replace(with_one.observables[0], version="next"),))
    assert key(with_one) == key(written_out)
    assert len({without.key, *map(key, (with_one, other, newer))}) == 4


def test_scores_and_sources_are_no_part_of_the_key(tmp_path: Path) -> None:
    plain = first(tmp_path, ("suite/observables", [CHANGE]))
    scored = first(tmp_path, ("suite/observables", [{"name": CHANGE, "scored": True}]))
    edited = replace(plain, observables=(replace(plain.observables[0], source="edited"),))
    assert key(plain) == key(scored) == key(edited)
    sources = Cell(edited, Resolved("data", (0.1, 0.2)), NETWORK).provenance["sources"]
    assert sources[f"observable {CHANGE}"] == "edited"


def test_the_problem_is_the_same_with_and_without(tmp_path: Path) -> None:
    cells = [
        Cell(first(tmp_path, *change), Resolved("data", (0.1, 0.2)), NETWORK)
        for change in ((), [("suite/observables", [CHANGE])])
    ]
    assert len({cell.problem_key for cell in cells}) == 1


def test_two_experiments_that_record_other_things_are_not_the_same(tmp_path: Path) -> None:
    def twice(observables: list[Any]) -> list[list[str]]:
        second: Table = {**changed()["experiment"][0], "name": "second"}
        return same_problems(
            load(
                tmp_path,
                ("experiment/1", second | {"observables": observables}),
            )
        )

    assert twice([]) == [["first", "second"]]
    assert twice([CHANGE]) == []


def test_experiments_that_record_other_things_share_no_job(tmp_path: Path) -> None:
    """Cells of a job have one run of the solver, which measures what the first cell asks for."""
    asked: list[list[Any]] = [[], [CHANGE], [{"name": CHANGE, "points": "train"}]]
    experiments = [first(tmp_path, ("suite/observables", each)) for each in asked]
    solvers = [NETWORK, replace(NETWORK, seed=1)]
    resolved = Resolved("data", (0.1, 0.2))
    cells = [Cell(e, resolved, solver) for solver in solvers for e in experiments]
    jobs = jobs_of(cells, Estimates(read_history(None)), 1, None)
    assert sorted(len(job.cells) for job in jobs) == [2, 2, 2]
    assert all(len({key(cell.experiment) for cell in job.cells}) == 1 for job in jobs)


def test_functions_are_made_with_their_parameters(tmp_path: Path) -> None:
    table = {"name": CHANGE, "points": "train"}
    (found,) = build_observables(first(tmp_path, ("suite/observables", [table])), REGISTRY)
    assert (found.name, found.asks_start) == (CHANGE, True)
    assert found.measure.args[0].points == "train"  # type: ignore[attr-defined]


@pytest.mark.parametrize("scored", [[], [CHANGE]])
def test_a_manifest_names_what_is_scored_and_is_as_before_where_nothing_is(
    tmp_path: Path, scored: list[str]
) -> None:
    from made_results import manifest

    store = Store(tmp_path / "results")
    made = manifest("s", 0, first(tmp_path), ["0" * 24]).model_copy(update={"scored": scored})
    store.write_manifest(made)
    (path,) = (tmp_path / "results/experiments").glob("*.json")
    assert ("scored" in path.read_text()) == bool(scored)
    assert read_manifest(path).scored == scored
