"""What a run will take is predicted, corrected by what was measured, and kept within memory."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from problems import gaussian_data, make, problem

from harness import Params, ProblemSize, Registry, Stage, Work
from harness.execution.calls import Inspected, Job, Spent
from harness.execution.cost import (
    FLOP,
    KEPT,
    LOADING,
    NETWORK,
    PILOT,
    PROGRAM,
    Estimates,
    Finished,
    distinct,
    history_file,
    read_history,
    remember,
    works_of,
)
from harness.execution.cost import IDLE_WORKER_BYTES as WORKER
from harness.execution.forecast import AROUND, Expected, Forecast, jobs_of, predicted_plan
from harness.execution.outcomes import JobFailure
from harness.execution.plan import Plan, plan_suite
from harness.execution.pool import WorkerPool
from harness.store import Store
from harness.store.reservations import Reservations
from harness.suites import Cell, Resolved, Suite, cells_of, load_suite
from harness.suites.cells import Solver

TARGET = Stage(data="target", richness=1.0, steps=50, dt=0.1)
SIZE = ProblemSize.of(problem(gaussian_data(dimension=8, points=12), TARGET))
SECOND = 1 / FLOP
"""Operations that take a second by counts."""

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
    return cells_of(suite.experiments[0], suite, Resolved("data", (0.1, 0.1)))


def estimates(
    cells: list[Cell], history: Sequence[Finished] = (), unit: float = 1.0, **works: Work
) -> Estimates:
    """Return estimates in which a network of width N takes N units of seconds and N bytes."""
    found = Estimates(history)
    for solver in distinct(c.solver for c in cells):
        width = solver.width
        network = Work(SECOND * unit * (width or 0), bytes=width or 0, programs=10)
        work = works.get(solver.name) if width is None else network
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


@pytest.mark.parametrize(
    "name", ["mean-field", "lazy-ntk", "lazy-nngp", "linear-transfer", "dmft", "adaptive-kernel"]
)
def test_every_theory_says_what_it_takes_and_more_steps_never_less(name: str) -> None:
    few = make("theory", name).cost(SIZE)
    many = make("theory", name).cost(replace(SIZE, stages=(replace(TARGET, steps=500),)))
    assert 0 < few.flops <= many.flops
    assert few.bytes > 0
    assert few.programs == many.programs, "steps are a number, not a program"


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
        return Solver(name, theory=replace(spec, name=name, source=""))

    wanted = [solver("silent"), solver("broken"), Solver("network", 8, 0, "float32")]
    works = works_of(SIZE, wanted, Loose())
    assert works == (None, None, SIZE.training(8))
    assert "theory 'broken': cost: ZeroDivisionError: no idea" in caplog.text


# ---------------------------------------------------------------- estimates


def finished(kind: str, counts: float, seconds: float, **others: Any) -> Finished:
    found = {"cells": 4, "compiling": 8.0, "compiled": 16, "loaded": 0} | others
    return Finished(kind=kind, counts=counts, seconds=seconds, **found)


def test_where_nothing_has_run_counts_are_all_there_is(cells: list[Cell]) -> None:
    found = estimates(cells, **{"mean-field": Work(5 * SECOND)})
    assert (found.of(cells[0]).seconds, found.of(cells[4]).seconds) == pytest.approx((16.0, 64.0))
    assert found.of(cells[0]).compiling == pytest.approx(10 * PROGRAM)
    lazy = next(c for c in cells if c.solver.name == "lazy-ntk")
    assert (found.of(lazy).seconds, found.of(lazy).bytes) == (None, None)
    assert found.of(lazy).compiling == 0.0
    assert found.of(cells[0]).bytes == WORKER + 16, "a worker takes some itself"


def test_finished_jobs_of_its_kind_correct_a_prediction(cells: list[Cell]) -> None:
    history = [finished(NETWORK, 10.0, seconds) for seconds in (19.0, 20.0, 900.0)]
    history.append(finished("lazy-ntk 1", 0.0, 0.25, compiling=3.0))
    found = estimates(cells, history, **{"mean-field": Work(5 * SECOND)})
    assert found.of(cells[4]).seconds == pytest.approx(128.0), "the median ratio is 2"
    lazy, field = (
        next(c for c in cells if c.solver.name == name) for name in ("lazy-ntk", "mean-field")
    )
    version = lazy.solver.theory
    assert version is not None
    history[-1] = replace(history[-1], kind=f"lazy-ntk {version.version}")
    found = estimates(cells, history, **{"mean-field": Work(5 * SECOND)})
    assert found.of(lazy).seconds == 0.25, "unknown work: as finished cells of its kind"
    assert found.of(field).seconds == pytest.approx(5.0), "other kinds are not touched"


def test_work_is_predicted_by_the_most_similar_work(cells: list[Cell]) -> None:
    small = [finished(NETWORK, 1e-3 * (1 + i / 100), 0.02) for i in range(20)]
    large = [finished(NETWORK, 60.0 + i, 30.0 + i / 2) for i in range(20)]
    found = estimates(cells, small + large)
    assert found.of(cells[4]).seconds == pytest.approx(32.0), "half of what counts say"
    assert estimates(cells, small).of(cells[4]).seconds == pytest.approx(64 * 20, rel=0.2)


def test_compiling_is_as_long_as_it_was_and_short_where_programs_are_kept(
    cells: list[Cell],
) -> None:
    cold = [finished(NETWORK, 16.0, 16.0, compiling=t) for t in (6.0, 10.0)]
    found = estimates(cells, cold)
    assert found.of(cells[4]).compiling == pytest.approx(8.0), "another width"
    assert found.of(cells[0]).compiling == pytest.approx(8.0 * LOADING), "the same width again"
    warm = finished(NETWORK, 16.0, 16.0, compiling=0.5, compiled=0, loaded=16)
    found = estimates(cells, [*cold, warm])
    assert found.of(cells[0]).compiling == pytest.approx(0.5)
    assert found.of(cells[4]).compiling == pytest.approx(8.0)
    assert estimates(cells, [warm]).of(cells[4]).compiling == pytest.approx(10 * PROGRAM)
    shared = replace(warm, compiling=0.0, loaded=0)
    found = estimates(cells, [*cold, warm, *[shared] * 10])
    assert found.of(cells[0]).compiling == pytest.approx(0.5), "a worker had them in memory"


def test_what_does_the_work_of_another_job_finds_its_programs(cells: list[Cell]) -> None:
    other = [replace(c, resolved=Resolved("others", (0.1, 0.1))) for c in cells]
    found = estimates(cells, **{"mean-field": Work(5 * SECOND, programs=3)})
    jobs = jobs_of([*cells, *other], found, 1, None)
    compiling = [j.compiling for j in jobs if j.cells[0].solver.width == 16]
    assert sorted(compiling) == pytest.approx([0.0, 10 * PROGRAM])
    compiling = [j.compiling for j in jobs if j.cells[0].solver.name == "mean-field"]
    assert sorted(compiling) == pytest.approx([0.0, 3 * PROGRAM])


def test_jobs_of_another_version_say_nothing(cells: list[Cell]) -> None:
    old = [finished(f"{NETWORK}0", 16.0, 160.0)]
    assert estimates(cells, old).of(cells[0]) == estimates(cells).of(cells[0])


def test_the_longest_jobs_come_first_and_the_unknown_before_them(cells: list[Cell]) -> None:
    jobs = jobs_of(cells, estimates(cells, **{"mean-field": Work(100 * SECOND)}), 1, None)
    order = [(j.cells[0].solver.name, j.cells[0].solver.width, len(j.cells)) for j in jobs]
    assert order[0] == ("lazy-ntk", None, 1)
    assert [j.total for j in jobs] == sorted((j.total for j in jobs), reverse=True)


def test_the_longest_job_is_so_with_its_compilation(cells: list[Cell]) -> None:
    slow = Work(SECOND, programs=1000)
    jobs = jobs_of(cells, estimates(cells, unit=0.01, **{"mean-field": slow}), 1, None)
    first = next(job for job in jobs if job.seconds is not None)
    assert first.cells[0].solver.name == "mean-field"
    assert first.seconds == pytest.approx(1.0)
    assert first.compiling == pytest.approx(1000 * PROGRAM)


def test_seeds_share_a_job_unless_that_would_keep_workers_waiting(cells: list[Cell]) -> None:
    def sizes(unit: float) -> list[int]:
        jobs = jobs_of(cells, estimates(cells, unit=unit), 2, None)
        return [len(j.cells) for j in jobs if j.cells[0].solver.width == 64]

    assert sizes(0.01) == [4], "shorter than compiling its programs twice"
    assert sizes(1.0) == [1, 1, 1, 1], "4 x 64 s are most of the work, and there are two workers"


def test_a_cell_that_cannot_fit_is_refused_with_the_numbers(cells: list[Cell]) -> None:
    found = estimates(cells)
    found.add_works("digits", [cells[4].solver], [Work(1.0, bytes=2**30)])
    jobs = jobs_of(cells, found, 1, 1024 * 2**20)
    refused = {j.cells[0].solver.width: j.refusal for j in jobs if j.refusal}
    assert list(refused) == [64]
    assert refused[64] == (
        "needs about 1,374 MiB (350 of them for its worker), and the workers together may use"
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
    def share(self, number: int, done: float, compiling: bool) -> None: ...

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
    jobs = [
        Job((cells[0],), 1.0, bytes=10.0, refusal="needs too much"),
        Job((cells[1],), 3.0, bytes=10.0),
    ]
    reports = run_jobs(jobs, workers, tmp_path / "results", math.inf)
    assert [r.message for _, r in reports] == ["needs too much", "tried"]
    assert workers.given == [1]
    record = Store(tmp_path / "results").read(cells[0].key)
    assert record is not None
    assert (record.status, record.facts.phase) == ("failed", "plan")
    assert workers.told[-2:] == [("outlook", 1.0), ("finish", "tried")]


@pytest.mark.parametrize(("memory", "most"), [(100.0, 1), (math.inf, 2)])
def test_jobs_run_together_only_if_they_fit_together(
    cells: list[Cell], tmp_path: Path, memory: float, most: int
) -> None:
    workers = Recorder()
    run_jobs([Job((c,), 1.0, bytes=60.0) for c in cells[:4]], workers, tmp_path / "results", memory)
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


def looked_at(suite: Suite) -> Plan:
    """Return a plan whose data are known, and whose steps are not."""
    plan = plan_suite(suite)
    for experiment in suite.experiments:
        points = {"source": 10, "source_test": 6, "target": 8, "target_test": 6}
        plan.data[experiment.name] = Inspected("data", (8, 8, 1), points)
        plan.dts[experiment.name] = None
    return plan


def test_a_plan_knows_images_that_no_parameter_measures(registry: Registry, suite: Suite) -> None:
    plan = looked_at(suite)
    found = predicted_plan(plan, registry, (), 2, math.inf)
    total = found["total"]
    assert (total["cells"], total["to_compute"], total["pilots"]) == (10, 10, 1)
    assert total["unknown"] == 0
    computing = sum(r["seconds"] for r in found["cells"])
    assert total["seconds"] > computing + total["compile_seconds"], "pilot runs included"
    assert total["elapsed_seconds"] == pytest.approx(AROUND + total["seconds"] / 2)
    compiling = sum(r["compile_seconds"] for r in found["cells"])
    assert total["compile_seconds"] > compiling > 4 * PROGRAM
    assert total["known"] == "from counts; no run on this machine yet"


def test_a_plan_says_how_many_finished_cells_it_rests_on(registry: Registry, suite: Suite) -> None:
    plan = looked_at(suite)
    history = [finished(NETWORK, 1.0, 1.0), finished(NETWORK, 2.0, 2.0, cells=7)]
    known = predicted_plan(plan, registry, history, 2, math.inf)["total"]["known"]
    assert known == "from 11 finished cells; lazy-ntk, mean-field from counts"
    other = [finished("dmft 9", 1.0, 1.0)]
    known = predicted_plan(plan, registry, other, 2, math.inf)["total"]["known"]
    assert known == "from counts; no run on this machine yet"


def test_pilot_runs_take_what_the_last_ones_took(registry: Registry, suite: Suite) -> None:
    plan, spent = looked_at(suite), Spent(30.0, 2.0, 0, 3)
    counted = predicted_plan(plan, registry, (), 1, math.inf)
    history = [Finished.of(PILOT, 0, 0.0, spent)]
    found = predicted_plan(plan, registry, history, 1, math.inf)
    assert found["cells"] == counted["cells"]
    more = found["total"]["compile_seconds"] - counted["total"]["compile_seconds"]
    assert more == pytest.approx(2.0 - 2 * PROGRAM)
    assert found["total"]["seconds"] == pytest.approx(
        32.0 + sum(r["seconds"] + r["compile_seconds"] for r in found["cells"])
    )
    assert found["total"]["known"] == "from counts; no run on this machine yet"


def test_a_plan_names_what_would_not_fit(registry: Registry, suite: Suite) -> None:
    plan = looked_at(suite)
    found = predicted_plan(plan, registry, (), 2, 50.0)
    assert {r["status"] for r in found["cells"]} == {"refused"}
    assert found["total"]["refused"] == 10


def test_a_task_that_cannot_be_made_leaves_its_cells_unknown(
    registry: Registry, suite: Suite
) -> None:
    plan = replace(looked_at(suite), data={}, failed={"digits": JobFailure("no such file")})
    found = predicted_plan(plan, registry, (), 2, math.inf)
    assert {r["status"] for r in found["cells"]} == {"failed"}
    assert {r["seconds"] for r in found["cells"]} == {None}
    assert (found["total"]["failed"], found["total"]["unknown"]) == (1, 10)


def test_a_plan_without_cells_takes_no_time(registry: Registry, suite: Suite) -> None:
    found = predicted_plan(Plan(replace(suite, experiments=())), registry, (), 2, math.inf)
    assert (found["cells"], found["total"]["elapsed_seconds"]) == ([], 0.0)


# ---------------------------------------------------------------- history


def test_what_finished_is_remembered_in_order_and_no_more_than_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "history" / "this.jsonl"
    jobs = [finished(NETWORK, 1.0 + i, 2.0 + i) for i in range(2 * KEPT + 5)]
    assert read_history(path) == ()
    remember(path, jobs[0])
    assert read_history(path) == (jobs[0],)
    for job in jobs[1:]:
        remember(path, job)
    assert read_history(path) == tuple(jobs[-KEPT:])
    assert path.read_bytes().count(b"\n") < 2 * KEPT
    assert [p.name for p in path.parent.iterdir()] == ["this.jsonl"]
    remember(None, jobs[0])
    assert read_history(None) == ()
    (tmp_path / "file").touch()
    remember(tmp_path / "file" / "this.jsonl", jobs[0])


@pytest.mark.parametrize(
    "damage", [b"", b"[]", b'{"kind": 3', b'{"kind": "a"}', b"\xff", b"null", b"NaN"]
)
def test_a_damaged_line_costs_itself_alone(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "this.jsonl"
    before, after = finished(NETWORK, 1.0, 2.0), finished(NETWORK, 3.0, 4.0)
    remember(path, before)
    with path.open("ab") as opened:
        opened.write(b"\n" + damage)
    remember(path, after)
    assert read_history(path) == (before, after)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_numbers_that_cannot_be_are_no_history(tmp_path: Path, value: float) -> None:
    remember(tmp_path / "this.jsonl", finished(NETWORK, 1.0, value))
    assert read_history(tmp_path / "this.jsonl") == ()


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    def write(kind: str) -> None:
        for i in range(100):
            remember(tmp_path / "this.jsonl", finished(kind, 1.0 + i, 1.0))

    threads = [threading.Thread(target=write, args=[kind]) for kind in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_history(tmp_path / "this.jsonl")
    for kind in ("a", "b"):
        assert [j.counts for j in found if j.kind == kind] == [1.0 + i for i in range(100)]


def test_a_job_is_remembered_by_its_kind_and_work(cells: list[Cell]) -> None:
    found = estimates(cells).finished(cells[:4], Spent(8.0, 3.0, 2, 14))
    assert found == Finished(NETWORK, 4, pytest.approx(16.0), 2.0, 3.0, 2, 14)


def test_machines_that_share_a_home_have_histories_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("platform.node", lambda: "one")
    one = history_file()
    monkeypatch.setattr("platform.node", lambda: "an/other")
    other = history_file()
    assert one != other
    assert one.parent == other.parent
