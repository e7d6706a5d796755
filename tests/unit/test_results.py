"""Averages over draws of the data, and transfer against its control: numbers made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_results import Results

import harness
from harness import Observable, Trajectory
from harness.scoring.transfer import CurveEstimates, jackknife, target_stage
from harness.suites.cells import Solver
from harness.suites.experiment import Experiment, Spec
from harness.suites.names import swept_parameters, without_draw

STEPS = np.array([0, 2, 4])
THEORIES = tuple(Spec(name, "1", {}) for name in ("exact", "sampled"))
EXACT, SAMPLED = (Solver(spec.name, theory=spec) for spec in THEORIES)
NETWORKS = [Solver("network", 64, seed, "float32") for seed in range(2)]
JOINT = {
    "dt": "auto",
    "decay": 0.0,
    "target_decay": None,
    "source_steps": 9,
    "target_richness": 2.0,
    "target_steps": 4,
    "readout": "keep",
}
ALONE = {k: v for k, v in JOINT.items() if k not in ("source_steps", "readout")}


def curve(*values: Sequence[float]) -> Observable:
    """Return an observable of one network, or of a theory with replicates."""
    drawn = np.array(values, dtype=float)
    if len(drawn) == 1:
        return Observable(STEPS, drawn[0])
    error = drawn.std(axis=0, ddof=1) / np.sqrt(len(drawn))
    return Observable(STEPS, drawn.mean(axis=0), error, drawn)


def law(*values: float) -> Observable:
    """Return what two layers are like at the end of a stage: the last one as given."""
    drawn = np.array([[[-9.0, value]] for value in values])
    if len(drawn) == 1:
        return Observable(STEPS[-1:], drawn[0])
    error = drawn.std(axis=0, ddof=1) / np.sqrt(len(drawn))
    return Observable(STEPS[-1:], drawn.mean(axis=0), error, drawn)


def stages(*loss: Sequence[float], alone: bool = False) -> Trajectory:
    """Return a target stage with the loss, after a source stage, or alone."""
    target = {
        "loss/test": curve(*loss),
        "probe/source-loss": curve(*[[0.1, 0.2, 0.1 + 0.5 * each[-1]] for each in loss]),
        "output/test": Observable(STEPS[-1:], np.linspace(1, 2, 5)[None] + loss[0][1]),
        "preactivation/excess-kurtosis": law(*[each[-1] for each in loss]),
    }
    source = {
        "loss/test": curve([7.0, 7.0, 7.0]),
        "preactivation/excess-kurtosis": law(*[0.5 for _ in loss]),
    }
    return Trajectory((target,) if alone else (source, target))


def experiment(name: str, regime: str, parameters: dict[str, Any], draw: int = 0) -> Experiment:
    task = Spec("made-up-task", "1", {"alignment": 0.5})
    mlp = Spec("mlp", "1", {"depth": 2})
    return Experiment(name, task, draw, mlp, Spec(regime, "1", parameters), THEORIES)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")


def row_of(frame: pd.DataFrame, solver: str) -> pd.Series:
    (row,) = (row for _, row in frame[frame["solver"] == solver].iterrows())
    return row


@pytest.mark.parametrize(
    ("name", "shared"),
    [
        ("x[task.data_seed=3]", "x"),
        ("x[regime.decay=0.1,task.data_seed=3]", "x[regime.decay=0.1]"),
        ("x[task.data_seed=3,task.pair=[0,1]]", "x[task.pair=[0,1]]"),
        ("x[regime.decay=0.1]", None),
        ("x", None),
        ("x[own brackets]", None),
    ],
)
def test_names_say_what_is_a_draw_of_what(name: str, shared: str | None) -> None:
    assert without_draw(name) == shared


def test_names_say_what_is_swept() -> None:
    assert swept_parameters("x[task.pair=[0,1],regime.decay=1]") == (
        "x",
        ("task.pair", "regime.decay"),
    )
    assert swept_parameters("x[own]") == ("x[own]", ())


def test_networks_are_averaged_over_seeds_and_then_over_draws(results: Results) -> None:
    for draw, ends in enumerate([(1.0, 3.0), (4.0, 6.0), (7.0, 9.0)]):
        name = f"x[task.alignment=0.5,task.data_seed={draw}]"
        outcomes = [(n, stages([0.0, 0.0, end])) for n, end in zip(NETWORKS, ends, strict=True)]
        outcomes += [(EXACT, stages([0.0, 0.0, 10.0 * draw]))] if draw < 2 else []
        results.write(experiment(name, "joint", JOINT, draw), (0.1, 0.5), outcomes)
    results.write(
        experiment("no draw", "joint", JOINT, 9), (0.1, 0.5), [(EXACT, stages([1, 1, 1]))]
    )
    frame = harness.load(results.store.root).draws
    assert set(frame["experiment"]) == {"x[task.alignment=0.5]"}
    assert set(frame["task.alignment"]) == {0.5}
    assert set(frame["observable"]) == {"loss/test", "probe/source-loss"}, "numbers only"
    key = ["experiment", "solver", "width", "stage", "observable", "step"]
    assert not frame.duplicated(key).any()
    last = frame[
        (frame["stage"] == 1) & (frame["observable"] == "loss/test") & (frame["step"] == 4)
    ]
    networks, exact = row_of(last, "network"), row_of(last, "exact")
    assert (networks["width"], networks["time"], networks["draws"]) == (64, 2.0, 3)
    assert networks["mean"] == 5.0  # of 2, 5 and 8
    assert networks["stderr"] == pytest.approx(3 / np.sqrt(3))
    assert (exact["mean"], exact["stderr"], exact["draws"]) == (5.0, 5.0, 2)


def test_folder_without_draws_or_source_has_empty_frames(results: Results) -> None:
    results.write(experiment("x", "single", {}), (0.1,), [(EXACT, stages([1, 1, 1], alone=True))])
    found = harness.load(results.store.root)
    assert found.draws.empty and "mean" in found.draws
    assert found.transfer.empty and "experiment" in found.transfer


def test_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.array([[1.0], [2.0], [6.0]])
    one = CurveEstimates((0, 1, 2), values, STEPS[:1], STEPS[:1].astype(float))
    value, stderr = jackknife(lambda c: c[:, 0], one)
    assert value == 3.0
    assert stderr == pytest.approx(values.std(ddof=1) / np.sqrt(3))


def test_jackknife_of_a_square_leaves_out_one_at_a_time() -> None:
    one = CurveEstimates(
        (0, 1, 2), np.array([[1.0], [2.0], [6.0]]), STEPS[:1], STEPS[:1].astype(float)
    )
    # means without one are 4, 3.5, 1.5; squares 16, 12.25, 2.25, of mean 10.1667
    spread = (16 - 61 / 6) ** 2 + (12.25 - 61 / 6) ** 2 + (2.25 - 61 / 6) ** 2
    value, stderr = jackknife(lambda c: c[:, 0] ** 2, one)
    assert (value, stderr) == pytest.approx((9.0, np.sqrt(2 / 3 * spread)))


def test_errors_shared_by_seeds_cancel_in_a_difference() -> None:
    values = np.array([[1.0], [2.0], [6.0]])
    steps, times = STEPS[:1], STEPS[:1].astype(float)
    one = CurveEstimates((0, 1, 2), values, steps, times)
    same = CurveEstimates((0, 1, 2), values + 1, steps, times)
    other = CurveEstimates((3, 4, 5), values + 1, steps, times)
    error = values.std(ddof=1) / np.sqrt(3)
    assert jackknife(lambda a, b: b[:, 0] - a[:, 0], one, same) == pytest.approx((1.0, 0.0))
    assert jackknife(lambda a, b: b[:, 0] - a[:, 0], one, other) == pytest.approx(
        (1.0, np.sqrt(2) * error)
    )


def test_transfer_is_measured_against_its_control(results: Results) -> None:
    # mean curves: 3, 1, 2 with pretraining and 4, 3, 2.5 without
    results.write(
        experiment("pretrained", "jointly-rich", JOINT),
        (0.1, 0.5),
        [
            (NETWORKS[0], stages([3.0, 0.5, 1.5])),
            (NETWORKS[1], stages([3.0, 1.5, 2.5])),
            (SAMPLED, stages([3.0, 0.5, 1.5], [3.0, 1.5, 2.5])),
            (EXACT, stages([3.0, 1.0, 2.0])),
        ],
    )
    results.write(
        experiment("scratch", "no-pretraining", ALONE),
        (0.5,),
        [
            (NETWORKS[0], stages([4.0, 3.0, 2.0], alone=True)),
            (NETWORKS[1], stages([4.0, 3.0, 3.0], alone=True)),
            (SAMPLED, stages([4.0, 3.0, 2.0], [4.0, 3.0, 3.0], alone=True)),
            (EXACT, stages([4.0, 3.0, 2.5], alone=True)),
        ],
    )
    frame = harness.load(results.store.root).transfer
    assert set(frame["experiment"]) == {"pretrained"}
    assert set(frame["control"]) == {"scratch"}
    expected = {
        "final_loss": (2.0, 0.5),  # of 1.5 and 2.5
        "best_loss": (1.0, 0.5),
        "best_step": (2.0, 0.0),
        "best_time": (1.0, 0.0),
        "source_probe_start": (0.1, 0.0),
        "source_probe_end": (1.1, 0.25),
        "forgetting": (1.0, 0.25),
        "gain": (0.5, 0.0),  # 2.0 - 1.5 and 3.0 - 2.5: the seeds agree
        "gain_best": (1.5, 0.0),
        "source_excess_kurtosis": (0.5, 0.0),
        "target_excess_kurtosis": (2.0, 0.5),
    }
    for solver in ("network", "sampled", "exact"):
        row = row_of(frame, solver)
        for name, (value, stderr) in expected.items():
            assert row[name] == pytest.approx(value), (solver, name)
            error = 0.0 if solver == "exact" else stderr
            assert row[f"{name}_stderr"] == pytest.approx(error, abs=1e-12), (solver, name)
        assert np.isnan(row["target_wasserstein"]), "was not recorded"
    assert row_of(frame, "network")["estimates"] == 2


def test_errors_that_are_stated_without_replicates_stay_unknown(results: Results) -> None:
    stated = Observable(STEPS, np.array([3.0, 1.0, 2.0]), np.full(3, 0.1))
    made = stages([3.0, 1.0, 2.0])
    outcome = Trajectory((made.stages[0], {**made.stages[1], "loss/test": stated}))
    results.write(experiment("x", "jointly-rich", JOINT), (0.1, 0.5), [(EXACT, outcome)])
    (row,) = (row for _, row in harness.load(results.store.root).transfer.iterrows())
    assert row["final_loss"] == 2.0
    assert np.isnan(row["final_loss_stderr"])
    assert row["control"] is None and np.isnan(row["gain"])


def test_what_differs_in_more_than_the_source_is_no_control(results: Results) -> None:
    loss = [(EXACT, stages([1, 1, 1]))]
    alone = [(EXACT, stages([2, 2, 2], alone=True))]
    results.write(experiment("x", "jointly-rich", JOINT), (0.1, 0.5), loss)
    others = {"decay": 0.1, "target_decay": 0.1, "target_richness": 1.0, "target_steps": 5}
    for name, value in others.items():
        parameters = {**ALONE, name: value}
        results.write(experiment(name, "no-pretraining", parameters), (0.5,), alone)
    results.write(experiment("other dt", "no-pretraining", ALONE), (0.4,), alone)
    results.write(experiment("other draw", "no-pretraining", ALONE, 1), (0.5,), alone)
    assert harness.load(results.store.root).transfer["control"].tolist() == [None]


def test_a_source_stage_of_no_steps_is_a_control_of_its_own_regime(results: Results) -> None:
    tuned = {"source_richness": 2.0, "source_steps": 9, "target_steps": 4}
    results.write(experiment("tuned", "fine-tune", tuned), (0.1, 0.5), [(EXACT, stages([3, 1, 1]))])
    untrained = {**tuned, "source_richness": 1.0, "source_steps": 0}
    results.write(
        experiment("untrained", "fine-tune", untrained), (0.2, 0.5), [(EXACT, stages([3, 2, 3]))]
    )
    results.write(
        experiment("alone", "no-pretraining", {"target_richness": 2.0, "target_steps": 4}),
        (0.5,),
        [(EXACT, stages([9, 9, 9], alone=True))],
    )
    (row,) = (row for _, row in harness.load(results.store.root).transfer.iterrows())
    assert (row["experiment"], row["control"]) == ("tuned", "untrained")
    assert (row["gain"], row["gain_best"]) == (2.0, 1.0)


def test_the_target_stage_has_values_of_its_own_or_those_of_all() -> None:
    shared = {"dt": 0.1, "target_dt": 0.2, "source_decay": 3.0, "decay": 1.0, "target_decay": None}
    assert target_stage(shared) == {"decay": 1.0}
    assert target_stage({**shared, "target_decay": 2.0}) == {"decay": 2.0}
    assert target_stage({"source_steps": 1, "target_steps": 2}) == {"target_steps": 2}
    turns = {"tasks": ["source", "target"], "richness": 1.0, "steps": [3, 4], "decay": 0.5}
    last = {"target_richness": 1.0, "target_steps": 4, "decay": 0.5}
    assert target_stage(turns) == last
    assert target_stage({**turns, "tasks": ["target", "source"]}) != last
