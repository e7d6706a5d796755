"""Training finite networks of one width through the stages of a protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from harness import observables
from harness.errors import DivergenceError, LimitbenchError, ObservableError
from harness.networks.ensemble import Ensemble
from harness.numerics.sampling.window import BlockMeans
from harness.records import Dtype, Problem, Stage, Trajectory, recorded_steps

ACCELERATOR_BATCH = 8
"""Networks that an accelerator trains side by side."""

Progress = Callable[[float], None]


class StageRecord(NamedTuple):
    """Results of training networks through a stage.

    Attributes:
        diverged: first step of each network that failed, or -1.
        curves: observables at recorded steps.
        final: snapshot at the end; empty if all networks have failed.
        blocks: means over the blocks of the stationary window; empty if there is none.
    """

    diverged: Int[np.ndarray, " networks"]
    curves: dict[str, Float[np.ndarray, "networks records"]]
    final: dict[str, Float[np.ndarray, "networks ..."]]
    blocks: dict[str, Float[np.ndarray, "blocks networks ..."]]


def train(
    problem: Problem,
    width: int,
    seeds: Sequence[int],
    dtype: Dtype = "float32",
    progress: Progress | None = None,
) -> list[Trajectory | LimitbenchError]:
    """Train networks of one width through every stage.

    The result of a seed is the same bit for bit whichever seeds it is trained with: all go through
    the same compiled programs, which take `seeds_per_call` networks, filled up if need be.

    Args:
        problem: with every dt resolved to a number.
        width: N, units of every hidden layer.
        seeds: one network each.
        dtype: "float32" or "float64".
        progress: called with the share of steps done.

    Returns:
        For every seed its trajectory, or the divergence or faulty observable that ended it.
    """
    size = seeds_per_call()
    found: list[Trajectory | LimitbenchError] = []
    for first in range(0, len(seeds), size):
        batch = list(seeds[first : first + size])

        def share(done: float, before: int = first, count: int = len(batch)) -> None:
            if progress is not None:
                progress((before + count * done) / len(seeds))

        filled = batch + batch[-1:] * (size - len(batch))
        try:
            found += _train(problem, width, filled, dtype, share)[: len(batch)]
        except ObservableError as error:
            found += [error] * len(batch)
    return found


def seeds_per_call() -> int:
    """Return the number of networks that one compiled call trains.

    One on CPUs: networks side by side are no faster there (their matrices leave the cache), and
    multiply the memory by their number. `ACCELERATOR_BATCH` networks fill an accelerator.
    """
    return 1 if jax.default_backend() == "cpu" else ACCELERATOR_BATCH


def _train(
    problem: Problem, width: int, seeds: Sequence[int], dtype: Dtype, progress: Progress
) -> list[Trajectory | LimitbenchError]:
    """Train networks side by side."""
    ensemble = Ensemble(problem, width, seeds, dtype)
    stages = problem.protocol.stages
    work = [ensemble.flops(s) * max(s.steps, 1) for s in stages]
    failures: dict[int, LimitbenchError] = {}
    found: list[list[dict[str, Any]]] = [[] for _ in seeds]
    notes: list[dict[str, float]] = [{} for _ in seeds]
    for index, stage in enumerate(stages):

        def share(done: float, index: int = index) -> None:
            progress((sum(work[:index]) + done * work[index]) / sum(work))

        recorded = _train_stage(ensemble, index, stage, share)
        for i in range(len(seeds)):
            curves = {k: v[i] for k, v in recorded.curves.items()}
            step = int(recorded.diverged[i])
            unknown = [name for name, v in curves.items() if not np.isfinite(v).all()]
            if step >= 0:
                failures.setdefault(i, _divergence(step, stage, index, width))
            elif unknown:
                failures.setdefault(i, _not_finite(unknown, stage, index, width))
            if i not in failures:
                own = {k: v[:, i] for k, v in recorded.blocks.items()}
                found[i].append(
                    observables.stage_observables(
                        recorded_steps(stage.steps),
                        curves,
                        {k: v[i] for k, v in recorded.final.items()},
                    )
                    | observables.stationary_observables(stage.steps, own)
                )
                notes[i] |= observables.stationary_notes(index, stage, own)
        if len(failures) == len(seeds):
            break
    return [failures.get(i) or Trajectory(tuple(found[i]), notes[i]) for i in range(len(seeds))]


def _train_stage(ensemble: Ensemble, index: int, stage: Stage, progress: Progress) -> StageRecord:
    """Train through a stage, pausing to observe."""
    at = recorded_steps(stage.steps).tolist()
    window = BlockMeans(stage.steps if stage.temperature > 0 else 0)
    steps = sorted({*at, *window.at.tolist()})
    together = 1 if stage.temperature > 0 else ensemble.records_together()
    rows: list[dict[str, NDArray[Any]]] = []
    final: dict[str, NDArray[Any]] = {}
    diverged = np.empty(0, np.int32)
    for pause in ensemble.run(index, steps, together=together):
        step = pause.steps[-1]
        if window.due(step):
            now = {name: values[:, 0] for name, values in pause.curves.items()}
            window.add(step, now | pause.snapshot())
        if step not in at:
            continue
        rows.append(pause.curves)
        diverged = pause.diverged
        if (diverged >= 0).all():
            break
        progress(step / stage.steps if stage.steps else 1.0)
        if step == stage.steps:
            final = pause.snapshot()
    curves = {k: np.concatenate([row[k] for row in rows], axis=1) for k in rows[0]}
    return StageRecord(diverged, curves, final, window.means)


def _divergence(step: int, stage: Stage, index: int, width: int) -> DivergenceError:
    return DivergenceError(
        f"training diverged at step {step} of stage {index} (width {width}, dt = {stage.dt:g}):"
        f" the loss stopped being finite or exploded; use a smaller dt, for example"
        f" {stage.step_size / 4:.2g}"
    )


def _not_finite(names: Sequence[str], stage: Stage, index: int, width: int) -> DivergenceError:
    return DivergenceError(
        f"{', '.join(names)} of stage {index} (width {width}, dt = {stage.dt:g}) is not finite,"
        f" though the loss did not explode; look at the scale of inputs and labels, or use a"
        f" smaller dt, for example {stage.step_size / 4:.2g}"
    )
