"""Observables of one's own of a theory that shows hidden units."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import numerics, observables
from harness.records import Problem, Stage, Units


class OwnRecorder:
    """Values of a problem's own observables in a stage, from the views of its solver.

    Units at the start are kept until the end, as many as `observables.most_units` allows;
    observables that ask for them see the same units at both times.

    Args:
        problem: a problem with observables of one's own.
        stage: one of its stages.
    """

    def __init__(self, problem: Problem, stage: Stage) -> None:
        self._asked = problem.observables
        self._x, self._labels, self._sets = observables.stage_points(problem.data, stage)
        self._starts: dict[int, Units] = {}
        self._values: dict[int, dict[str, NDArray[Any]] | None] = {}

    def see(
        self, replicate: int, shown: numerics.UnitView, replicates: int, first: bool, kept: bool
    ) -> None:
        """Take the view of a replicate; several threads may show different ones.

        Args:
            replicate: number of the replicate.
            shown: its hidden units.
            replicates: number of replicates.
            first: whether this is the start of the stage.
            kept: whether values are wanted, as for a snapshot.

        Raises:
            ObservableError: if an observable fails.
        """
        asking = [each for each in self._asked if each.asks_start]
        if not (kept or (first and asking)):
            return
        if not np.isfinite(shown.output).all():  # a divergence, which the loss shows too
            self._values[replicate] = None
            return
        labels = self._labels.astype(shown.output.dtype)
        now = observables.units_on(self._sets, self._x, labels, *shown)
        most = observables.most_units(now, replicates)
        if first and asking:
            self._starts[replicate] = observables.first_units(now, most, copied=True)
        if kept:
            others = [each for each in self._asked if not each.asks_start]
            start = self._starts.get(replicate)
            cut = observables.first_units(now, most)
            self._values[replicate] = {
                **observables.measured(others, now, None),
                **observables.measured(asking, cut, start),
            }

    def values(self, replicates: int) -> dict[str, NDArray[Any]]:
        """Return the last values, with a leading axis of replicates if there are several.

        Raises:
            ObservableError: if shapes of replicates differ.
        """
        rows = [self._values[r] for r in range(replicates) if r in self._values]
        found = observables.together(rows)
        return found if replicates > 1 else {name: v[0] for name, v in found.items()}
