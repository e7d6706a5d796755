"""Files to start a plugin from: working, and commented for someone who writes a first one."""

TASK = '''"""{name}: a task for limitbench."""

import numpy as np
from pydantic import Field

from harness import Dataset, Params, TransferData, task


class {Class}(Params):
    points: int = Field(default=40, ge=2)
    """Training points of the source and of the target."""
    angle: float = 0.5
    """Angle between the two teachers, in radians."""


@task("{name}", version="1", tags={"synthetic"})  # raise the version whenever results change
def {function}(params: {Class}, seed: int) -> TransferData:
    """Two linear teachers at an angle, on Gaussian inputs."""
    rng = np.random.default_rng(seed)  # the seed alone decides every number

    def draw(angle: float) -> Dataset:
        x = rng.standard_normal((params.points, 10))
        return Dataset(x, np.cos(angle) * x[:, 0] + np.sin(angle) * x[:, 1])

    return TransferData(source=draw(0.0), source_test=draw(0.0),
                        target=draw(params.angle), target_test=draw(params.angle))
'''

ARCHITECTURE = '''"""{name}: an architecture for limitbench."""

import functools
from typing import Any

from harness import ActivationName, Architecture, Params, architecture


class {Class}(Params):
    activation: ActivationName = "relu"
    """Activation of the hidden layer."""


@architecture("{name}", version="1")  # raise the version whenever results change
def {function}(params: {Class}) -> Architecture:
    """One hidden layer in the mean-field parameterisation."""
    # theories read depth, activation and connectivity; the trainer builds `network` for a width
    return Architecture(
        network=lambda width: module()(width, params.activation),
        depth=1,
        activation=params.activation,
    )


@functools.cache  # one class, so that compiled programs are reused
def module() -> Any:
    from flax import linen as nn  # imported late, so that `limitbench list` stays fast

    from harness import networks, numerics

    class Network(nn.Module):
        width: int
        activation: str

        @nn.compact
        def __call__(self, x: Any) -> networks.Layers:
            h = networks.MeanFieldDense(self.width)(x.reshape(len(x), -1))
            # what every layer computes, each (points, units); the trainer adds the readout
            return networks.Layers((h,), (numerics.activation(self.activation)(h),))

    return Network
'''

REGIME = '''"""{name}: a training protocol for limitbench."""

from pydantic import Field

from harness import Params, Stage, regime


class {Class}(Params):
    richness: float = Field(default=1.0, gt=0)
    """gamma of both stages."""
    steps: int = Field(default=100, ge=0)
    """Euler steps of each stage."""


@regime("{name}", version="1")  # raise the version whenever results change
def {function}(params: {Class}) -> list[Stage]:
    """Learn the source, draw a fresh readout, learn the target."""
    # dt is "auto" unless given; see `harness.Stage` for decay, elastic, temperature and center
    return [
        Stage(data="source", richness=params.richness, steps=params.steps),
        Stage(data="target", richness=params.richness, steps=params.steps, readout="reset"),
    ]
'''

THEORY = '''"""{name}: a theory for limitbench."""

import numpy as np

from harness import Params, Problem, Trajectory, recorded_steps, theory


class {Class}Params(Params):
    ridge: float = 0.0
    """Added to the kernel's diagonal."""


@theory("{name}", version="1", tags={"baseline"}, citation="who found it, and where")
class {Class}:
    """Gradient flow with the input kernel K_x = x.x' / D: a linear model."""

    def __init__(self, params: {Class}Params) -> None:
        self.params = params

    def supports(self, problem: Problem) -> str | None:
        """Return None, or in one line why the problem is outside the theory."""
        decays = any(s.decay or s.elastic or s.temperature for s in problem.protocol.stages)
        return "describes plain gradient flow" if decays else None

    def predict(self, problem: Problem) -> Trajectory:
        """Return the observables of every stage; `harness.observables` makes them from outputs."""
        from harness import observables  # imported late, so that `limitbench list` stays fast

        stages = []
        for stage in problem.protocol.stages:
            points, y, sets = observables.stage_points(problem.data, stage)
            x = problem.architecture.input_map(points)
            kernel = x @ x.T / x.shape[1] + self.params.ridge * np.eye(len(x))
            train = slice(*sets.train)
            output, at, curves = np.zeros(len(x)), recorded_steps(stage.steps), []
            for step in range(stage.steps + 1):
                if step in at:
                    curves.append(observables.curves(sets, y, output, lambda a, b: kernel[a, b]))
                # the same steps of gradient flow as the networks take
                output = output + stage.step_size * kernel[:, train] @ (y - output)[train]
                if step == stage.steps - 1:
                    final = output
            final = final if stage.steps else np.zeros(len(x))
            variances = np.diag(kernel)[None]
            stages.append(observables.stage_observables(
                at,
                {name: np.array([row[name] for row in curves]) for name in curves[0]},
                observables.gaussian_snapshot(sets, final, variances, kernel[None]),
            ))
        return Trajectory(tuple(stages))
'''

CLAIM = '''"""{name}: a claim for limitbench to judge."""

from harness import Evidence, Finding, Judgement, claim


@claim(
    "{name}",
    version="1",  # raise it whenever verdicts may change
    statement="Mean-field describes wide networks that learn features on digits.",
    source="where it is claimed: paper, figure or equation",
    experiments=["digits-jointly-rich"],  # without points of sweeps; or patterns: "digits-*"
)
def {function}(evidence: Evidence) -> Judgement:
    """Limit gaps of the test predictor; intervals must lie under 5 % for the claim to hold."""
    rows = evidence.scores("digits-jointly-rich", "mean-field")  # raises where there are none
    return Judgement(
        [Finding.gap(row, at_most=0.05) for row in rows],
        "What it means, and where it holds.",
    )
'''

TEMPLATES = {
    "task": TASK,
    "architecture": ARCHITECTURE,
    "regime": REGIME,
    "theory": THEORY,
    "claim": CLAIM,
}
