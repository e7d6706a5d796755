"""Checks of theories: they solve supported problems, and give reasons for refusing others."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.conformance.outcome import Checks, NothingToCheckError, require
from harness.conformance.samples import Sample, on_images, small_problems
from harness.records import Problem, Trajectory, recorded_steps
from harness.registry import Component


def _theory(component: Component, parameters: Sample) -> Any:
    return component.make(component.parse(parameters))


def _supported(theory: Any) -> Problem:
    """Return the first small problem that a theory supports."""
    reasons = []
    for problem in small_problems():
        reason = theory.supports(problem)
        if reason is None:
            return problem
        reasons.append(str(reason))
    raise NothingToCheckError(
        f"it supports none of {len(reasons)} small problems; it says: {reasons[0]}"
    )


def _theory_solves(component: Component, parameters: Sample) -> None:
    theory = _theory(component, parameters)
    problem = _supported(theory)
    _fits(theory.predict(problem), problem)


def _theory_solves_images(component: Component, parameters: Sample) -> None:
    theory = _theory(component, parameters)
    problem = on_images(_supported(theory))
    reason = theory.supports(problem)
    if reason is not None:
        raise NothingToCheckError(f"it supports no images; it says: {reason}")
    _fits(theory.predict(problem), problem)


def _fits(found: Any, problem: Problem) -> None:
    """Raise unless a trajectory has the observables and steps that scores need."""
    stages = problem.protocol.stages
    require(isinstance(found, Trajectory), f"returns a {type(found).__name__}, not Trajectory")
    require(
        len(found.stages) == len(stages),
        f"{len(found.stages)} stages for a protocol of {len(stages)}",
    )
    for stage, observables in zip(stages, found.stages, strict=True):
        needed = {"loss/train", "loss/test", "output/test", "kernel/alignment"}
        require(needed <= set(observables), f"lacks {', '.join(needed - set(observables))}")
        steps = recorded_steps(stage.steps).tolist()
        for name in ("loss/train", "loss/test"):
            at = observables[name].steps.tolist()
            # a theory of a stage's end predicts no earlier steps
            require(
                at in (steps, steps[-1:]),
                f"{name} is recorded at {at}, not at {steps}; use harness.recorded_steps",
            )
        points = len(problem.data.test(stage.data))
        shape = observables["output/test"].values.shape
        require(shape[1:] == (points,), f"output/test of shape {shape} for {points} points")


def _theory_deterministic(component: Component, parameters: Sample) -> None:
    theory = _theory(component, parameters)
    problem = _supported(theory)
    one, two = (theory.predict(problem)[-1, "output/test"].values for _ in range(2))
    require(np.array_equal(one, two), "two solutions differ; take seeds from a parameter")


def _theory_refuses(component: Component, parameters: Sample) -> None:
    theory = _theory(component, parameters)
    problems = [shown for flat in small_problems() for shown in (flat, on_images(flat))]
    reasons = [theory.supports(problem) for problem in problems]
    if reasons == [None] * len(problems):
        raise NothingToCheckError(f"it supports all of {len(problems)} small problems")
    for reason in reasons:
        require(
            reason is None or (isinstance(reason, str) and "\n" not in reason and bool(reason)),
            f"supports returned {reason!r}; allowed are None and a reason in one line",
        )


CHECKS: Checks = {
    "solves supported problems, with finite observables": _theory_solves,
    "solves images as well": _theory_solves_images,
    "is deterministic": _theory_deterministic,
    "refuses other problems in words": _theory_refuses,
}
"""Checks of every theory, by the property that must hold."""
