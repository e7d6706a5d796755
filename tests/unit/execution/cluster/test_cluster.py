"""Running on a cluster: what must match, which cluster is meant, and what a lost worker costs."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from faulty_runs import SUITE

from harness.cli.run_ import command, parse_resources
from harness.execution.calls import Call, CellReport, Job
from harness.execution.cluster.remote import Assignment, run_call
from harness.execution.inventory import (
    Inventory,
    Plugin,
    difference,
    take_inventory,
    versions,
)
from harness.execution.jobs import cell_facts
from harness.execution.messages import Declined
from harness.execution.outcomes import JobFailure, Lost, Value
from harness.execution.pool import LOSSES, WorkerPool
from harness.progress import Lines
from harness.registry import Registry
from harness.store import Store
from harness.store.reservations import Reservations
from harness.suites import Cell, Resolved, cells_of, load_suite

MOONS = Plugin("moons.py", "a" * 64, ("task two-moons 1",))
HERE = Inventory({"python": "3.11", "jax": "0.10.2"}, (MOONS,))


def test_what_a_worker_has_besides_does_no_harm() -> None:
    more = Plugin("more.py", "b" * 64, ("theory more 1",))
    assert difference(HERE, HERE) == ""
    assert difference(HERE, Inventory(HERE.versions, (more, MOONS))) == ""


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (replace(HERE, versions={"python": "3.11", "jax": "0.9"}), "jax is 0.9 there and 0.10.2"),
        (replace(HERE, versions={"python": "3.11"}), "jax is missing there and 0.10.2 here"),
        (replace(HERE, plugins=()), "plugin moons.py (task two-moons 1) is missing or set aside"),
        (
            replace(HERE, plugins=(replace(MOONS, sha256="c" * 64),)),
            "plugin moons.py (task two-moons 1) is other source there (SHA-256 cccccccc there and"
            " aaaaaaaa here)",
        ),
        (
            replace(HERE, plugins=(replace(MOONS, components=("task two-moons 2",)),)),
            "plugin moons.py (task two-moons 1) brings task two-moons 2 there",
        ),
    ],
)
def test_a_difference_is_named(there: Inventory, words: str) -> None:
    assert words in difference(HERE, there)


def test_a_plugin_is_known_by_its_source_wherever_it_lies(tmp_path: Path) -> None:
    text = "from harness import Params, theory\n\nclass P(Params):\n    pass\n\n" + (
        "@theory('plain', version='3')\nclass Plain:\n    def __init__(self, params: P): ...\n"
        "    def supports(self, problem): ...\n    def predict(self, problem): ...\n"
    )
    folders = [tmp_path / name for name in ("here", "there")]
    for folder in folders:
        folder.mkdir()
        (folder / "plain.py").write_text(text)
    here, there = (take_inventory(Registry.load([folder])) for folder in folders)
    (plugin,) = [p for p in here.plugins if p.name == "plain.py"]
    assert plugin.components == ("theory plain 3",)
    assert here == there
    (folders[1] / "plain.py").write_text(text + "# a comment\n")
    assert here == take_inventory(Registry.load([folders[1]])), "comments do not count"
    (folders[1] / "_helper.py").write_text("SCALE = 1\n")
    (folders[1] / "plain.py").write_text("from ._helper import SCALE\n" + text)
    with_helper = take_inventory(Registry.load([folders[1]]))
    (folders[1] / "_helper.py").write_text("SCALE = 5\n")
    other_helper = take_inventory(Registry.load([folders[1]]))
    assert "is other source there" in difference(with_helper, other_helper), "helpers count"
    with_flags = replace(here, settings={"XLA_FLAGS": "--a"})
    assert "sets XLA_FLAGS=--a there and nothing here" in difference(here, with_flags)
    changed = take_inventory(Registry.load([folders[1]]))
    assert "plain.py (theory plain 3) is other source there" in difference(here, changed)


def test_a_worker_of_other_versions_unpickles_nothing() -> None:
    answer = run_call(versions() | {"jax": "0.9"}, b"not a pickle").value
    assert isinstance(answer, Declined)
    assert answer.reason.startswith("jax is 0")


def test_a_worker_that_does_not_see_the_shared_folder_declines(tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    assignment = Assignment(
        *(Job(()), (), take_inventory(Registry())),
        shared=str(tmp_path),
        token="cells/.another-machine.tmp",
        timeout=None,
        memory=None,
        topic="",
        number=0,
    )
    answer = run_call(versions(), pickle.dumps(assignment)).value
    assert answer == Declined(
        f"it does not see the driver's results folder {tmp_path}; mount it there, or leave out"
        " --shared-results"
    )


def test_local_runs_do_not_import_distributed() -> None:
    code = "import sys, harness.execution, harness.cli.run_; print('distributed' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


def test_resources_are_named_numbers() -> None:
    assert parse_resources(None) == {}
    assert parse_resources("GPU=1, MEMORY=2.5") == {"GPU": 1.0, "MEMORY": 2.5}
    for wrong in ("GPU", "GPU=x", "=1", "GPU=0", "GPU=1,"):
        with pytest.raises(click.BadParameter, match="write NAME=N"):
            parse_resources(wrong)


@pytest.mark.parametrize(
    "options", [["--resources", "GPU=1"], ["--shared-results"], ["--scheduler", "x", "--workers=2"]]
)
def test_options_of_clusters_and_of_local_runs_do_not_mix(options: list[str]) -> None:
    with pytest.raises(click.UsageError, match="--scheduler"):
        command.main(["smoke", *options], standalone_mode=False)


Script = Value | Callable[[tuple[Cell, ...]], Value]
"""How a call ends, as it is or from the cells of its job."""


class Scripted:
    """Workers of which each call ends as the script says; the last line of it goes on."""

    def __init__(self, store: Store, script: list[Script]) -> None:
        self.store, self.script = store, script
        self.given: list[tuple[Cell, ...]] = []
        self._number: int | None = None

    def free(self) -> int:
        return self._number is None

    def give(self, number: int, call: Call) -> None:
        assert isinstance(call, Job)
        self._number = number
        self.given.append(call.cells)

    def listen(self) -> list[tuple[int, Value]]:
        if self._number is None:
            return []
        number, self._number = self._number, None
        value = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return [(number, value(self.given[-1]) if callable(value) else value)]

    def close(self) -> None: ...
    def abandon(self) -> None: ...


@pytest.fixture
def cells(tmp_path: Path) -> Iterator[tuple[Store, tuple[Cell, ...]]]:
    """Two missing cells of one job."""
    (tmp_path / "suite.toml").write_text(SUITE)
    suite = load_suite(str(tmp_path / "suite.toml"), Registry.load())
    (experiment,) = suite.experiments
    known = Resolved("data", (0.1,))
    found = [c for c in cells_of(experiment, suite, known) if c.solver.width is not None]
    yield Store(tmp_path / "results"), tuple(found)


def run(workers: Scripted, cells: tuple[Cell, ...]) -> list[tuple[Cell, CellReport]]:
    stamps: Mapping[str, int | None] = {c.key: workers.store.stamp(c.key) for c in cells}
    with (
        Reservations(workers.store) as reservations,
        WorkerPool(workers, workers.store, reservations, Lines(quiet=True), retries=0) as pool,
    ):
        return pool.run([Job(cells)], dict(stamps))


def finish(store: Store) -> Any:
    """Return what writes cells as a worker does, not applicable for brevity."""

    def write(cells: tuple[Cell, ...]) -> list[CellReport]:
        for cell in cells:
            facts = cell_facts(cell, "", 0.0) | {"status": "not-applicable", "message": "no"}
            store.write(cell, facts, None)
        return [CellReport(cell.key, "not-applicable", "no") for cell in cells]

    return write


def test_a_lost_job_and_a_declined_one_are_given_again(
    cells: tuple[Store, tuple[Cell, ...]],
) -> None:
    store, job = cells
    lost = Lost(JobFailure("its worker was lost"))
    workers = Scripted(store, [lost, Declined("old"), *[lost] * (LOSSES - 1), finish(store)])
    reports = run(workers, job)
    assert [cell for cell, _ in reports] == list(job)
    assert {report.status for _, report in reports} == {"not-applicable"}
    assert len(workers.given) == LOSSES + 2


def test_a_job_that_is_lost_again_and_again_fails(cells: tuple[Store, tuple[Cell, ...]]) -> None:
    store, job = cells
    workers = Scripted(store, [Lost(JobFailure("its worker was lost"))])
    reports = run(workers, job)
    assert [report.message for _, report in reports] == ["its worker was lost"] * 2
    assert len(workers.given) == LOSSES + 1
    for cell in job:
        record = store.read(cell.key)
        assert record is not None and record.status == "failed"


def test_what_a_lost_worker_had_finished_is_reported_and_not_computed_twice(
    cells: tuple[Store, tuple[Cell, ...]],
) -> None:
    store, job = cells

    def half(given: tuple[Cell, ...]) -> Lost:
        finish(store)(given[:1])
        return Lost(JobFailure("its worker was lost"))

    workers = Scripted(store, [half, finish(store)])
    reports = run(workers, job)
    assert workers.given == [job, job[1:]]
    assert [(cell, report.status) for cell, report in reports] == [
        (cell, "not-applicable") for cell in job
    ]
