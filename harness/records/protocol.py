"""The training protocol: stages of gradient flow, and their recorded steps."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from jaxtyping import Int64

from harness.records.data import SetName

RECORDS_PER_STAGE = 50
"""Upper bound on the recorded intervals of a stage, so that results do not grow with steps."""

NARROW_WIDTH = 16
"""Width below which automatic steps take the scatter between seeds into account."""

PILOT_WIDTH = 256
"""Width of the pilot network that finds automatic steps."""

Readout = Literal["keep", "reset", "zero"]
Trainable = Literal["all", "readout"]
Loss = Literal["squared", "logistic", "softmax"]
Parameterization = Literal["mean-field", "ntk"]
CHOICES = {
    "data": get_args(SetName),
    "readout": get_args(Readout),
    "trainable": get_args(Trainable),
    "loss": get_args(Loss),
    "parameterization": get_args(Parameterization),
}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of training: explicit Euler steps of gradient flow on one training set.

    With Delta_c = - d loss / d f_c of output c, which is y - f for the squared loss, a step is
    theta <- theta + dt [gamma^2 N sum_{mu,c} Delta_{mu c} d f_{mu c} / d theta - decay theta
    - elastic (theta - theta_ref)] + sqrt(2 dt temperature) noise  (arXiv:2507.04448, mean-field
    parameterisation).

    Args:
        data: task whose training set is used.
        richness: gamma > 0; gamma -> 0 is the lazy limit.
        steps: number of Euler steps, at least 0.
        dt: step in units of gradient-flow time, or "auto" before it is resolved.
        readout: readout weights at the start: kept, drawn afresh, or zero.
        trainable: all weights, or the readout alone with frozen features.
        decay: weight decay lambda on every trainable weight.
        elastic: coupling delta of the hidden weights to their values at the stage's start.
        temperature: T of Langevin noise.
        center: subtract the predictor's value at the stage's start.
        loss: "squared", 1/2 |y - f|^2; "logistic", log(1 + e^{-y f}) for labels of -1 and 1; or
            "softmax", - sum_c y_c log softmax(f)_c for rows of labels that sum to one. Their error
            signals are y - f, y / (1 + e^{y f}) and y - softmax(f).
        parameterization: "mean-field", or "ntk", in which a network of width N trains with richness
            gamma / sqrt(N), so that wide networks are lazy.

    Raises:
        ValueError: if a value is out of range.
    """

    data: SetName
    richness: float
    steps: int
    dt: float | Literal["auto"] = "auto"
    readout: Readout = "keep"
    trainable: Trainable = "all"
    decay: float = 0.0
    elastic: float = 0.0
    temperature: float = 0.0
    center: bool = True
    loss: Loss = "squared"
    parameterization: Parameterization = "mean-field"

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                allowed = ", ".join(map(repr, choices))
                raise ValueError(f"{name} = {getattr(self, name)!r}; allowed are {allowed}")
        if not isinstance(self.steps, int):
            raise ValueError(f"steps = {self.steps!r}; a whole number is needed")
        positive = {"richness": self.richness}
        if self.dt != "auto":
            positive["dt"] = self.dt
        for name, value in positive.items():
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} = {value!r}; a positive number is needed")
        for name in ("steps", "decay", "elastic", "temperature"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} = {value!r}; a number of at least 0 is needed")

    @property
    def step_size(self) -> float:
        """The step as a number; raises ValueError while the step is still "auto"."""
        if self.dt == "auto":
            raise ValueError("dt is 'auto': resolve it with harness.networks.resolve_steps first")
        return self.dt

    def richness_at(self, width: int) -> float:
        """Return the richness for training a network of a width."""
        return self.richness / math.sqrt(width if self.parameterization == "ntk" else 1)

    def sets_seen(self, available: Collection[str]) -> list[str]:
        """Return the sets that the stage uses, in order.

        These are its training and its test set, followed, for a stage on the target, by those of
        the source if they are among the `available` ones.
        """
        own = [self.data, f"{self.data}_test"]
        probes = [name for name in ("source", "source_test") if name in available]
        return own + probes if self.data == "target" and len(probes) == 2 else own


@dataclass(frozen=True)
class Protocol:
    """Stages in the order of training; at least one."""

    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        if not self.stages:
            raise ValueError("a protocol has at least one stage")

    def with_steps(self, dts: list[float]) -> Protocol:
        """Return the protocol with each stage's dt set to the number given for it."""
        return Protocol(tuple(replace(s, dt=dt) for s, dt in zip(self.stages, dts, strict=True)))


def recorded_steps(steps: int) -> Int64[np.ndarray, " records"]:
    """Return the recorded steps of a stage, first and last included.

    Every step at first, then evenly spaced in the square root of the step: dense where the loss
    moves, and at most `RECORDS_PER_STAGE` + 1 in all.

    Args:
        steps: number of steps of the stage, at least 0.
    """
    intervals = min(steps, RECORDS_PER_STAGE)
    if intervals == 0:
        return np.zeros(1, dtype=np.int64)
    grid = steps * (np.arange(intervals + 1) / intervals) ** 2
    spread = np.maximum(np.round(grid).astype(np.int64), np.arange(intervals + 1))
    return np.unique(np.minimum(spread, steps))
