"""A problem, which both a network and a theory can solve."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from harness.records.architecture import Architecture
from harness.records.data import Dataset, TransferData
from harness.records.protocol import LayerSet, Protocol, Stage
from harness.records.units import UnitObservable


@dataclass(frozen=True, eq=False)
class Problem:
    """Task data, architecture and protocol.

    Attributes:
        observables: functions of hidden units to record beside the observables of every solver.

    Raises:
        ValueError: if a stage asks for a data set that the task does not have or for a layer that
            the network does not have, labels do not fit its loss, it keeps a readout with another
            number of outputs, or the architecture does not take the inputs.
    """

    data: TransferData
    architecture: Architecture
    protocol: Protocol
    observables: tuple[UnitObservable, ...] = ()

    def __post_init__(self) -> None:
        self.architecture.inputs(self.data.target.x[:1])  # which may not take such inputs
        outputs, depth = None, self.architecture.depth
        for stage in self.protocol.stages:
            for name in ("trainable", "reset"):
                _check_layers(name, getattr(stage, name), depth)
            check = LABEL_CHECKS[stage.loss]
            check(stage, self.data.train(stage.data), self.data.test(stage.data))
            now = self.data.train(stage.data).outputs
            if stage.readout == "keep" and outputs not in (None, now):
                raise ValueError(
                    f"the stage on the {stage.data} keeps the readout, which has {outputs} outputs;"
                    f" its labels need {now}; use readout 'reset' or 'zero', or tasks with the same"
                    " number of classes"
                )
            outputs = now

    def beyond(
        self,
        *,
        losses: Collection[str] = ("squared",),
        parameterizations: Collection[str] = ("mean-field",),
        several_outputs: bool = False,
        skips: bool = False,
        positions: bool = False,
        layers: bool = False,
        linearised: bool = False,
    ) -> str | None:
        """Return in one line why a theory does not describe the problem, or None if it does.

        Args:
            losses: losses that the theory describes.
            parameterizations: parameterizations that it describes.
            several_outputs: whether it describes networks with more than one output.
            skips: whether it describes layers with skips.
            positions: whether it describes units at several positions of the input.
            layers: whether it describes stages that train, or draw afresh, some hidden weights.
            linearised: whether it describes stages of richness 0.
        """
        outside = self._structure_beyond(skips, positions)
        if outside is not None:
            return outside
        for index, stage in enumerate(self.protocol.stages):
            if stage.loss not in losses:
                return f"describes the {' and '.join(losses)} loss, not the {stage.loss} one"
            if stage.parameterization not in parameterizations:
                return (
                    f"describes the {' and '.join(parameterizations)} parameterization, not the"
                    f" {stage.parameterization} one"
                )
            if reason := _stage_beyond(stage, layers, linearised) or _never_fixed(stage, index):
                return reason
            outputs = self.data.train(stage.data).outputs
            if outputs > 1 and not several_outputs:
                return f"describes one output, not {outputs}"
        return None

    def _structure_beyond(self, skips: bool, positions: bool) -> str | None:
        """Return why a theory does not describe the structure of the architecture, or None."""
        architecture = self.architecture
        if architecture.other is not None:
            return f"does not describe {architecture.other}"
        if architecture.branch_scale is not None and architecture.depth > 1 and not skips:
            return "describes layers without skips, not residual ones"
        seen = architecture.inputs(self.data.target.x[:1]).shape[1:-1]
        if seen and not positions:
            return f"describes units at one position of the input, not at {seen[0]}"
        return None


def _stage_beyond(stage: Stage, layers: bool, linearised: bool) -> str | None:
    """Return why a theory does not describe a stage's weights, or None."""
    if stage.linearised and not linearised:
        return "describes stages of richness above 0, not linearised ones"
    if not layers and stage.names_layers:
        return "describes stages that train all weights or the readout, not those of some layers"
    return None


def _never_fixed(stage: Stage, index: int) -> str | None:
    """Return why the predictor of ntk networks fluctuates at any width in a stage, or None.

    Their initial predictor w.phi / (gamma sqrt(N)) is random and of order one, whatever N: it
    cancels only where it is subtracted and keeps its size.
    """
    if stage.parameterization != "ntk":
        return None
    cause = ""
    if stage.temperature > 0:
        cause = f"temperature ({stage.temperature:g})"
    elif stage.readout != "zero" or index == 0:
        if stage.decay > 0 and stage.trains("readout"):
            cause = f"decay ({stage.decay:g}) of a readout that does not start at zero"
        elif not stage.center:
            cause = "center = false and a readout that does not start at zero"
    if not cause:
        return None
    return (
        "describes limits of networks, and with the ntk parameterization their predictor fluctuates"
        f" at any width under {cause}"
    )


def _check_layers(name: str, layers: LayerSet, depth: int) -> None:
    """Raise ValueError if a set of layers names one that the network does not have."""
    above = [n for n in layers if isinstance(n, int) and n > depth]
    if above:
        allowed = "layer 1" if depth == 1 else f"layers 1 to {depth}"
        raise ValueError(
            f"{name} names layer {above[0]}; the network has {allowed} and the readout; name some"
            " of these, or take a deeper network"
        )


def _check_classes(stage: Stage, train: Dataset, _: Dataset) -> None:
    """Raise ValueError if labels for the squared loss are one-hot, all of one class."""
    first = train.y[0]
    one_hot = train.outputs > 1 and np.count_nonzero(first) == 1 and first.max() == 1.0
    if one_hot and (train.y == first).all():
        raise ValueError(
            f"labels of classes need two of them; all training labels of the {stage.data} are of"
            f" class {int(first.argmax())} of {train.outputs}, counted from 0; take more points,"
            " or another seed of the data"
        )


def _check_signs(stage: Stage, train: Dataset, test: Dataset) -> None:
    """Raise ValueError if labels are not the two classes of the logistic loss."""
    if train.outputs > 1:
        raise ValueError(
            f"the logistic loss needs one output with labels of -1 and 1; those of the {stage.data}"
            f" have a column for each of {train.outputs} classes; use the softmax loss"
        )
    for found in (train, test):
        values = np.unique(found.y)
        if not set(values.tolist()) <= {-1.0, 1.0}:
            raise ValueError(
                f"the logistic loss needs labels of -1 and 1; those of the {stage.data} go from"
                f" {values[0]:g} to {values[-1]:g}; use classes -1 and 1, or another loss"
            )
    if len(np.unique(train.y)) < 2:
        raise ValueError(
            f"the logistic loss needs two classes; all training labels of the {stage.data} are"
            f" {train.y.flat[0]:g}; take more points, or another seed of the data"
        )


def _check_rows(stage: Stage, train: Dataset, test: Dataset) -> None:
    """Raise ValueError if labels are no classes for the softmax loss."""
    if train.outputs == 1:
        raise ValueError(
            f"the softmax loss needs labels of shape (P, C), a column for each class; those of"
            f" the {stage.data} have one output; use a task with classes, or the logistic loss"
        )
    for found in (train, test):
        sums = found.y.sum(axis=1)
        wrong = int(np.argmax(np.abs(sums - 1.0) - np.minimum(found.y.min(axis=1), 0.0)))
        if abs(sums[wrong] - 1.0) > 1e-9 or found.y[wrong].min() < 0:
            row = ", ".join(f"{v:g}" for v in found.y[wrong][:6])
            raise ValueError(
                f"the softmax loss needs rows of labels of at least 0 that sum to one; row"
                f" {wrong} of the {stage.data} is [{row}]; use one-hot labels, or the squared"
                " loss"
            )
    if (train.y == train.y[0]).all():
        raise ValueError(
            f"the softmax loss needs two classes; all training labels of the {stage.data} are"
            " the same; take more points, or another seed of the data"
        )


LABEL_CHECKS = {"squared": _check_classes, "logistic": _check_signs, "softmax": _check_rows}
"""Checks of labels, by loss."""
