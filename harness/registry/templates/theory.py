"""my-theory: a theory for limitbench."""

import numpy as np

from harness import Observable, Params, Problem, Stage, Trajectory, recorded_steps, theory


class MyTheoryParams(Params):
    """Parameters, as suites give them."""

    ridge: float = 0.0
    """Added to the kernel's diagonal."""


@theory("my-theory", version="1", tags={"baseline"}, citation="who found it, and where")
class MyTheory:
    """Gradient flow with the input kernel K_x = x.x' / D: a linear model."""

    def __init__(self, params: MyTheoryParams) -> None:
        self.params = params

    def supports(self, problem: Problem) -> str | None:
        """Return None, or in one line why the problem is outside the theory."""
        decays = any(s.decay or s.elastic or s.temperature for s in problem.protocol.stages)
        return "describes plain gradient flow" if decays else None

    def predict(self, problem: Problem) -> Trajectory:
        """Return the observables of every stage."""
        return Trajectory(tuple(self._solve(problem, s) for s in problem.protocol.stages))

    def _solve(self, problem: Problem, stage: Stage) -> dict[str, Observable]:
        """Return the observables of a stage; `harness.observables` makes them from outputs."""
        from harness import observables  # imported late, so that `limitbench list` stays fast

        points, y, sets = observables.stage_points(problem.data, stage)
        x = problem.architecture.input_map(points)
        kernel = x @ x.T / x.shape[1] + self.params.ridge * np.eye(len(x))
        train = slice(*sets.train)
        output, at, curves = np.zeros(len(x)), recorded_steps(stage.steps), []
        for step in range(stage.steps + 1):
            if step > 0:  # the same steps of gradient flow as the networks take
                output = output + stage.step_size * kernel[:, train] @ (y - output)[train]
            if step in at:
                curves.append(observables.curves(sets, y, output, lambda a, b: kernel[a, b]))
        return observables.stage_observables(
            at,
            {name: np.array([row[name] for row in curves]) for name in curves[0]},
            observables.gaussian_snapshot(sets, output, np.diag(kernel)[None], kernel[None]),
        )
