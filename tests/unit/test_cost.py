"""What a run will take is predicted, corrected by what was measured, and kept within memory."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import pytest
from problems import gaussian_data, make, problem

from harness import Params, ProblemSize, Registry, Stage, Work
from harness.execution import compilation, machine
from harness.execution.cost import predicted_plan
from harness.execution.driver import Plan, plan_suite
from harness.execution.estimates import Estimates, distinct, jobs_of
from harness.execution.forecast import Expected, Forecast
from harness.execution.jobs import Job
from harness.execution.machine import TYPICAL, Rates, known_rates
from harness.execution.pool import JobFailure, WorkerPool
from harness.execution.work import works_of
from harness.store import Store
from harness.store.reservations import Reservations
from harness.suites import Cell, Suite, cells_of, load_suite
from harness.suites.cells import Solver

TARGET = Stage(data="target", richness=1.0, steps=50, dt=0.1)
SIZE = ProblemSize.of(problem(gaussian_data(dimension=8, points=12), TARGET))
RATES = Rates(flop=1e-9, element=0.0, call=0.0, program=0.0, worker_bytes=100.0)

SUITE = """
[suite]
name = "two"
widths = [16, 64]
seeds = 4
[[experiment]]
name = "digits"
architecture = { name = "mlp" }
theories = ["mean-field", "lazy-ntk"]
[experiment.regime]
name = "fine-tune"
source_richness = 1.0
source_steps = 20
target_steps = 10
[experiment.task]
name = "image-pairs"
dataset = "digits"
source_classes = [0, 1]
target_classes = [0, 9]
source_points = 10
target_points = 8
test_points = 6
"""


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load()


@pytest.fixture
def suite(registry: Registry, tmp_path: Path) -> Suite:
    path = tmp_path / "two.toml"
    path.write_text(SUITE)
    return load_suite(path, registry)


@pytest.fixture
def cells(suite: Suite) -> list[Cell]:
    return cells_of(suite.experiments[0], suite, (0.1, 0.1))


def estimates(cells: list[Cell], rates: Rates = RATES, **works: Work) -> Estimates:
    """Return estimates in which a network of width N takes N seconds and as many bytes."""
    found = Estimates(rates)
    for solver in distinct(cells):
        width = solver.width
        work = works.get(solver.name) if width is None else Work(1e9 * width, bytes=width)
        found.add_works(cells[0].experiment.name, [solver], [work])
    return found


# ---------------------------------------------------------------- work


def test_sizes_are_those_of_the_data() -> None:
    assert (SIZE.inputs, SIZE.points["target"], SIZE.depth) == (8, 12, 1)
    assert SIZE.seen(TARGET) == SIZE.total == 48
    assert SIZE.seen(replace(TARGET, data="source")) == 24


def test_the_work_of_training_counts_what_networks_do() -> None:
    one = SIZE.training(100)
    longer = replace(SIZE, stages=(replace(TARGET, steps=150),)).training(100)
    # forward pass and gradient of 8 x 100 weights on 12 points, and the readout
    assert (longer.flops - one.flops) / 100 == pytest.approx(4 * 12 * (8 * 100 + 100), rel=0.01)
    frozen = replace(SIZE, stages=(replace(TARGET, trainable="readout"),)).training(100)
    assert frozen.flops < one.flops
    deep = replace(SIZE, depth=3)
    assert deep.training(400).flops / deep.training(100).flops == pytest.approx(16, rel=0.2)
    assert deep.training(400, itemsize=8).bytes > 1.9 * deep.training(400).bytes


def test_work_adds_up_and_memory_is_that_of_the_largest() -> None:
    total = Work(1, 2, 3, 4, programs=5) + Work(10, 20, 30, 2, programs=6)
    assert total == Work(11, 22, 33, 4, programs=11)
    assert total.times(2) == Work(22, 44, 66, 4, programs=11)


def test_features_that_stay_are_looked_at_once_unless_a_theory_takes_them_anew() -> None:
    frozen = replace(SIZE, stages=(replace(TARGET, trainable="readout", steps=500),))
    once, anew = frozen.training(100), frozen.training(100, keeps_features=False)
    assert anew.flops > 2 * once.flops
    assert SIZE.training(100) == SIZE.training(100, keeps_features=False)


def test_rates_are_found_again_from_times_and_outliers_hardly_move_them() -> None:
    rates = replace(RATES, flop=4e-12, element=1e-10, call=5e-5)
    sizes = [
        replace(SIZE, inputs=inputs, depth=depth, stages=(replace(TARGET, steps=steps),))
        for inputs, depth in ((8, 1), (784, 1), (8, 3))
        for steps in (50, 300)
    ]
    works = [size.training(width) for size in sizes for width in (32, 256, 1024)]
    times = [rates.seconds(work) for work in works]
    exact = (rates.flop, rates.element, rates.call)
    assert machine._fitted(list(zip(works, times, strict=True))) == pytest.approx(exact, rel=1e-3)
    times[4] *= 4.0
    assert machine._fitted(list(zip(works, times, strict=True))) == pytest.approx(exact, rel=0.25)


def test_compiling_is_timed_without_gaps_and_running_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(compilation, "time", SimpleNamespace(perf_counter=lambda: now))
    clock = compilation.CompilationClock()
    traced, lowered, compiled = (
        "jaxpr_trace_duration",
        "jaxpr_to_mlir_module_duration",
        "backend_compile_duration",
    )
    for end, event, names in (
        (2.0, traced, {"fun_name": "step"}),
        (4.0, lowered, {"fun_name": "jit(step)"}),
        (6.0, compiled, {"fun_name": "jit(step)"}),  # from 1 to 6 without gaps
        (10.0, lowered, {"fun_name": "jit(step)"}),  # it has run in between
        (20.0, lowered, {}),
        (30.0, compiled, {}),
    ):
        now = end
        clock._hear(compilation.EVENTS + event, 1.0, **names)
    assert clock.seconds == pytest.approx(5.0 + 1.0 + 1.0 + 1.0)


def test_programs_are_dropped_where_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = jax.jit(lambda x: x + 1.0)
    program(2.0)
    monkeypatch.setattr(compilation, "MAPPINGS", tmp_path / "maps")
    compilation.release_programs()  # where a system does not tell
    (tmp_path / "maps").write_text("mapping\n" * compilation.MOST_MAPPINGS)
    compilation.release_programs()
    assert program._cache_size() == 1
    (tmp_path / "maps").write_text("mapping\n" * (compilation.MOST_MAPPINGS + 1))
    compilation.release_programs()
    assert program._cache_size() == 0


def test_seeds_of_a_job_share_what_its_programs_take(cells: list[Cell]) -> None:
    found = Estimates(replace(RATES, program=8.0), seeds=4)
    solvers = distinct(cells)
    found.add_works("digits", solvers, [Work(1e9, programs=1.0)] * len(solvers))
    assert {c.solver.name: found.seconds(c) for c in cells} == {
        "network": 1.0 + 8.0 / 4,
        "mean-field": 1.0 + 8.0,
        "lazy-ntk": 1.0 + 8.0,
    }


@pytest.mark.parametrize(
    "name", ["mean-field", "lazy-ntk", "lazy-nngp", "linear-transfer", "dmft", "adaptive-kernel"]
)
def test_every_theory_says_what_it_takes_and_more_steps_never_less(name: str) -> None:
    few = make("theory", name).cost(SIZE)
    many = make("theory", name).cost(replace(SIZE, stages=(replace(TARGET, steps=500),)))
    assert 0 < few.flops <= many.flops
    assert few.bytes > 0


def test_a_deep_linear_network_takes_what_its_exact_solution_does() -> None:
    linear = replace(SIZE, activation="linear", depth=3)
    exact = make("theory", "dmft").cost(linear)
    assert make("theory", "dmft", samples=65536).cost(linear) == exact
    deeper = make("theory", "dmft").cost(replace(linear, depth=5))
    assert deeper.flops == pytest.approx(2 * exact.flops, rel=0.05)


def test_a_theory_may_say_nothing_or_fail_to(caplog: pytest.LogCaptureFixture) -> None:
    class Silent:
        def __init__(self, params: Params) -> None: ...

    class Broken(Silent):
        def cost(self, size: ProblemSize) -> Work:
            raise ZeroDivisionError("no idea")

    class Loose(Registry):
        def get(self, kind: Any, name: str) -> Any:
            known = Registry.load().get("theory", "lazy-ntk")
            return replace(known, make=Silent if name == "silent" else Broken)

    def solver(name: str) -> Solver:
        spec = load_suite("smoke", Registry.load()).experiments[0].theories[1]
        return Solver(name, theory=replace(spec, name=name))

    wanted = [solver("silent"), solver("broken"), Solver("network", 8, 0, "float32")]
    works = works_of(SIZE, wanted, Loose())
    assert works == (None, None, SIZE.training(8))
    assert "theory 'broken': cost: ZeroDivisionError: no idea" in caplog.text


# ---------------------------------------------------------------- estimates


def test_finished_cells_correct_predictions_of_their_kind(cells: list[Cell]) -> None:
    found = estimates(cells, **{"mean-field": Work(5e9)})
    narrow, wide = cells[0], cells[4]
    lazy = next(c for c in cells if c.solver.name == "lazy-ntk")
    assert (found.seconds(narrow), found.seconds(wide)) == (16.0, 64.0)
    assert found.seconds(lazy) is None
    for seconds in (30.0, 32.0, 900.0):
        found.add_measured(narrow, seconds)
    found.add_measured(lazy, 0.25)
    assert found.seconds(wide) == 128.0, "the median ratio is 2"
    assert found.seconds(lazy) == 0.25, "unknown work: as finished cells of its kind"
    field = next(c for c in cells if c.solver.name == "mean-field")
    assert found.seconds(field) == 5.0, "other kinds are not touched"
    assert found.bytes(narrow) == 116.0, "a worker takes some itself"


def test_the_longest_jobs_come_first_and_the_unknown_before_them(cells: list[Cell]) -> None:
    jobs = jobs_of(cells, estimates(cells, **{"mean-field": Work(100e9)}), 1, None)
    order = [(j.cells[0].solver.name, j.cells[0].solver.width, len(j.cells)) for j in jobs]
    assert order[0] == ("lazy-ntk", None, 1)
    assert [j.seconds for j in jobs[1:]] == sorted((j.seconds or 0 for j in jobs[1:]), reverse=True)


def test_seeds_share_a_job_unless_that_would_keep_workers_waiting(cells: list[Cell]) -> None:
    def sizes(rates: Rates) -> list[int]:
        jobs = jobs_of(cells, estimates(cells, rates), 2, None)
        return [len(j.cells) for j in jobs if j.cells[0].solver.width == 64]

    assert sizes(replace(RATES, flop=1e-12)) == [4], "short"
    assert sizes(RATES) == [1, 1, 1, 1], "4 x 64 s are most of the work, and there are two workers"


def test_a_cell_that_cannot_fit_is_refused_with_the_numbers(cells: list[Cell]) -> None:
    rates = replace(RATES, worker_bytes=300 * 2**20)
    found = estimates(cells, rates)
    found.add_works("digits", [cells[4].solver], [Work(1.0, bytes=2**30)])
    jobs = jobs_of(cells, found, 1, 1024 * 2**20)
    refused = {j.cells[0].solver.width: j.refusal for j in jobs if j.refusal}
    assert list(refused) == [64]
    assert refused[64] == (
        "needs about 1,324 MiB (300 of them for its worker), and the workers together may use"
        " 1,024 MiB; not started: give a larger --memory, or fewer units, layers or points"
    )
    assert not any(j.refusal for j in jobs_of(cells, found, 1, 2048 * 2**20))


class Recorder:
    """Workers that only count the jobs they are given, and a watcher of what it is told."""

    def __init__(self, free: int = 2) -> None:
        self.running: list[int] = []
        self.given: list[int] = []
        self.most, self._free = 0, free
        self.told: list[tuple[str, Any]] = []

    def free(self) -> int:
        return self._free - len(self.running)

    def give(self, number: int, call: Any) -> None:
        self.given.append(number)
        self.running.append(number)
        self.most = max(self.most, len(self.running))

    def listen(self) -> list[tuple[int, Any]]:
        return [(self.running.pop(0), JobFailure("tried"))] if self.running else []

    def close(self) -> None: ...
    def abandon(self) -> None: ...
    def begin(self, titles: Any) -> None: ...
    def share(self, number: int, done: float) -> None: ...

    def finish(self, number: int, failure: str, said: str = "done") -> None:
        self.told.append(("finish", failure))

    def outlook(self, done: float, left: float | None) -> None:
        self.told.append(("outlook", done))


def run_jobs(jobs: list[Job], workers: Recorder, root: Path, memory: float) -> Any:
    store = Store(root)
    with (
        Reservations(store) as reservations,
        WorkerPool(workers, store, reservations, workers, 0, memory) as pool,
    ):
        return pool.run(jobs, {c.key: None for j in jobs for c in j.cells})


def test_a_refused_job_is_written_as_failed_and_given_to_no_worker(
    cells: list[Cell], tmp_path: Path
) -> None:
    workers = Recorder()
    jobs = [Job((cells[0],), 1.0, 10.0, "needs too much"), Job((cells[1],), 3.0, 10.0)]
    reports = run_jobs(jobs, workers, tmp_path / "results", math.inf)
    assert [r.message for _, r in reports] == ["needs too much", "tried"]
    assert workers.given == [1]
    record = Store(tmp_path / "results").read(cells[0].key)
    assert record is not None
    assert (record.status, record.facts["phase"]) == ("failed", "plan")
    assert workers.told[-2:] == [("outlook", 1.0), ("finish", "tried")]


@pytest.mark.parametrize(("memory", "most"), [(100.0, 1), (math.inf, 2)])
def test_jobs_run_together_only_if_they_fit_together(
    cells: list[Cell], tmp_path: Path, memory: float, most: int
) -> None:
    workers = Recorder()
    run_jobs([Job((c,), 1.0, 60.0) for c in cells[:4]], workers, tmp_path / "results", memory)
    assert workers.given == [0, 1, 2, 3]
    assert workers.most == most


# ---------------------------------------------------------------- forecast


def test_progress_is_of_work_and_the_time_left_is_corrected_by_kind() -> None:
    now = 0.0
    jobs = [Expected("network", 10.0), Expected("network", 1.0), Expected("theory", 9.0)]
    forecast = Forecast(jobs, clock=lambda: now)
    assert forecast.seconds_left(1) is None
    forecast.start(1)
    now = 3.0
    forecast.finish(1)
    assert forecast.done == pytest.approx(0.05, abs=0.01)
    # networks take three times as long as expected, and so may theories
    assert forecast.seconds_left(1) == pytest.approx(3 * 19, rel=0.05)
    forecast.start(2)
    now = 12.0
    forecast.finish(2)
    assert forecast.seconds_left(1) == pytest.approx(30, rel=0.05)
    forecast.start(0)
    forecast.share(0, 0.5)
    assert forecast.seconds_left(1) == pytest.approx(15, rel=0.05)
    assert forecast.done == pytest.approx(0.75, abs=0.01)
    forecast.finish(0, failed=True)
    assert (forecast.done, forecast.seconds_left(1)) == (1.0, 0.0)


def test_workers_share_what_is_left_but_not_one_job() -> None:
    jobs = [Expected("network", 10.0)] + [Expected("network", 1.0)] * 4
    now = 0.0
    forecast = Forecast(jobs, clock=lambda: now)
    forecast.start(1)
    now = 1.02
    forecast.finish(1)
    assert forecast.seconds_left(2) == pytest.approx(10.0, rel=0.01)


# ---------------------------------------------------------------- plans


def test_a_plan_knows_images_that_no_parameter_measures(
    registry: Registry, suite: Suite, tmp_path: Path
) -> None:
    plan = plan_suite(suite, Store(tmp_path / "results"))
    found = predicted_plan(plan, registry, RATES, 2, math.inf)
    total = found["total"]
    assert (total["cells"], total["to_compute"], total["pilots"]) == (10, 10, 1)
    assert total["unknown"] == 0
    assert total["seconds"] > sum(r["seconds"] for r in found["cells"]), "pilot runs included"
    assert total["seconds"] / 2 <= total["elapsed_seconds"] < total["seconds"]
    (kept,) = (tmp_path / "cache" / "limitbench" / "sizes").iterdir()
    known = json.loads(kept.read_text())
    assert known["shape"] == [64], "digits of 8 x 8 pixels"
    assert known["points"] == {"source": 10, "source_test": 6, "target": 8, "target_test": 6}
    assert predicted_plan(plan, registry, RATES, 2, math.inf) == found


def test_a_plan_names_what_would_not_fit(registry: Registry, suite: Suite, tmp_path: Path) -> None:
    plan = plan_suite(suite, Store(tmp_path / "results"))
    found = predicted_plan(plan, registry, RATES, 2, 50.0)
    assert {r["status"] for r in found["cells"]} == {"refused"}
    assert found["total"]["refused"] == 10


def test_a_task_that_cannot_be_made_leaves_its_cells_unknown(
    registry: Registry, suite: Suite, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    experiment = suite.experiments[0]
    table = experiment.task.parameters | {"source_points": 10**6}
    broken = replace(experiment, task=replace(experiment.task, parameters=table))
    plan = plan_suite(replace(suite, experiments=(broken,)), Store(tmp_path / "results"))
    found = predicted_plan(plan, registry, RATES, 2, math.inf)
    assert found["total"]["unknown"] == 10
    assert {r["seconds"] for r in found["cells"]} == {None}
    assert "digits: no prediction (DataError: " in caplog.text


# ---------------------------------------------------------------- the machine


def test_rates_are_those_last_measured_with_as_many_threads() -> None:
    assert known_rates(1) is TYPICAL
    machine._remember(machine._file(1), RATES)
    assert known_rates(1) == RATES
    assert known_rates(2) is TYPICAL


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"flop": 1}', '{"flop": NaN, "element": 1, "call": 1, "worker_bytes": 1}'],
)
def test_a_damaged_measurement_is_none(text: str) -> None:
    machine._remember(machine._file(1), RATES)
    machine._file(1).write_text(text)
    assert known_rates(1) is TYPICAL


def test_a_plan_without_cells_takes_no_time(registry: Registry, suite: Suite) -> None:
    found = predicted_plan(Plan(replace(suite, experiments=())), registry, RATES, 2, math.inf)
    assert (found["cells"], found["total"]["elapsed_seconds"]) == ([], 0.0)
