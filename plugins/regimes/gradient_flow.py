"""Training protocols of transfer learning under gradient flow (arXiv:2507.04448)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from harness import Params, Stage, regime

Rate = Annotated[float, Field(ge=0)]
Richness = Annotated[float, Field(ge=0)]
LayerNames = Literal["all", "readout"] | frozenset[Annotated[int, Field(ge=1)] | Literal["readout"]]
Steps = Annotated[int, Field(ge=0)]
StepSize = Annotated[float, Field(gt=0)] | Literal["auto"]

PAPER = "Lauditi, Bordelon & Pehlevan, arXiv:2507.04448"


class OneStage(Params):
    """Parameters of every regime; a value for one stage overrides the value for all."""

    dt: StepSize = "auto"
    """Step of every stage in units of gradient-flow time, or "auto"."""
    decay: Rate = 0.0
    """Weight decay lambda on every trainable weight."""
    elastic: Rate = 0.0
    """Coupling delta of hidden weights to their values at the stage's start."""
    temperature: Rate = 0.0
    """Temperature T of Langevin noise."""
    loss: Literal["squared", "logistic", "softmax"] = "squared"
    """Loss of every stage: squared, logistic for labels of -1 and 1, softmax for one-hot ones."""
    parameterization: Literal["mean-field", "ntk"] = "mean-field"
    """Whether networks train with richness gamma, or gamma / sqrt(N): wide ones are then lazy."""
    target_dt: StepSize | None = None
    """dt of the target stage."""
    target_decay: Rate | None = None
    """decay of the target stage."""
    target_elastic: Rate | None = None
    """elastic of the target stage."""
    target_temperature: Rate | None = None
    """temperature of the target stage."""


class TwoStages(OneStage):
    """Further parameters of every regime with a source stage."""

    source_richness: Richness
    """gamma of the source stage; at 0 it is linearised, and leaves the weights as they are."""
    source_steps: Steps
    """Euler steps of the source stage."""
    target_steps: Steps
    """Euler steps of the target stage."""
    source_dt: StepSize | None = None
    """dt of the source stage."""
    source_decay: Rate | None = None
    """decay of the source stage."""
    source_elastic: Rate | None = None
    """elastic of the source stage."""
    source_temperature: Rate | None = None
    """temperature of the source stage."""


class Single(OneStage):
    """Parameters of `single`."""

    richness: Richness
    """gamma; at 0 the network is linearised around its initial weights."""
    steps: Steps
    """Euler steps."""


class FineTune(TwoStages):
    """Parameters of `fine-tune`."""


class JointlyRich(TwoStages):
    """Parameters of `jointly-rich`."""

    target_richness: Richness
    """gamma of the target stage; at 0 it is linearised around the weights at its start."""
    readout: Literal["keep", "reset", "zero"] = "keep"
    """The readout at the start of the target stage: kept, drawn afresh, or zero."""
    trainable: LayerNames = "all"
    """Weights that the target stage trains: all, readout, or layer numbers and readout."""
    reset: LayerNames = frozenset()
    """Weights that are drawn afresh at the start of the target stage, in the same words."""


class NoPretraining(OneStage):
    """Parameters of `no-pretraining`."""

    target_richness: Richness
    """gamma of the target stage; at 0 the network is linearised around its initial weights."""
    target_steps: Steps
    """Euler steps of the target stage."""


T = TypeVar("T")


def _own(own: T | None, shared: T) -> T:
    """Return a stage's own value if given, else the value for all stages."""
    return shared if own is None else own


def _source(params: TwoStages) -> Stage:
    return Stage(
        data="source",
        richness=params.source_richness,
        steps=params.source_steps,
        dt=_own(params.source_dt, params.dt),
        decay=_own(params.source_decay, params.decay),
        elastic=_own(params.source_elastic, params.elastic),
        temperature=_own(params.source_temperature, params.temperature),
        loss=params.loss,
        parameterization=params.parameterization,
    )


def _target(params: OneStage, richness: float, steps: int) -> Stage:
    return Stage(
        data="target",
        richness=richness,
        steps=steps,
        dt=_own(params.target_dt, params.dt),
        decay=_own(params.target_decay, params.decay),
        elastic=_own(params.target_elastic, params.elastic),
        temperature=_own(params.target_temperature, params.temperature),
        loss=params.loss,
        parameterization=params.parameterization,
    )


@regime("single", version="1", tags={"single-task"}, citation=PAPER)
def single(params: Single) -> list[Stage]:
    """One stage on the target set, the only one of a single-task problem."""
    return [_target(params, params.richness, params.steps)]


@regime("fine-tune", version="1", tags={"transfer"}, citation=PAPER)
def fine_tune(params: FineTune) -> list[Stage]:
    """Learn features on the source, then train a readout from zero on the frozen features."""
    # the predictor of a readout trained from zero does not depend on gamma
    target = _target(params, params.source_richness or 1.0, params.target_steps)
    return [_source(params), replace(target, readout="zero", trainable="readout")]


@regime("jointly-rich", version="1", tags={"transfer"}, citation=PAPER)
def jointly_rich(params: JointlyRich) -> list[Stage]:
    """Learn features on the source, then go on learning features on the target."""
    target = _target(params, params.target_richness, params.target_steps)
    return [
        _source(params),
        replace(target, readout=params.readout, trainable=params.trainable, reset=params.reset),
    ]


@regime("no-pretraining", version="1", tags={"control"}, citation=PAPER)
def no_pretraining(params: NoPretraining) -> list[Stage]:
    """The target stage alone, from scratch: the control for transfer."""
    return [_target(params, params.target_richness, params.target_steps)]
