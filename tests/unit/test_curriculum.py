"""More than two tasks: the regime `curriculum`, its solutions, and the forgetting of tasks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from problems import (
    REGISTRY,
    assert_near_networks,
    gaussian_data,
    make,
    problem,
    three_tasks,
)
from pydantic import ValidationError

from harness import Problem, Stage, Trajectory, networks
from harness.suites.faults import explain

ORDER = ["source", "third", "target"]


def curriculum(data: Any = None, **changes: Any) -> Problem:
    given: dict[str, Any] = {"tasks": ORDER, "richness": 2.0, "steps": 40, "dt": 0.02}
    stages = make("regime", "curriculum", **(given | changes))
    return problem(three_tasks() if data is None else data, *stages)


def trained(task: Problem, width: int, seeds: int = 1) -> list[Trajectory]:
    found = networks.train(task, width, range(seeds))
    assert all(isinstance(each, Trajectory) for each in found)
    return found  # type: ignore[return-value]


# ---------------------------------------------------------------- the regime


def test_a_value_is_for_every_stage_or_a_list_for_each() -> None:
    stages = make(
        *("regime", "curriculum"),
        tasks=[*ORDER, "source"],
        richness=0.5,
        steps=[4, 3, 2, 1],
        readout="reset",
        decay=0.1,
        loss="logistic",
    )
    assert [s.data for s in stages] == [*ORDER, "source"]
    assert [s.steps for s in stages] == [4, 3, 2, 1]
    assert {s.richness for s in stages} == {0.5}
    assert [s.readout for s in stages] == ["keep", "reset", "reset", "reset"]
    assert {(s.decay, s.loss, s.dt) for s in stages} == {(0.1, "logistic", "auto")}


def test_one_or_two_tasks_are_the_regimes_that_there_were() -> None:
    two = make(
        "regime", "curriculum", tasks=["source", "target"], richness=[1.0, 0.5], steps=[3, 2]
    )
    rich = {"source_richness": 1.0, "target_richness": 0.5, "source_steps": 3, "target_steps": 2}
    assert two == make("regime", "jointly-rich", **rich)
    one = make("regime", "curriculum", tasks=["target"], richness=1.0, steps=3)
    assert one == make("regime", "single", richness=1.0, steps=3)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"steps": [1, 2]}, " = [1, 2]: one number, or a list of 3, one for each task"),
        ({"richness": [1.0]}, " = [1.0]: one number, or a list of 3, one for each task"),
        ({"tasks": []}, " = []: at least 1 value"),
        (
            {"tasks": ["Source"]},
            '.0 = "Source": the name of a task: small letters, digits and hyphens,'
            " as in 'step-2'",
        ),
        ({"richness": -1.0}, " = -1.0: at least 0, or a list in brackets"),
        ({"steps": [1, 2, -3]}, ".2 = -3: at least 0"),
    ],
)
def test_wrong_parameters_are_told_in_one_line(changes: dict[str, Any], line: str) -> None:
    component = REGISTRY.get("regime", "curriculum")
    given = {"tasks": ORDER, "richness": 1.0, "steps": 10} | changes
    with pytest.raises(ValidationError) as raised:
        component.parse(given)
    (fault,) = explain(raised.value, given, component.params)
    assert fault.line("regime") == f"regime.{next(iter(changes))}{line}"


def test_a_task_that_the_data_lack_is_refused_with_the_names_that_they_have() -> None:
    with pytest.raises(ValueError, match=r"'fourth', which .* named source, third, target$"):
        curriculum(tasks=["source", "fourth"])


# ---------------------------------------------------------------- networks and theories


def test_tasks_that_no_stage_uses_change_no_network() -> None:
    stages = [Stage(data=name, richness=1.0, steps=10, dt=0.05) for name in ("source", "target")]
    (one,), (other,) = (
        trained(problem(data, *stages), 16) for data in (gaussian_data(), three_tasks())
    )
    for before, after in zip(one.stages, other.stages, strict=True):
        assert before.keys() == after.keys()
        for name, observable in before.items():
            np.testing.assert_array_equal(observable.values, after[name].values)


def test_every_stage_probes_what_came_before_and_starts_where_that_ended() -> None:
    (found,) = trained(curriculum(tasks=["third", "source", "third", "target"], steps=10), 32)
    probes = [{n for n in stage if n.startswith("probe/")} for stage in found.stages]
    assert probes[0] == {"probe/source-loss"}
    assert probes[1] == probes[2] == {"probe/source-loss", "probe/third-loss"}
    assert probes[3] == probes[2], "the target itself is not an earlier task"
    for stage in (1, 2):
        end = found[stage, "probe/third-loss"].values[-1]
        assert found[stage + 1, "probe/third-loss"].values[0] == pytest.approx(end, rel=1e-5)


def test_theories_predict_networks_on_three_tasks() -> None:
    rich = curriculum(richness=[1.2, 0.8, 1.0], readout="reset", dt=0.04)
    theories = {
        "mean-field": make("theory", "mean-field", samples=2**14).predict(rich),
        "dmft": make("theory", "dmft", samples=4000).predict(rich),
    }
    assert_near_networks(theories, rich, width=512)
    lazy = curriculum(richness=1e-3, readout="reset", dt=0.04)
    assert_near_networks({"lazy-ntk": make("theory", "lazy-ntk").predict(lazy)}, lazy, width=1024)


def test_the_linear_theory_takes_three_tasks() -> None:
    stages = make("regime", "curriculum", tasks=ORDER, richness=1.0, steps=30, dt=0.03)
    linear = problem(three_tasks(), *stages, activation="linear")
    found = make("theory", "linear-transfer").predict(linear)
    assert_near_networks({"linear-transfer": found}, linear, width=512)
    assert "loss/test-asymptotic" not in found.stages[-1]


def test_a_rich_network_forgets_an_earlier_task_as_mean_field_predicts() -> None:
    """Forgetting is the rise of a probe from a later stage's start to its end.

    The theory lies within three standard errors of four networks, and their bias of O(1 / N).
    """
    task = curriculum(three_tasks(points=24), steps=150, readout="reset")
    probe = "probe/third-loss"

    def rise(found: Trajectory) -> float:
        values = found[2, probe].values
        return float(values[-1] - values[0])

    networks_rise = np.array([rise(found) for found in trained(task, 512, seeds=4)])
    theory = make("theory", "mean-field", samples=2**14).predict(task)
    predicted, stderr = rise(theory), theory[2, probe].stderr
    assert stderr is not None
    error = np.hypot(np.linalg.norm(stderr[[0, -1]]), networks_rise.std(ddof=1) / 2)
    assert networks_rise.min() > 0.02 and predicted > 0.02, "the task is forgotten"
    assert abs(networks_rise.mean() - predicted) < 3 * error + 5 / 512


def test_lazy_features_forget_nothing() -> None:
    found = make("theory", "lazy-ntk").predict(curriculum(richness=1e-3))
    for stage in (1, 2):
        values = found[stage, "probe/source-loss"].values
        np.testing.assert_allclose(values, values[0])
