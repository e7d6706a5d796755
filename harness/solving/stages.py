"""Conversion of a problem to arrays, and of a solver's views to observables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from harness import numerics, observables
from harness.errors import DivergenceError, LimitbenchError
from harness.numerics.problem import NO_POINTS
from harness.observables.recorded import KernelBlocks
from harness.records import (
    EXPLOSION,
    Architecture,
    Observable,
    Problem,
    Stage,
    Trajectory,
    recorded_steps,
)
from harness.solving.own import OwnRecorder

S = TypeVar("S")
K = TypeVar("K")
View = numerics.UnitView | numerics.KernelView


def solve_problem(
    problem: Problem, solver: numerics.Solver[S, Any], settings: S, samples: int = 0
) -> Trajectory:
    """Return the observables of a solver's solution of a problem.

    Args:
        problem: problem to solve.
        solver: solves it and shows every stage.
        settings: of the solver.
        samples: approximate total of hidden units; 0 where none are needed.

    Raises:
        LimitbenchError: if the settings find no solution.
        DivergenceError: if the loss explodes.
    """
    return solve_further(problem, solver, settings, samples, None)[0]


def solve_further(
    problem: Problem,
    solver: numerics.Solver[S, K],
    settings: S,
    samples: int,
    before: numerics.Solved[K] | None,
) -> tuple[Trajectory, numerics.Solved[K]]:
    """Solve from a solution with fewer samples; also return the starting point of the next one."""
    arrays = problem_arrays(problem)
    data = problem.data
    seen = [
        StageRecorder(
            stage,
            observables.stage_sets(data, stage),
            observables.stage_labels(data, stage),
            OwnRecorder(problem, stage) if problem.observables else None,
        )
        for stage in problem.protocol.stages
    ]

    def observe(
        stage: int,
        steps: int | NDArray[np.int64],
        view: Callable[[int], View],
        replicates: int = 1,
        numbers: int = 0,
    ) -> None:
        seen[stage].take(steps, view, replicates, numbers)

    try:
        solved = solver(
            arrays, settings, samples, observe, None if before is None else before.known
        )
    except numerics.UnstableError as error:
        raise DivergenceError(str(error)) from None
    except numerics.SolverError as error:
        raise LimitbenchError(str(error)) from None
    notes = dict(solved.notes)
    for index, each in enumerate(seen):
        notes |= observables.stationary_notes(index, each.stage, each.blocks)
    return Trajectory(tuple(each.observables() for each in seen), notes), solved


def problem_arrays(problem: Problem) -> numerics.ProblemArrays:
    """Return the arrays of a problem for solvers: points in one array, set after set."""
    sets, where = problem.data.sets(), observables.set_indices(problem.data)
    stages = []
    for stage in problem.protocol.stages:
        train, query, *probes = stage.sets_seen(sets)
        stages.append(
            numerics.StageArrays(
                train=where[train],
                y=sets[train].y,
                query=where[query],
                rates=_rates(stage),
                records=recorded_steps(stage.steps),
                readout=stage.readout,
                trained=_numbers(stage.trains, problem.architecture.depth)
                + (["readout"] if stage.trains("readout") else []),
                redrawn=_numbers(stage.redraws, problem.architecture.depth),
                center=stage.center,
                probe=np.concatenate([NO_POINTS, *(where[name] for name in probes)]),
                window=_window(stage).at,
                loss=stage.loss,
            )
        )
    x = np.concatenate([problem.architecture.inputs(d.x) for d in sets.values()])
    return numerics.ProblemArrays(
        x=x,
        tasks=[(where[name], sets[name].y) for name in problem.data.tasks],
        activation=problem.architecture.activation,
        depth=problem.architecture.depth,
        stages=stages,
        branch_scale=problem.architecture.branch_scale,
        pooling=problem.architecture.pooled(x),
        units=bool(problem.observables),
    )


def initial_kernels(architecture: Architecture, x: NDArray[Any]) -> numerics.LazyKernels:
    """Return the kernels of an architecture's structure between points x, before training."""
    inputs = architecture.inputs(x)
    return numerics.lazy_kernels(
        inputs,
        inputs,
        activation=architecture.activation,
        depth=architecture.depth,
        branch_scale=architecture.branch_scale,
        pooling=architecture.pooled(inputs),
    )


def _numbers(chosen: Callable[[int], bool], depth: int) -> list[int]:
    """Return the numbers of the hidden layers that are chosen."""
    return [layer for layer in range(1, depth + 1) if chosen(layer)]


def _rates(stage: Stage) -> numerics.StageRates:
    return numerics.StageRates(
        stage.richness, stage.step_size, stage.decay, stage.elastic, stage.temperature
    )


def _window(stage: Stage) -> numerics.BlockMeans:
    return numerics.BlockMeans(stage.steps if stage.temperature > 0 else 0)


class StageRecorder:
    """Observables of a stage, made while its solver runs.

    Args:
        stage: the stage.
        sets: positions of its sets among its points.
        labels: labels of these sets.
        own: observables of one's own, if any are asked for.
    """

    def __init__(
        self,
        stage: Stage,
        sets: observables.Sets,
        labels: observables.Labels,
        own: OwnRecorder | None = None,
    ) -> None:
        self.stage, self.window = stage, _window(stage)
        self._sets, self._labels, self._own = sets, labels, own
        self._recorded = set(recorded_steps(stage.steps).tolist())
        self._steps: list[int] = []
        self._curves: dict[str, list[NDArray[Any]]] = {}
        self._final: dict[str, NDArray[Any]] = {}
        self._replicated = False
        self._limit = np.inf
        self._looks = 0

    def take(
        self,
        steps: int | Int64[np.ndarray, " records"],
        view: Callable[[int], View],
        replicates: int,
        numbers: int,
    ) -> None:
        """Take the views at recorded steps: see `harness.numerics.Observe`.

        Raises:
            DivergenceError: if the loss has exploded.
        """
        at = np.atleast_1d(steps).tolist()
        due = self.window.due(at[-1])
        kept = due or at[-1] == self.stage.steps

        def one(replicate: int) -> tuple[NDArray[Any], KernelBlocks, dict[str, NDArray[Any]]]:
            with np.errstate(all="ignore"):  # values that are not finite mark divergence
                shown = view(replicate)
                blocks = _blocks(self._sets, shown)
                if self._own is not None:
                    self._show(self._own, shown, replicate, replicates, at[0] == 0, kept)
                return np.asarray(shown.output), blocks, self._snapshot(shown) if kept else {}

        with observables.observing():
            rows = numerics.side_by_side(one, replicates, numbers)
            outputs, blocks, snapshots = zip(*rows, strict=True)
            output, block, snapshot = outputs[0], blocks[0], snapshots[0]
            if replicates > 1:
                # small matrices: replicates one at a time would cost several times as much
                output, block = np.stack(outputs), observables.stacked(blocks)
                snapshot = observables.stacked(snapshots)
            if self._own is not None and kept:
                snapshot = snapshot | self._own.values(replicates)
            labels = self._labels.astype(output.dtype)
            curves = observables.block_curves(self._sets, labels, output, block)
        self._replicated = replicates > 1
        if due:
            self.window.add(at[-1], curves | snapshot)
            self._looks += 1
        if not self._recorded.issuperset(at):
            return
        if np.ndim(steps) == 0:
            curves = {name: values[..., None] for name, values in curves.items()}
        self._check(curves["loss/train"])
        self._steps += at
        for name, values in curves.items():
            self._curves.setdefault(name, []).append(values)
        self._final = snapshot

    @staticmethod
    def _show(
        own: OwnRecorder, view: View, replicate: int, replicates: int, first: bool, kept: bool
    ) -> None:
        """Show a view's units, if it has any: see `OwnRecorder.see`."""
        if isinstance(view, numerics.UnitView):
            own.see(replicate, view, replicates, first, kept)
        elif view.units is not None:
            start, end = view.units
            own.see(replicate, start, replicates, first, False)
            own.see(replicate, end, replicates, False, kept)

    @property
    def blocks(self) -> dict[str, NDArray[Any]]:
        """Block means over the stationary window, if a solver that follows noise has shown it."""
        return self.window.means if self._looks == len(self.window.at) else {}

    def observables(self) -> dict[str, Observable]:
        """Return the observables of the stage, once its last step is recorded."""
        curves = {name: np.concatenate(v, axis=-1) for name, v in self._curves.items()}
        return observables.stage_observables(
            np.array(self._steps), curves, self._final, self._replicated
        ) | observables.stationary_observables(self.stage.steps, self.blocks, self._replicated)

    def _snapshot(self, shown: View) -> dict[str, NDArray[Any]]:
        """Return the snapshot at the end of a stage, also averaged over a window."""
        sets, train = self._sets, slice(*self._sets.train)
        if isinstance(shown, numerics.UnitView):
            labels = self._labels.astype(shown.output.dtype)
            return observables.unit_snapshot(
                sets, labels, shown.output, shown.preactivations, shown.features
            )
        output, kernels = shown.output, shown.kernels
        if output.ndim > self._labels.train.ndim:  # of several records
            output = output[-1]
        if kernels is None:
            raise ValueError(
                "a KernelView at the end of a stage needs kernels: those of all layers,"
                " (layers, points, points)"
            )
        if shown.variances is not None:
            return observables.gaussian_snapshot(sets, output, shown.variances, kernels)
        kept = {
            "output/test": output[slice(*sets.test)].reshape(-1),
            "kernel/feature": kernels[:, sets.kept][:, :, sets.kept],
        }
        if shown.preactivations is None:
            return kept
        draws = [np.asarray(h)[train] for h in shown.preactivations]
        return kept | observables.preactivation_laws(draws, self._labels.train)

    def _check(self, loss: NDArray[Any]) -> None:
        stage = self.stage
        if not self._steps:
            y = self._labels.train
            start = numerics.mean_loss(stage.loss, y, 0 * y) + np.max(loss[..., 0])
            # outputs of 1e-6 are rounding errors of zero
            self._limit = EXPLOSION * max(float(start), 1e-12)
        if not (loss <= self._limit).all():
            raise DivergenceError(
                f"the loss stopped being finite or exploded (dt = {stage.dt:g}, richness ="
                f" {stage.richness:g}); use a smaller dt, for example {stage.step_size / 4:.2g}"
            )


def _blocks(sets: observables.Sets, shown: View) -> KernelBlocks:
    """Return the blocks of the last layer's feature kernel that curves need."""
    if isinstance(shown, numerics.UnitView):
        return observables.feature_blocks(sets, shown.features[-1])
    return {(a, b): np.asarray(shown.kernel(slice(*a), slice(*b))) for a, b in sets.blocks}
