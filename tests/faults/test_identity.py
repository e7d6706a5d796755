"""A result is what its key says: ten ways to make a cell lie, and what becomes of each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faulty_runs import COMMAND

import harness
from harness import DataError, Registry
from harness.errors import PluginError, SuiteError
from harness.execution.context import JobContext
from harness.runs import results_folder
from harness.store import Store, experiments
from harness.store.care import verify
from harness.store.fresh import NAME, FreshRuns, cell_file
from harness.suites import Suite, build_data, load_suite

PLUGIN = '''
from pathlib import Path

import numpy as np

from harness import (
    Architecture, Dataset, Observable, Params, Stage, Trajectory, TransferData, architecture,
    regime, task, theory,
)
from ._scale import SCALE


class Points(Params):
    file: str


@task("points", version="1")
def points(params: Points, seed: int) -> TransferData:
    """Points of a file."""
    rows = np.loadtxt(params.file, delimiter=",")
    data = Dataset(rows[:, :-1], rows[:, -1])
    return TransferData(target=data, target_test=data)


class Nothing(Params):
    """No parameters."""


@theory("scaled", version="1")
class Scaled:
    """Labels times a number."""

    def __init__(self, params: Nothing) -> None:
        pass

    def supports(self, problem):
        return None

    def predict(self, problem):
        (stage,) = problem.protocol.stages
        values = SCALE * problem.data.target_test.y[None]
        return Trajectory(({"output/test": Observable(np.array([stage.steps]), values)},))
'''

SUITE = """
[suite]
name = "lines"
widths = [8]
seeds = 1

[[experiment]]
name = "e"
widths = []
task = {{ name = "points", file = "{folder}/points.csv" }}
architecture = {{ name = "mlp", depth = 1, activation = "linear" }}
regime = {{ name = "single", richness = 0.5, steps = 5, dt = 0.1 }}
theories = ["scaled"]
"""

POINTS = "0.5,1.0,1.0\n1.0,-0.5,-1.0\n0.2,0.3,1.0\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a plugin, its helper, its data and a suite."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "mine.py").write_text(PLUGIN)
    (tmp_path / "plugins" / "_scale.py").write_text("SCALE = 1.0\n")
    (tmp_path / "points.csv").write_text(POINTS)
    (tmp_path / "suite.toml").write_text(SUITE.format(folder=tmp_path))
    return tmp_path


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(project: Path, environment: dict[str, str]) -> Run:
    """Return a function that runs the project's suite."""

    def start(*options: str, suite: str = "suite.toml") -> subprocess.CompletedProcess[str]:
        command = [str(COMMAND), "run", suite, "--plugin-dir", "plugins", "--results", "results"]
        out, err = project / "out.txt", project / "err.txt"
        with out.open("w") as stdout, err.open("w") as stderr:  # files, where others have pipes
            done = subprocess.run(
                [*command, "--workers", "1", *options],
                cwd=project,
                env=environment,
                stdout=stdout,
                stderr=stderr,
                check=False,
            )
        return subprocess.CompletedProcess(
            done.args, done.returncode, out.read_text(), err.read_text()
        )

    return start


def predictions(project: Path) -> list[list[float]]:
    """Return the predictions that the folder shows."""
    found = experiments(Store(project / "results"))
    curves = [record.curves() for each in found for record in each.with_status("done")]
    return [table["value"].to_pylist() for table in curves]


def shown(project: Path) -> dict[str, int]:
    """Return the number of shown cells of every experiment."""
    return {e.name: len(e.records) for e in experiments(Store(project / "results"))}


def suite_of(project: Path) -> tuple[Suite, Registry]:
    registry = Registry.load([project / "plugins"])
    return load_suite(project / "suite.toml", registry), registry


# ---------------------------------------------------------------- data, source and fresh runs


def test_a_cell_is_of_the_data_and_the_source_that_made_it(project: Path, run: Run) -> None:
    first = run()
    assert first.returncode == 0, first.stderr
    assert "1 cells computed, 0 found" in first.stderr
    assert "1 found" in run().stderr, "nothing has changed"

    (project / "points.csv").write_text(POINTS.replace("-1.0", "-3.0"))
    changed = run()
    assert "1 cells computed, 0 found" in changed.stderr
    assert "e: not the problem, data or observables of the last run here; " in changed.stderr
    assert predictions(project) == [[1.0, -3.0, 1.0]], "the old cell is kept and not shown"

    (project / "points.csv").write_text(POINTS)
    assert "0 cells computed, 1 found" in run().stderr, "and found again with the old data"

    (project / "moved.csv").write_text(POINTS)
    text = (project / "suite.toml").read_text()
    (project / "suite.toml").write_text(text.replace("points.csv", "moved.csv"))
    assert "0 cells computed, 1 found" in run().stderr, "where data lie is not what they are"

    (project / "plugins" / "_scale.py").write_text("SCALE = 5.0  # edited, version kept\n")
    edited = run()
    assert "1 cells computed, 0 found" in edited.stderr
    assert "1 finished cell is computed again: the source of theory 'scaled' has changed" in (
        edited.stderr
    )
    assert predictions(project) == [[5.0, -5.0, 5.0]]
    (project / "plugins" / "_scale.py").write_text("SCALE = 5.0\n")
    assert "0 cells computed, 1 found" in run().stderr, "a comment is no change"

    edit(project, 'name = "e"', 'name = "renamed"')
    assert "0 cells computed, 1 found" in run().stderr
    assert shown(project) == {"renamed": 1}, "as before: the cell of the old data is not shown"

    edit(project, 'name = "renamed"', 'name = "again"')
    text = (project / "suite.toml").read_text()
    extra = text[text.index("[[experiment]]") :].replace('"again"', '"another"')
    extra = extra.replace("0.5", "0.7")
    (project / "suite.toml").write_text(text + extra)
    assert "1 cells computed" in run("--only", "another").stderr
    assert shown(project) == {"another": 1, "renamed": 1}, "not yet known to be the same"
    assert "0 cells computed, 2 found" in run().stderr
    assert shown(project) == {"again": 1, "another": 1}

    (project / "suite.toml").write_text(text)
    assert run().returncode == 0
    assert shown(project) == {"again": 1, "another": 1}, "what is no longer in the suite is shown"


def begun(project: Path, suite: str = "lines") -> Path:
    """Note that a fresh run of a suite has begun, and was killed; return the note."""
    store = Store(project / "results")
    keys = [key for each in store.manifests() if each.suite == suite for key in each.cells]
    FreshRuns.read(store).begin(suite, [cell_file(key) for key in keys])
    return store.root / NAME


def edit(project: Path, old: str, new: str, suite: str = "suite.toml") -> None:
    text = (project / "suite.toml").read_text()
    assert old in text
    (project / suite).write_text(text.replace(old, new))


AGAIN = "an earlier run with --fresh was interrupted"


REGIME = """
import json
from pathlib import Path

from harness import Params, Stage, regime

class Nothing(Params):
    pass

@regime("from-file", version="1")
def from_file(params: Nothing):
    \"\"\"Stages of a file beside the plugin.\"\"\"
    facts = json.loads((Path(__file__).parent / "stage.json").read_text())
    return [Stage(data="target", richness=0.5, **facts)]
"""


def test_steps_are_those_of_the_regime_that_made_the_cells(project: Path, run: Run) -> None:
    """Its source changes under one version, as does a file that it reads."""
    plugins = project / "plugins"
    (plugins / "staged.py").write_text(REGIME)
    text = (project / "suite.toml").read_text()
    regime = '{ name = "single", richness = 0.5, steps = 5, dt = 0.1 }'
    (project / "suite.toml").write_text(text.replace(regime, '{ name = "from-file" }'))

    def dts() -> list[float]:
        (record,) = Store(project / "results").cells()
        return record.facts.dts

    (plugins / "stage.json").write_text('{"steps": 5, "dt": 0.1}')
    assert run().returncode == 0
    assert dts() == [0.1]
    assert "1 found" in run().stderr
    (plugins / "stage.json").write_text('{"steps": 5, "dt": 0.2}')
    edited = run()
    assert "1 cells computed, 0 found" in edited.stderr
    assert 0.2 in [r.facts.dts[0] for r in Store(project / "results").cells()]
    (plugins / "staged.py").write_text(REGIME.replace("richness=0.5", "richness=0.25"))
    assert "the source of regime 'from-file' has changed since" in run().stderr


def test_a_fresh_run_that_is_killed_goes_on_as_one(project: Path, run: Run) -> None:
    assert run().returncode == 0
    note = begun(project)
    edit(project, 'name = "e"', 'name = "renamed"')
    resumed = run()
    assert "1 cells computed, 0 found" in resumed.stderr
    assert AGAIN in resumed.stderr
    assert not note.exists()
    assert "0 cells computed, 1 found" in run().stderr


def test_a_killed_fresh_run_goes_on_after_its_pilots(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repeated pilot writes the same file as before, which is known as replaced all the same."""
    plugins = [project / "plugins"]
    where: dict[str, Any] = {"results": project / "results", "plugin_dirs": plugins, "workers": 1}
    harness.run(project / "suite.toml", **where)
    store = Store(project / "results")
    (key,) = (record.key for record in store.cells())
    steps = next(store.root.glob("steps/*.json")).read_text()
    with monkeypatch.context() as killed:
        killed.setattr("harness.execution.driver.jobs_of", interrupt)
        with pytest.raises(KeyboardInterrupt):
            harness.run(project / "suite.toml", fresh=True, **where)
    assert next(store.root.glob("steps/*.json")).read_text() == steps
    (noted,) = FreshRuns.read(store).runs
    assert (noted.suite, list(noted.old)) == ("lines", [cell_file(key)])
    assert list(harness.run(project / "suite.toml", **where).cells.index) == [key]
    assert FreshRuns.read(store).runs == ()


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_fresh_run_is_of_its_own_cells_whatever_others_are_called(
    project: Path, run: Run
) -> None:
    edit(project, "richness = 0.5", "richness = 0.6", "other.toml")
    text = (project / "other.toml").read_text()
    (project / "other.toml").write_text(text.replace('"lines"', '"others"'))
    assert run().returncode == run(suite="other.toml").returncode == 0
    note = begun(project)
    other = run(suite="other.toml")
    assert "0 cells computed, 1 found" in other.stderr
    assert AGAIN not in other.stderr
    assert other.stderr.count("has left cells of before it: 1; run suite 'lines' again") == 1
    resumed = run()
    assert "1 cells computed, 0 found" in resumed.stderr
    assert AGAIN in resumed.stderr
    assert not note.exists()


def test_cells_that_are_not_asked_for_any_more_are_given_up_in_a_line(
    project: Path, run: Run
) -> None:
    assert run().returncode == 0
    note = begun(project)
    edit(project, "richness = 0.5", "richness = 0.6")
    done = run()
    assert "1 cells computed, 0 found" in done.stderr
    assert done.stderr.count("suite 'lines' no longer asks for cells that its run with") == 1
    assert not note.exists()


# ---------------------------------------------------------------- within a run


def test_a_theory_edited_during_a_run_fills_no_cell_of_the_old_one(project: Path) -> None:
    suite, _ = suite_of(project)
    (spec,) = suite.experiments[0].theories
    for text in ('version="2"', "# other source\nSCALE = 2"):
        name = "mine.py" if "version" in text else "_scale.py"
        path = project / "plugins" / name
        kept = path.read_text()
        path.write_text(kept.replace('"scaled", version="1"', f'"scaled", {text}'))
        if name == "_scale.py":
            path.write_text(text)
        registry = Registry.load([project / "plugins"])
        with pytest.raises(PluginError, match=r"theory 'scaled' is (version 2|other code) here"):
            spec.make(registry, registry.get("theory", "scaled"))
        path.write_text(kept)


def test_data_that_change_during_a_run_are_refused(project: Path) -> None:
    suite, registry = suite_of(project)
    (experiment,) = suite.experiments
    planned = build_data(experiment, registry).digest
    context = JobContext((str(project / "plugins"),), str(project / "results"))
    assert context.problem(experiment, planned, lambda _: None).data.digest == planned
    fresh = JobContext((str(project / "plugins"),), str(project / "results"))
    (project / "points.csv").write_text(POINTS.replace("0.3", "0.4"))
    with pytest.raises(DataError, match="task 'points' makes other data now than when the run"):
        fresh.problem(experiment, planned, lambda _: None)


# ---------------------------------------------------------------- parameters


def test_parameters_that_change_on_the_way_to_a_worker_are_refused(project: Path) -> None:
    (project / "plugins" / "angles.py").write_text(
        textwrap.dedent(
            '''
            import math
            from typing import Annotated
            from pydantic import Field, field_validator
            from harness import Dataset, Params, TransferData, task

            class Angle(Params):
                degrees: float = 0.0
                secret: int = Field(default=1, exclude=True)
                turn: int = Field(default=0)
                names: frozenset[str] = frozenset({"a", "b", "c", "d", "e"})

                @field_validator("degrees")
                @classmethod
                def in_radians(cls, value: float) -> float:
                    return math.radians(value)

            @task("angle", version="1")
            def angle(params: Angle, seed: int) -> TransferData:
                """Nothing of interest."""
                data = Dataset([[1.0], [2.0]], [1.0, -1.0])
                return TransferData(target=data, target_test=data)
            '''
        )
    )
    old = (project / "suite.toml").read_text()
    task = f'{{ name = "points", file = "{project}/points.csv" }}'
    path = project / "plugins" / "angles.py"
    plain, aliased = "Field(default=0)", 'Field(default=0, alias="drehung")'
    for parameters, turn, word in (
        (", degrees = 90.0", plain, "degrees = 1.57"),
        (", secret = 2", plain, "secret = 2 comes back as 1"),
        ("", aliased, "turn cannot be read again as written: an alias"),
    ):
        asked = f'{{ name = "angle"{parameters} }}'
        (project / "suite.toml").write_text(old.replace(task, asked))
        kept = path.read_text()
        path.write_text(kept.replace(plain, turn))
        with pytest.raises(SuiteError, match="do not survive being written and read: ") as raised:
            suite_of(project)
        assert word in str(raised.value)
        assert "\n" not in str(raised.value)
        path.write_text(kept)
    specs = {
        subprocess.run(
            [sys.executable, "-c", DUMP, str(project)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(specs) == 1, "a set is written in one order"


DUMP = """
import json, sys
from harness import Registry
from harness.suites import load_suite

folder = sys.argv[1]
(experiment,) = load_suite(f"{folder}/suite.toml", Registry.load([f"{folder}/plugins"])).experiments
print(json.dumps(experiment.task.asked))
"""


# ---------------------------------------------------------------- environment

DRAW = """
import jax
from harness import numerics

print(jax.random.normal(jax.random.key(3), (3,)).tolist(), jax.config.jax_enable_x64)
print(sorted((name, jax.config.values.get(name)) for name in numerics.settings.SETTINGS))
"""


def test_no_environment_variable_changes_a_draw() -> None:
    hostile = {
        "JAX_DEFAULT_PRNG_IMPL": "rbg",
        "JAX_THREEFRY_PARTITIONABLE": "0",
        "JAX_RANDOM_SEED_OFFSET": "7",
        "JAX_ENABLE_X64": "0",
        "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_OPTIMIZATION_LEVEL": "O0",
        "JAX_TRANSFER_GUARD": "disallow",
    }
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    drawn = {
        subprocess.run(
            [sys.executable, "-c", DRAW], env=env, capture_output=True, text=True, check=True
        ).stdout
        for env in (inherited, inherited | hostile)
    }
    assert len(drawn) == 1


# ---------------------------------------------------------------- folders


def copy_of(project: Path, **changes: Any) -> Path:
    """Copy the results folder, with facts of its cells changed; return the copy."""
    copy = project / "copy"
    shutil.copytree(project / "results", copy, dirs_exist_ok=True)
    for path in copy.glob("cells/*/cell.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return copy


def test_facts_that_do_not_fit_the_key_are_refused(project: Path, run: Run) -> None:
    assert run().returncode == 0
    (path,) = (project / "results").glob("cells/*/cell.json")
    sources = json.loads(path.read_text())["sources"]
    assert set(sources) == {"task", "architecture", "regime", "theory"}
    assert all(len(digest) == 64 for digest in sources.values())
    for changes in (
        {"data": "0" * 64},
        {"dts": [0.2]},
        {"solver": {"name": "network", "width": 8, "seed": 0, "dtype": "float32"}},
        {"format": 1},
    ):
        copy = copy_of(project, **changes)
        (fault,) = verify(Store(copy))
        assert fault.startswith(str(copy / "cells"))


def test_the_same_data_from_two_places_are_one_problem(project: Path) -> None:
    suite, registry = suite_of(project)
    (experiment,) = suite.experiments
    np.savetxt(
        project / "elsewhere.csv", np.loadtxt(project / "points.csv", delimiter=","), delimiter=","
    )
    spec = replace(experiment.task, parameters={"file": str(project / "elsewhere.csv")})
    moved = replace(experiment, task=spec)
    assert build_data(moved, registry).digest == build_data(experiment, registry).digest


def test_suites_of_different_names_have_folders_of_their_own(tmp_path: Path) -> None:
    names = ["p q", "p/q", "p-q", ".", "..", "...", "suite", "a", "A", "ä", "a.b", ".a", "x/../y"]
    long = [letter * 200 for letter in ("x", "é", "漢", "\U00020000", "/é")]
    names += [*long, *(f"{name}/" for name in long)]
    folders = [results_folder(name) for name in names]
    assert len(set(folders)) == len(names)
    for folder in folders:
        assert folder.parent == Path("results")
        assert folder.name not in {"", ".", ".."}
        (tmp_path / folder.name).mkdir(exist_ok=True)
    kept = ["a", "x" * 200, "é" * 100, "漢" * 85]
    assert [results_folder(name).name for name in kept] == kept, "as they were"
    assert results_folder("p q").name == "p-q-38c70423"
