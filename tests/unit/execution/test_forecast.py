"""A run says how much is done and what is left; a plan says it before."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from finished_jobs import finished

from harness import Registry
from harness.execution.calls import Inspected, Spent
from harness.execution.cost.estimates import PROGRAM
from harness.execution.cost.forecast import AROUND, Expected, Forecast, predicted_plan
from harness.execution.cost.history import Finished
from harness.execution.cost.work import NETWORK, PILOT
from harness.execution.outcomes import JobFailure
from harness.execution.plan import Plan, plan_suite
from harness.suites import Suite


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
