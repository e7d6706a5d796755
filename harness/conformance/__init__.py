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
    Problem,
    Protocol,
    Stage,
    Trajectory,
    TransferData,
    recorded_steps,
)
from harness.registry.component import Component
from harness.registry.parameters import round_trip_fault
from harness.registry.registry import Registry
from harness.registry.samples import INPUTS, Sample, on_images, small_problems


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Attributes:
        component: kind and name of what was checked.
        name: what must hold.
        failure: why it does not; empty if it holds.
        unchecked: why nothing could be checked; empty if something was.
    """

    component: str
    name: str
    failure: str = ""
    unchecked: str = ""


class _NothingToCheckError(Exception):
    """A check that found nothing to look at; its message says why."""


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
        "has parameters that survive being written and read": (
            lambda: _parameters_survive(component, parameters)
        ),
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
    return [_outcome(label, name, check) for name, check in checks.items()]


def _outcome(label: str, name: str, check: Callable[[], None]) -> Check:
    try:
        check()
    except _NothingToCheckError as reason:
        return Check(label, name, unchecked=str(reason))
    except Exception as error:  # a contributed component may raise anything
        return Check(label, name, _in_a_line(error))
    return Check(label, name)


def _in_a_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


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


def _parameters_survive(component: Component, parameters: Sample) -> None:
    fault = round_trip_fault(component.parse(parameters))
    _require(not fault, f"{fault}, on the way to a worker")


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


def _layers(component: Component, parameters: Sample, width: int, shape: Sequence[int]) -> Any:
    import jax

    module = _architecture(component, parameters).network(width)
    x = np.random.default_rng(1).standard_normal(shape)
    # operation by operation: another width or shape compiles few of them anew
    return module.apply(module.init(jax.random.key(0), x), x)


def shapes_taken(component: Component, parameters: Sample) -> list[tuple[int, ...]]:
    """Return, of each kind of inputs that an architecture takes, a shape.

    A network made for one kind may raise on another.

    Args:
        component: an architecture.
        parameters: values for its parameters.

    Raises:
        ValueError: if it raises on all.
    """
    taken: list[tuple[int, ...]] = []
    refusals: list[str] = []
    for kind, shapes in INPUTS.items():
        errors = {}
        for shape in shapes:
            try:
                layers = _layers(component, parameters, 32, shape)
                units = [h.size for h in (*layers.preactivations, *layers.features)]
                _require(0 not in units, "a layer has no units")
            except Exception as error:  # a contributed network may raise anything
                errors[shape] = _in_a_line(error)
            else:
                taken.append(shape)
                break
        else:
            refusals.append(f"{kind} of shape {shapes[0]} ({errors[shapes[0]]})")
    _require(bool(taken), f"runs on none of: {'; '.join(refusals)}")
    return taken


def _architecture_layers(component: Component, parameters: Sample) -> None:
    depth = _architecture(component, parameters).depth
    for shape in shapes_taken(component, parameters):
        layers = _layers(component, parameters, 32, shape)
        for name in ("preactivations", "features"):
            found = getattr(layers, name)
            on = f"on inputs of shape {shape}"
            _require(len(found) == depth, f"{len(found)} {name} for depth {depth} {on}")
            for h in found:
                fits = h.ndim == 2 and h.shape[0] == shape[0]
                _require(fits, f"{name} of shape {h.shape}, not (P, units), {on}")
                _require(bool(np.isfinite(h).all()), f"{name} are not finite {on}")


def _architecture_scale(component: Component, parameters: Sample) -> None:
    def size(width: int, shape: Sequence[int]) -> float:
        features = np.asarray(_layers(component, parameters, width, shape).features[-1])
        return float(np.sqrt(np.mean(features**2)))

    for shape in shapes_taken(component, parameters):
        narrow, wide = (size(width, shape) for width in (1024, 4096))
        _require(
            abs(narrow - wide) < 0.25 * wide,
            f"features have root mean square {narrow:.3g} at width 1024 and {wide:.3g} at 4096,"
            f" on inputs of shape {shape}",
        )


def _regime_stages(component: Component, parameters: Sample) -> None:
    made = component.make(component.parse(parameters))
    protocol = made if isinstance(made, Protocol) else Protocol(tuple(made))
    _require(all(isinstance(s, Stage) for s in protocol.stages), "returns something but Stages")


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
    raise _NothingToCheckError(
        f"it supports none of {len(reasons)} small problems; it says: {reasons[0]}"
    )


def _theory_solves(component: Component, parameters: Sample) -> None:
    theory = _theory(component, parameters)
    flat = _supported(theory)
    for problem, inputs in ((flat, "flat inputs"), (on_images(flat), "images")):
        if theory.supports(problem) is None:
            try:
                _fits(theory.predict(problem), problem)
            except Exception as error:
                raise ValueError(f"on {inputs}: {_in_a_line(error)}") from error


def _fits(found: Any, problem: Problem) -> None:
    """Raise unless a trajectory has what scores need, where they need it."""
    stages = problem.protocol.stages
    _require(isinstance(found, Trajectory), f"returns a {type(found).__name__}, not Trajectory")
    _require(
        len(found.stages) == len(stages),
        f"{len(found.stages)} stages for a protocol of {len(stages)}",
    )
    for stage, observables in zip(stages, found.stages, strict=True):
        needed = {"loss/train", "loss/test", "output/test", "kernel/alignment"}
        _require(needed <= set(observables), f"lacks {', '.join(needed - set(observables))}")
        steps = recorded_steps(stage.steps).tolist()
        for name in ("loss/train", "loss/test"):
            at = observables[name].steps.tolist()
            # a theory of the stationary state says nothing of the way there
            _require(
                at == steps or (stage.temperature > 0 and at == steps[-1:]),
                f"{name} is recorded at {at}, not at {steps}; use harness.recorded_steps",
            )
        points = len(problem.data.test(stage.data))
        shape = observables["output/test"].values.shape
        _require(shape[1:] == (points,), f"output/test of shape {shape} for {points} points")


def _theory_deterministic(component: Component, parameters: Sample) -> None:
    theory = _theory(component, parameters)
    problem = _supported(theory)
    one, two = (theory.predict(problem)[-1, "output/test"].values for _ in range(2))
    _require(np.array_equal(one, two), "two solutions differ; take seeds from a parameter")


def _theory_refuses(component: Component, parameters: Sample) -> None:
    theory = _theory(component, parameters)
    for problem in small_problems():
        for reason in (theory.supports(problem), theory.supports(on_images(problem))):
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
