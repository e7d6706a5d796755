"""Results folders made by hand: networks that approach a known limit as 1/sqrt(N)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.observables import DENSITY_EDGES
from harness.records import Observable, Trajectory
from harness.records.cell import SpecFacts
from harness.scoring import ScoreRow
from harness.scoring.trend import Fit
from harness.store import Manifest, Store
from harness.suites.cells import FORMAT, Cell, Resolved, Solver, task_key
from harness.suites.experiment import Experiment, Spec, Suite

FUZZ = int(os.environ.get("FUZZ", "1"))
"""How many times as many examples of hostile input are tried; `make test` takes the same ones."""

HOSTILE = '<script>alert(1)</script> "q" \'a\' & id="x" $a_b$ --> \u202e'
WIDTHS = (16, 64, 256)
SEEDS = (0, 1, 2, 3)
POINTS = 12
Outcome = Trajectory | dict[str, Any]
SUITE = Suite("made up", WIDTHS, SEEDS, "float32", ())


class Results:
    """A results folder, to which experiments are added; theories are of one version."""

    def __init__(self, root: Path, version: str = "1") -> None:
        self.store = Store(root)
        self.store.prepare()
        self._written = 0
        self._version = version

    def add(
        self,
        name: str,
        theories: dict[str, float | str],
        widths: tuple[int, ...] = WIDTHS,
        seeds: tuple[int, ...] = SEEDS,
        broken: tuple[int, ...] = (),
        stages: int = 2,
        missing: int = 0,
        failure: str = "",
        removed: tuple[int, ...] = (),
        task: str = "made-up-task",
        regime: dict[str, Any] | None = None,
        data_seed: int | None = None,
        suite: str = SUITE.name,
    ) -> None:
        """Write an experiment: a theory is off by a relative gap, or fails, or does not apply.

        Cells of the widths `removed` are named by the manifest and not written; `missing` counts
        more of which nothing is known.
        """
        position = self._written
        specs = {t: Spec(t, self._version, {"samples": 8}) for t in theories}
        experiment = Experiment(
            name,
            Spec(task, "1", {"classes": [0, 1], "folder": None, "note": "<i>task</i>"}),
            position if data_seed is None else data_seed,
            Spec("mlp", "1", {"depth": 1}),
            Spec("fine-tune", "1", {"source_richness": 2.0, "decay": 0.0, **(regime or {})}),
            tuple(specs.values()),
        )
        outcomes: list[tuple[Solver, Outcome]] = [
            (
                Solver("network", width, seed, "float32"),
                failed("loss <exploded>") if width in broken else network(width, seed, stages),
            )
            for width in widths
            for seed in seeds
        ]
        for theory, gap in theories.items():
            solver = Solver(theory, theory=specs[theory])
            outcome: Outcome
            if isinstance(gap, str):
                inapplicable = {"status": "not-applicable", "message": gap.removeprefix("not: ")}
                outcome = inapplicable if gap.startswith("not: ") else failed(gap)
            else:
                outcome = trajectory(1.0 + gap, 0.0, None, stages)
            outcomes.append((solver, outcome))
        unknown = [f"{position:02}{k:022}" for k in range(missing)]
        self.write(experiment, (0.1,) * stages, outcomes, unknown, failure, removed, suite=suite)

    def write(
        self,
        experiment: Experiment,
        dts: tuple[float, ...],
        outcomes: Sequence[tuple[Solver, Outcome]],
        unknown: Sequence[str] = (),
        failure: str = "",
        removed: tuple[int, ...] = (),
        data: str = "",
        suite: str = SUITE.name,
    ) -> None:
        """Write an experiment: what every solver came to, or facts of a cell that is not done.

        Other tasks and seeds have other data unless a digest is given.
        """
        keys = list(unknown)
        for solver, outcome in outcomes:
            cell = Cell(experiment, Resolved(data or task_key(experiment), dts), solver)
            keys.append(cell.key)
            if solver.width in removed:
                continue
            facts: dict[str, Any] = {
                "format": FORMAT,
                "key": cell.key,
                "experiment": experiment.name,
                **cell.identity,
                **cell.provenance,
                "started": "2026-02-03T04:05:06+00:00",
                "seconds": 1.5,
                "environment": {"python": "3.11.0", "versions": {"jax": "9.8.7"}},
            }
            if isinstance(outcome, Trajectory):
                facts |= {"status": "done", "notes": dict(outcome.notes)}
                self.store.write(cell, facts, outcome)
            else:
                self.store.write(cell, facts | outcome, None)
        position = self._written
        self._written += 1
        self.store.write_manifest(manifest(suite, position, experiment, keys, failure))


def manifest(
    suite: str, position: int, experiment: Experiment, keys: Sequence[str], failure: str = ""
) -> Manifest:
    """Return the manifest of an experiment."""
    return Manifest(
        format=FORMAT,
        suite=suite,
        position=position,
        experiment=experiment.name,
        task=SpecFacts(**experiment.task.asked),
        data_seed=experiment.data_seed,
        cells=list(keys),
        failure=failure,
        traceback="",
    )


def failed(message: str) -> dict[str, Any]:
    trace = f"Traceback <b>\n  {message}"
    return {"status": "failed", "phase": "solve", "message": message, "traceback": trace}


def trajectory(scale: float, noise: float, seed: int | None, stages: int) -> Trajectory:
    steps = np.arange(0, 101, 10)
    points = scale * np.linspace(-1, 1, POINTS)
    if seed is not None:
        points = points + noise * np.random.default_rng(seed).standard_normal(POINTS)
    loss = np.exp(-steps / 30) + 0.01 + noise**2
    x = np.linspace(-1, 1, 2 * POINTS)
    centres = (DENSITY_EDGES[1:] + DENSITY_EDGES[:-1]) / 2
    density = np.exp(-np.abs(centres / scale)) / (2 * scale)

    def observable(at: Any, values: Any) -> Observable:
        return Observable(at, values, np.full(values.shape, 1e-3) if seed is None else None)

    stage = {
        "loss/train": observable(steps, loss),
        "loss/test": observable(steps, 1.2 * loss),
        "probe/source-loss": observable(steps, 0.1 + 1e-3 * steps + noise**2),
        "output/test": observable(steps[-1:], points[None]),
        "kernel/feature": observable(steps[-1:], scale * (1 + np.outer(x, x))[None, None]),
        "preactivation/density": observable(steps[-1:], density[None, None]),
    }
    return Trajectory((stage,) * stages, {"samples": 8} if seed is None else {})


def network(width: int, seed: int, stages: int) -> Trajectory:
    return trajectory(1.0, 0.3 / np.sqrt(width), 1000 * width + seed, stages)


def score_row(distances: dict[int, float], **changes: Any) -> ScoreRow:
    """Return a row of the leaderboard as it could be, given the distance of every width."""
    widths = sorted(distances)
    made = ScoreRow(
        discrepancy=distances,
        discrepancy_ci={n: (d, d) for n, d in distances.items()},
        ensemble_discrepancy=dict.fromkeys(widths),
        ensemble_discrepancy_ci=dict.fromkeys(widths),
        exponent=None,
        exponent_ci=None,
        limit_gap=0.03,
        limit_gap_ci=(0.0, 0.08),
        limit_stderr=0.01,
        theory_stderr=0.0,
        dropped_widths=[],
        fit=Fit(0.0, 1.0, 0.0),
        width_at_5_percent=None,
        width_at_5_percent_kind=None,
        verdict="undecided",
        advice=None,
        experiment="one",
        problem="",
        task="made-up-task",
        architecture="mlp",
        regime="fine-tune",
        theory="good",
        cell="0" * 24,
        observable="output/test",
        apart=None,
        versions={},
        sources={},
        widths=widths,
        seeds=4,
        theory_seconds=1.5,
        network_seconds_same_error=None,
        complete=True,
        rank=1,
    )
    return replace(made, **changes)
