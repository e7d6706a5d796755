"""A problem, which both a network and a theory can solve."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from harness.records.architecture import Architecture
from harness.records.data import TransferData
from harness.records.protocol import Protocol, Stage


@dataclass(frozen=True, eq=False)
class Problem:
    """Task data, architecture and protocol.

    Raises:
        ValueError: if a stage asks for a data set that the task does not have, or labels do not
            fit its loss.
    """

    data: TransferData
    architecture: Architecture
    protocol: Protocol

    def __post_init__(self) -> None:
        for stage in self.protocol.stages:
            self._check_labels(stage)

    def beyond(
        self,
        *,
        losses: Collection[str] = ("squared",),
        parameterizations: Collection[str] = ("mean-field",),
    ) -> str | None:
        """Return in one line why a theory of dense layers does not describe the problem, or None.

        Args:
            losses: losses that the theory describes.
            parameterizations: parameterizations that it describes.
        """
        if self.architecture.connectivity != "dense":
            return f"describes dense layers, not {self.architecture.connectivity} ones"
        for stage in self.protocol.stages:
            if stage.loss not in losses:
                return f"describes the {' and '.join(losses)} loss, not the {stage.loss} one"
            if stage.parameterization not in parameterizations:
                return (
                    f"describes the {' and '.join(parameterizations)} parameterization, not the"
                    f" {stage.parameterization} one"
                )
        return None

    def _check_labels(self, stage: Stage) -> None:
        """Raise ValueError if labels do not fit the loss of a stage that trains on them."""
        train, test = self.data.train(stage.data), self.data.test(stage.data)
        if stage.loss != "logistic":
            return
        for found in (train, test):
            values = np.unique(found.y)
            if not set(values.tolist()) <= {-1.0, 1.0}:
                raise ValueError(
                    f"the logistic loss needs labels of -1 and 1; those of the {stage.data} go from"
                    f" {values[0]:g} to {values[-1]:g}; use classes -1 and 1, or the squared loss"
                )
        if len(np.unique(train.y)) < 2:
            raise ValueError(
                f"the logistic loss needs two classes; all training labels of the {stage.data} are"
                f" {train.y[0]:g}; take more points, or another seed of the data"
            )
