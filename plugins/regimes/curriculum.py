"""Training on several tasks, one after the other."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationInfo, field_validator

from harness import Params, Stage, TaskName, regime

Rate = Annotated[float, Field(ge=0)]
Richness = Annotated[float, Field(ge=0)]
Steps = Annotated[int, Field(ge=0)]

MOST_STAGES = 100

T = TypeVar("T")


class Curriculum(Params):
    """Parameters of `curriculum`."""

    tasks: Annotated[list[TaskName], Field(min_length=1, max_length=MOST_STAGES)]
    """Names of the tasks in the order of training; a name may come again, as rehearsal."""
    richness: Richness | list[Richness]
    """gamma of every stage, or a list with that of each; a stage at 0 is linearised."""
    steps: Steps | list[Steps]
    """Euler steps of every stage, or a list with those of each."""
    readout: Literal["keep", "reset", "zero"] = "keep"
    """The readout at the start of later stages: kept, drawn afresh, or zero."""
    dt: Annotated[float, Field(gt=0)] | Literal["auto"] = "auto"
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

    @field_validator("richness", "steps")
    @classmethod
    def _one_for_each(cls, value: T, info: ValidationInfo) -> T:
        tasks = info.data.get("tasks")
        if isinstance(value, list) and tasks is not None and len(value) != len(tasks):
            raise ValueError(f"one number, or a list of {len(tasks)}, one for each task")
        return value

    def of_each(self, value: T | list[T]) -> list[T]:
        """Return a parameter's value for every stage."""
        return value if isinstance(value, list) else [value] * len(self.tasks)


@regime("curriculum", version="1", tags={"transfer", "continual"})
def curriculum(params: Curriculum) -> list[Stage]:
    """Learn any number of tasks in turn; every stage shows how much of the earlier ones is left."""
    each = zip(
        params.tasks, params.of_each(params.richness), params.of_each(params.steps), strict=True
    )
    return [
        Stage(
            data=task,
            richness=richness,
            steps=steps,
            readout=params.readout if index else "keep",
            dt=params.dt,
            decay=params.decay,
            elastic=params.elastic,
            temperature=params.temperature,
            loss=params.loss,
            parameterization=params.parameterization,
        )
        for index, (task, richness, steps) in enumerate(each)
    ]
