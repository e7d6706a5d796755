"""Facts and numbers of a cell that must fit each other and the data, without training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from harness.numerics.losses import mean_loss
from harness.records import Problem, Stage
from harness.scoring.values import PRIMARY, last_stage
from harness.store import CellRecord
from harness.submissions.again import Problems, problem_of

ROUNDINGS = 64 * 2.0**-24
"""Allowed difference of two means of the same losses in single precision, relative to the squares
of labels and outputs."""


class Consistency:
    """Checks of many cells, one after the other.

    Args:
        problems: problems with data made here.

    Attributes:
        unchecked: reason why a cell's problem cannot be made here, by the cell's key.
    """

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._outputs: dict[tuple[str, bytes], str] = {}
        self.unchecked: dict[str, str] = {}

    def faults(self, record: CellRecord) -> Iterator[str]:
        """Yield the faults of a cell, in words.

        The data made here must be the cell's. Of a network, losses at the end of every stage are
        those of its outputs, and losses at the start of a centred stage those of a predictor of
        zero; no two networks of a problem have the same outputs.

        Raises:
            StoreError: if the cell's files hold something else.
        """
        problem = self._problems.find(record.facts)
        if isinstance(problem, str):
            self.unchecked[record.key] = problem
            if problem.startswith("its task makes other data"):
                yield problem
        if record.status != "done":
            return
        curves = record.columns().to_pandas()
        if record.facts.solver.network is not None:
            yield from self._twins(record, curves)
            if isinstance(problem, Problem):
                for index, stage in enumerate(problem.protocol.stages):
                    yield from _of_stage(problem, index, stage, curves[curves["stage"] == index])

    def _twins(self, record: CellRecord, curves: pd.DataFrame) -> Iterable[str]:
        """Return a fault if another network of the problem has the same outputs."""
        mine = (curves["stage"] == last_stage(record)) & (curves["observable"] == PRIMARY)
        values = curves["value"][mine].to_numpy()
        if not values.any():
            return []
        place = problem_of(record.facts), values.tobytes()
        first = self._outputs.setdefault(place, record.key)
        return [] if first == record.key else [f"has the outputs of cell {first}"]


def _of_stage(problem: Problem, index: int, stage: Stage, curves: pd.DataFrame) -> Iterator[str]:
    where = f"stage {index}"
    names = curves["observable"]
    for part, data in (("train", problem.data.train), ("test", problem.data.test)):
        labels, name = np.asarray(data(stage.data).y, dtype=np.float64), f"loss/{part}"
        losses = curves[names == name].set_index("step")["value"]
        if stage.center and 0 in losses.index:
            expected = float(mean_loss(stage.loss, labels, np.zeros_like(labels)))
            scale = float(np.mean(np.square(labels)) * labels.size / len(labels)) + 1
            if abs(losses[0] - expected) > ROUNDINGS * scale:
                yield (
                    f"{where}: {name} begins with {losses[0]:.6g}; a centred predictor begins with"
                    f" {expected:.6g}"
                )
        if len(losses) and losses.index.max() != stage.steps:
            yield f"{where}: {name} ends with step {losses.index.max()}, not with {stage.steps}"
            continue
        outputs = curves[names == f"output/{part}"]
        outputs = outputs[outputs["step"] == stage.steps].sort_values("index")
        if not len(losses) or not len(outputs):
            continue
        if len(outputs) != labels.size:
            yield f"{where}: output/{part} has {len(outputs)} values; there are {labels.size}"
            continue
        values = outputs["value"].to_numpy().reshape(labels.shape)
        expected = float(mean_loss(stage.loss, labels, values))
        squares = np.square(np.abs(labels) + np.abs(values)).sum() / len(labels)
        if abs(losses[stage.steps] - expected) > ROUNDINGS * (float(squares) + 1):
            yield (
                f"{where}: {name} ends with {losses[stage.steps]:.6g}; its outputs give"
                f" {expected:.6g}"
            )
