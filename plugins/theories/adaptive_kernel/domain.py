"""The domain of `adaptive-kernel`, and its problems that need draws of hidden units."""

from __future__ import annotations

from collections.abc import Sequence

from harness import Problem, ProblemSize, Stage

from .._stationary import RELAXATIONS, length_reason

RELAXATIONS_WITHOUT_NOISE = 100.0
"""The same for nonlinear units without noise, which approach their end algebraically."""
BOUNDED = ("tanh", "erf")
LINEAR = ("linear", "he1")
GROWING_LINEARLY = ("relu", "gelu", *LINEAR)
MOST_DIRECTIONS = 16
"""Most directions with weighted draws for units of bounded features; with more, units move."""


def reason_against(problem: Problem) -> str | None:
    """Return in one line the reason why a problem is outside the domain, or None."""
    architecture = problem.architecture
    if reason := problem.beyond():
        return reason
    if architecture.activation not in (*BOUNDED, *GROWING_LINEARLY):
        return (
            f"describes activations that grow no faster than linearly, not"
            f" {architecture.activation}, whose units have no stationary law"
        )
    for index, stage in enumerate(problem.protocol.stages):
        reason = _stage_reason(problem, stage, index)
        if reason is not None:
            return f"{reason} (stage {index})"
    return None


def _stage_reason(problem: Problem, stage: Stage, index: int) -> str | None:
    """Return the reason why a stage is outside the domain, or None."""
    linear, depth = problem.architecture.activation in LINEAR, problem.architecture.depth
    homogeneous = linear or problem.architecture.activation == "relu"
    trained, stages = stage.trainable == "all", problem.protocol.stages
    relaxations = RELAXATIONS
    if stage.decay <= 0:
        return "describes training with decay; decay is 0, and the end depends on the start"
    if stage.temperature <= 0 and trained:
        if depth > 1 or not homogeneous:
            return (
                "describes training without noise for two layers, linear or ReLU; temperature is 0"
            )
        if any(s.trainable == "all" for s in stages[:index]):
            return (
                "describes training without noise from the initial draw alone; temperature is 0,"
                " and decay has left no weights in most directions"
            )
        relaxations = RELAXATIONS if linear else RELAXATIONS_WITHOUT_NOISE
    if _is_coupled(stage):
        reason = _coupling_reason(stages[: index + 1], depth, linear)
        if reason is not None:
            return reason
    return length_reason(stage, relaxations)


def _coupling_reason(stages: Sequence[Stage], depth: int, linear: bool) -> str | None:
    """Return the reason why the last stage's coupling is outside the domain, or None."""
    if stages[-1].temperature <= 0 or (depth > 1 and not linear):
        return (
            "describes elastic coupling at a temperature, of one hidden layer or of linear networks"
        )
    if depth > 1 and _is_chained(stages):
        return (
            "describes elastic coupling of several layers to weights that were drawn, or trained"
            " without coupling"
        )
    if any(s.trainable == "all" and s.temperature <= 0 for s in stages[:-1]):
        return "describes elastic coupling to weights that were trained at a temperature"
    return None


def _is_coupled(stage: Stage) -> bool:
    """Return whether a stage couples hidden weights to their values at its start."""
    return stage.elastic > 0 and stage.trainable == "all"


def couples(stages: Sequence[Stage]) -> bool:
    """Return whether any of the stages is coupled."""
    return any(_is_coupled(stage) for stage in stages)


def _is_chained(stages: Sequence[Stage]) -> bool:
    """Return whether the last stage is coupled to the weights of one that was coupled itself."""
    earlier = [s for s in stages[:-1] if s.trainable == "all"]
    return _is_coupled(stages[-1]) and bool(earlier) and _is_coupled(earlier[-1])


def is_sampled(problem: Problem | ProblemSize) -> bool:
    """Return whether hidden units have to be drawn in any stage."""
    if isinstance(problem, Problem):
        problem = ProblemSize.of(problem)
    stages = problem.stages
    warm = any(s.temperature > 0 and s.trainable == "all" for s in stages)
    chained = any(_is_chained(stages[: index + 1]) for index in range(len(stages)))
    return warm and (problem.activation not in LINEAR or chained)


def trained_points(size: ProblemSize) -> int:
    """Return the number of points that any stage trains on."""
    return sum({stage.data: size.train(stage) for stage in size.stages}.values())


def is_weighted(size: ProblemSize) -> bool:
    """Return whether units are drawn and weighted, rather than moved."""
    directions = min(trained_points(size), size.inputs)
    bounded = size.depth == 1 and size.activation in BOUNDED
    return bounded and directions <= MOST_DIRECTIONS and not couples(size.stages)
