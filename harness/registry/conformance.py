"""What every component must satisfy: run on built-in and contributed ones alike."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.records import (
    Architecture,
    Dataset,
    Problem,
    Protocol,
    Stage,
    Trajectory,
    TransferData,
    recorded_steps,
)
from harness.registry.component import Component
from harness.registry.registry import Registry


@dataclass(frozen=True)
class Check:
    """The outcome of one check: empty `failure` if it holds."""

    component: str
    name: str
    failure: str


Sample = dict[str, Any]


def check_component(
    component: Component, parameters: Sample, plugin_dirs: Sequence[str] = ()
) -> list[Check]:
    """Run every check of a component's kind.

    Args:
        component: what to check.
        parameters: values for its parameters, at least those without a default.
        plugin_dirs: where its plugin lies, for a fresh worker to load.
    """
    label = f"{component.kind} {component.name}"
    checks: dict[str, Callable[[], None]] = {
        "has a summary, and every parameter is documented": lambda: _documented(component),
        "loads in a fresh worker": lambda: _loads_afresh(component, plugin_dirs),
    }
    by_kind: dict[str, dict[str, Callable[[Component, Sample], None]]] = {
        "task": {
            "is deterministic in its seed": _task_deterministic,
            "has the right shapes and finite values": _task_shapes,
            "keeps training and test points apart": _task_disjoint,
        },
        "architecture": {
            "gives pre-activations and features of every layer": _architecture_layers,
            "starts at the same scale at any width": _architecture_scale,
        },
        "regime": {"makes stages of a protocol": _regime_stages},
        "theory": {
            "solves what it supports, with finite observables": _theory_solves,
            "is deterministic": _theory_deterministic,
            "says in words what it does not support": _theory_refuses,
        },
        "claim": {
            "says what it claims, and of which experiments": _claim_states,
            "is undecided without results": _claim_without_results,
        },
    }
    for name, check in by_kind[component.kind].items():
        checks[name] = lambda check=check: check(component, parameters)  # type: ignore[misc]
    return [Check(label, name, _failure(check)) for name, check in checks.items()]


def sample_parameters(component: Component) -> Sample | None:
    """Return values with which a component can be checked, or None if defaults do not suffice."""
    required = [n for n, f in component.params.model_fields.items() if f.is_required()]
    guesses: Sample = {}
    for name in required:
        field = component.params.model_fields[name]
        if name in SAMPLES:
            guesses[name] = SAMPLES[name]
        elif field.annotation is int:
            guesses[name] = 4
        elif field.annotation is float:
            guesses[name] = 0.5
        else:
            return None
    return guesses


SAMPLES: Sample = {
    "dimension": 6,
    "source_points": 6,
    "target_points": 4,
    "test_points": 4,
    "alignment": 0.5,
    "source_degree": 1,
    "target_degree": 2,
    "richness": 0.7,
    "source_richness": 0.7,
    "target_richness": 0.5,
    "steps": 5,
    "source_steps": 5,
    "target_steps": 4,
}
"""Small values for parameters by the names that built-in components give them."""


def _failure(check: Callable[[], None]) -> str:
    try:
        check()
    except Exception as error:  # a contributed component may raise anything
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return ""


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _documented(component: Component) -> None:
    _require(bool(component.summary), "give it a docstring; its first line is shown by `list`")
    bare = [n for n, f in component.params.model_fields.items() if not f.description]
    _require(not bare, f"document {', '.join(bare)} with a string under each parameter")


def _loads_afresh(component: Component, plugin_dirs: Sequence[str]) -> None:
    code = (
        "import sys; from harness import Registry;"
        "Registry.load(sys.argv[3:]).get(sys.argv[1], sys.argv[2])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, component.kind, component.name, *plugin_dirs],
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,  # a plugin that hangs on load; a busy machine needs minutes
    )
    _require(ran.returncode == 0, ran.stderr.strip().rpartition("\n")[2])


def _task_data(component: Component, parameters: Sample, seed: int) -> TransferData:
    data = component.make(component.parse(parameters), seed)
    _require(isinstance(data, TransferData), f"returns a {type(data).__name__}, not TransferData")
    made: TransferData = data
    return made


def _task_deterministic(component: Component, parameters: Sample) -> None:
    first, again, other = (_task_data(component, parameters, seed) for seed in (0, 0, 1))
    for name, one in first.sets().items():
        same = again.sets()[name]
        _require(
            np.array_equal(one.x, same.x) and np.array_equal(one.y, same.y),
            f"{name} differs between two calls with seed 0; draw from default_rng(seed) only",
        )
    _require(
        any(not np.array_equal(d.x, other.sets()[n].x) for n, d in first.sets().items()),
        "seeds 0 and 1 give the same inputs; draw from default_rng(seed)",
    )


def _task_shapes(component: Component, parameters: Sample) -> None:
    for name, dataset in _task_data(component, parameters, 0).sets().items():
        _require(float(np.std(dataset.y)) > 0, f"all labels of {name} are the same")


def _task_disjoint(component: Component, parameters: Sample) -> None:
    data = _task_data(component, parameters, 0)
    for name in ("source", "target"):
        if name in data.sets():
            train, test = data.sets()[name], data.sets()[f"{name}_test"]
            shared = {x.tobytes() for x in train.x} & {x.tobytes() for x in test.x}
            _require(not shared, f"{len(shared)} points of {name} are in {name}_test too")


def _architecture(component: Component, parameters: Sample) -> Architecture:
    made = component.make(component.parse(parameters))
    _require(isinstance(made, Architecture), f"returns a {type(made).__name__}, not Architecture")
    found: Architecture = made
    return found


def _layers(component: Component, parameters: Sample, width: int) -> Any:
    import jax

    module = _architecture(component, parameters).network(width)
    x = jax.random.normal(jax.random.key(1), (3, 12))
    return module.apply(module.init(jax.random.key(0), x), x)


def _architecture_layers(component: Component, parameters: Sample) -> None:
    depth = _architecture(component, parameters).depth
    layers = _layers(component, parameters, 32)
    for name in ("preactivations", "features"):
        found = getattr(layers, name)
        _require(len(found) == depth, f"{len(found)} {name} for depth {depth}")
        for h in found:
            _require(h.ndim == 2 and h.shape[0] == 3, f"{name} of shape {h.shape}, not (P, units)")
            _require(bool(np.isfinite(h).all()), f"{name} are not finite")


def _architecture_scale(component: Component, parameters: Sample) -> None:
    narrow, wide = (
        float(np.sqrt(np.mean(np.asarray(_layers(component, parameters, w).features[-1]) ** 2)))
        for w in (1024, 4096)
    )
    _require(
        abs(narrow - wide) < 0.25 * wide,
        f"features have root mean square {narrow:.3g} at width 1024 and {wide:.3g} at 4096",
    )


def _regime_stages(component: Component, parameters: Sample) -> None:
    made = component.make(component.parse(parameters))
    protocol = made if isinstance(made, Protocol) else Protocol(tuple(made))
    _require(all(isinstance(s, Stage) for s in protocol.stages), "returns something but Stages")


def _small_problem() -> Problem:
    """Return a two-stage problem small enough for any theory."""
    architecture = Registry.load().get("architecture", "mlp")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 5, 6))
    sets = [Dataset(points, points[:, k % 2]) for k, points in enumerate(x)]
    data = TransferData(source=sets[0], source_test=sets[2], target=sets[1], target_test=sets[3])
    stages = (
        Stage(data="source", richness=0.5, steps=4, dt=0.05),
        Stage(data="target", richness=0.5, steps=3, dt=0.05),
    )
    made = architecture.make(architecture.parse({"depth": 1, "activation": "linear"}))
    return Problem(data, made, Protocol(stages))


def _theory(component: Component, parameters: Sample) -> Any:
    return component.make(component.parse(parameters))


def _theory_solves(component: Component, parameters: Sample) -> None:
    problem = _small_problem()
    theory = _theory(component, parameters)
    if theory.supports(problem) is not None:
        return
    found = theory.predict(problem)
    _require(isinstance(found, Trajectory), f"returns a {type(found).__name__}, not Trajectory")
    _require(len(found.stages) == 2, f"{len(found.stages)} stages for a protocol of 2")
    for stage, observables in zip(problem.protocol.stages, found.stages, strict=True):
        needed = {"loss/train", "loss/test", "output/test", "kernel/alignment"}
        _require(needed <= set(observables), f"lacks {', '.join(needed - set(observables))}")
        steps = recorded_steps(stage.steps)
        for name in ("loss/train", "loss/test"):
            _require(
                np.array_equal(observables[name].steps, steps),
                f"{name} is recorded at {observables[name].steps}, not at {steps};"
                " use harness.recorded_steps",
            )
        points = len(problem.data.test(stage.data))
        shape = observables["output/test"].values.shape
        _require(shape[1:] == (points,), f"output/test of shape {shape} for {points} points")


def _theory_deterministic(component: Component, parameters: Sample) -> None:
    problem = _small_problem()
    theory = _theory(component, parameters)
    if theory.supports(problem) is None:
        one, two = (theory.predict(problem)[1, "output/test"].values for _ in range(2))
        _require(np.array_equal(one, two), "two solutions differ; take seeds from a parameter")


def _theory_refuses(component: Component, parameters: Sample) -> None:
    reason = _theory(component, parameters).supports(_small_problem())
    _require(
        reason is None or (isinstance(reason, str) and "\n" not in reason and bool(reason)),
        f"supports returned {reason!r}; allowed are None and a reason in one line",
    )


def _claim_states(component: Component, _: Sample) -> None:
    _require(bool(component.statement), "give it a statement: what is claimed, in words")
    _require(bool(component.citation), "give it a source: the paper, and figure or equation")
    _require(bool(component.experiments), "name the experiments that it needs")


def _claim_without_results(component: Component, _: Sample) -> None:
    from harness.claims import judge_claims
    from harness.frames import Results

    (found,) = judge_claims([component], Results(()), Registry())
    _require(not found.failure, f"raises instead of NotEnoughError: {found.reason}")
    _require(found.verdict == "undecided", f"is {found.verdict!r} without any result")
