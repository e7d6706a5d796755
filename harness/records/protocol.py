"""The training protocol: stages of gradient flow, and their recorded steps."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
from jaxtyping import Int64

from harness.records.data import TASK_NAME

RECORDS_PER_STAGE = 50
"""Upper bound on the recorded intervals of a stage, so that results do not grow with steps."""

NARROW_WIDTH = 16
"""Width below which automatic steps take the scatter between seeds into account."""

PILOT_WIDTH = 256
"""Width of the pilot network that finds automatic steps."""

Readout = Literal["keep", "reset", "zero"]
Layer = int | Literal["readout"]
"""A weight matrix: the number of the hidden layer that it makes, 1 ... L, or the readout."""
LayerSet = Literal["all", "readout"] | Collection[Layer]
Loss = Literal["squared", "logistic", "softmax"]
Parameterization = Literal["mean-field", "ntk"]
CHOICES = {
    "readout": get_args(Readout),
    "loss": get_args(Loss),
    "parameterization": get_args(Parameterization),
}


class ProtocolError(ValueError):
    """A value of a stage that is out of range, or that others of its values exclude."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of training: explicit Euler steps of gradient flow on one training set.

    With Delta_c = - d loss / d f_c of output c, which is y - f for the squared loss, a step is
    theta <- theta + dt [gamma^2 N sum_{mu,c} Delta_{mu c} d f_{mu c} / d theta - decay theta
    - elastic (theta - theta_ref)] + sqrt(2 dt temperature) noise  (arXiv:2507.04448, mean-field
    parameterisation).

    Args:
        data: name of the task whose training set is used.
        richness: gamma; gamma -> 0 is the lazy limit. At 0 the network is linearised around its
            weights at the stage's start, which the stage leaves as they are.
        steps: number of Euler steps, at least 0.
        dt: step in units of gradient-flow time, or "auto" before it is resolved.
        readout: readout weights at the start: kept, drawn afresh, or zero.
        trainable: weights that are trained: "all", "readout" (with frozen features), or some
            out of the layer numbers 1 ... L (layer l ends in h^l) and "readout".
        reset: weights that are drawn afresh at the start, in the same words; a readout among them
            stands for readout = "reset".
        decay: weight decay lambda on every trainable weight.
        elastic: coupling delta of the hidden weights to their values at the stage's start.
        temperature: T of Langevin noise.
        center: subtract the predictor's value at the stage's start; needed at richness 0, where the
            predictor is infinite.
        loss: "squared", 1/2 |y - f|^2; "logistic", log(1 + e^{-y f}) for labels of -1 and 1; or
            "softmax", - sum_c y_c log softmax(f)_c for rows of labels that sum to one. Their error
            signals are y - f, y / (1 + e^{y f}) and y - softmax(f).
        parameterization: "mean-field", or "ntk", in which a network of width N trains with richness
            gamma / sqrt(N), so that wide networks are lazy.
        earlier: tasks that earlier stages train on; a protocol sets them.

    Raises:
        ProtocolError: if a value is out of range, or values exclude each other.
    """

    data: str
    richness: float
    steps: int
    dt: float | Literal["auto"] = "auto"
    readout: Readout = "keep"
    trainable: LayerSet = "all"
    reset: LayerSet = ()
    decay: float = 0.0
    elastic: float = 0.0
    temperature: float = 0.0
    center: bool = True
    loss: Loss = "squared"
    parameterization: Parameterization = "mean-field"
    earlier: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        if not TASK_NAME.fullmatch(str(self.data)):
            raise ProtocolError(
                f"data = {self.data!r}; the name of a task is needed, such as 'source' or 'target'"
            )
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                allowed = ", ".join(map(repr, choices))
                raise ProtocolError(f"{name} = {getattr(self, name)!r}; allowed are {allowed}")
        if not isinstance(self.steps, int):
            raise ProtocolError(f"steps = {self.steps!r}; a whole number is needed")
        if self.dt != "auto" and not (math.isfinite(self.dt) and self.dt > 0):
            raise ProtocolError(f"dt = {self.dt!r}; a positive number is needed")
        for name in ("richness", "steps", "decay", "elastic", "temperature"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ProtocolError(f"{name} = {value!r}; a number of at least 0 is needed")
        self._set_layers()
        if self.linearised:
            self._check_linearised()

    def _set_layers(self) -> None:
        """Write the sets of layers in one way: a word, or numbers in order, then "readout"."""
        trainable, reset = (_in_order(n, getattr(self, n)) for n in ("trainable", "reset"))
        if trainable == ():
            raise ProtocolError("trainable is empty; name a layer, or 'readout', or set steps to 0")
        afresh = reset in ("all", "readout") or "readout" in reset
        if afresh and self.readout == "zero":
            raise ProtocolError(
                "reset names the readout, and readout is 'zero'; choose one of them"
            )
        object.__setattr__(self, "trainable", "readout" if trainable == ("readout",) else trainable)
        object.__setattr__(self, "readout", "reset" if afresh else self.readout)
        kept = reset if reset == "all" else tuple(n for n in reset if isinstance(n, int))
        object.__setattr__(self, "reset", () if reset == "readout" else kept)

    def _check_linearised(self) -> None:
        for name in ("decay", "elastic", "temperature"):
            if getattr(self, name) > 0:
                raise ProtocolError(
                    f"{name} = {getattr(self, name)!r} at richness 0, which leaves the weights as"
                    f" they are; use {name} = 0, or a small richness"
                )
        if not self.center:
            raise ProtocolError(
                "richness 0 needs center = true: the predictor at the start is infinite; use"
                " center = true, or a small richness"
            )

    @property
    def linearised(self) -> bool:
        """Whether the network is linearised around its weights at the start: richness 0."""
        return self.richness == 0

    @property
    def moves_features(self) -> bool:
        """Whether training moves the features: it trains hidden weights at a richness above 0."""
        return self.trainable != "readout" and not self.linearised

    @property
    def names_layers(self) -> bool:
        """Whether it trains some hidden layers only, or draws hidden weights afresh."""
        return self.trainable not in ("all", "readout") or self.reset != ()

    def trains(self, layer: Layer) -> bool:
        """Return whether the weights of a layer are trained."""
        if isinstance(self.trainable, str):
            return self.trainable in ("all", layer)
        return layer in self.trainable

    def redraws(self, layer: Layer) -> bool:
        """Return whether the weights of a layer are drawn afresh at the stage's start."""
        if layer == "readout":
            return self.readout == "reset"
        return self.reset == "all" or layer in self.reset

    @property
    def step_size(self) -> float:
        """The step as a number; raises ValueError while the step is still "auto"."""
        if self.dt == "auto":
            raise ValueError("dt is 'auto': resolve it with harness.networks.resolve_steps first")
        return self.dt

    def richness_at(self, width: int) -> float:
        """Return the richness for training a network of a width.

        It is 1 where the network is linearised, as its predictor does not depend on it.
        """
        if self.linearised:
            return 1.0
        return self.richness / math.sqrt(width if self.parameterization == "ntk" else 1)

    def sets_seen(self, available: Collection[str]) -> list[str]:
        """Return the sets that the stage uses, in order.

        These are its training and its test set, followed by those of other tasks that it probes.
        """
        probed = [name for name in self.tasks_probed(available) if name != self.data]
        return [part for name in (self.data, *probed) for part in (name, f"{name}_test")]

    def tasks_probed(self, available: Collection[str]) -> list[str]:
        """Return the tasks of which the stage observes how well its features predict them.

        These are all that earlier stages train on, and the source, if they are among the
        `available` ones, in the order of these.
        """
        return [name for name in available if name == "source" or name in self.earlier]


def _in_order(name: str, layers: LayerSet) -> Literal["all", "readout"] | tuple[Layer, ...]:
    """Return a set of layers as a word, or as numbers in order, then "readout".

    Raises:
        ProtocolError: if an entry is neither a layer's number nor "readout".
    """
    if isinstance(layers, str):
        if layers not in ("all", "readout"):
            raise ProtocolError(
                f"{name} = {layers!r}; allowed are 'all', 'readout', or a list of layer numbers"
                " from 1 and 'readout'"
            )
        return layers
    for layer in layers:
        whole = isinstance(layer, int) and not isinstance(layer, bool) and layer >= 1
        if not whole and layer != "readout":
            raise ProtocolError(
                f"{name} names {layer!r}; allowed are layer numbers from 1 and 'readout'"
            )
    readout: tuple[Layer, ...] = ("readout",) if "readout" in layers else ()
    return *sorted({n for n in layers if isinstance(n, int)}), *readout


@dataclass(frozen=True)
class Protocol:
    """Stages in the order of training; at least one."""

    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        names = [stage.data for stage in self.stages]
        stages = tuple(
            replace(stage, earlier=tuple(dict.fromkeys(names[:index])))
            for index, stage in enumerate(self.stages)
        )
        object.__setattr__(self, "stages", stages)
        if not self.stages:
            raise ProtocolError("a protocol has at least one stage")

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
