"""my-theory: a theory for limitbench."""

from typing import Any

import numpy as np

import harness
from harness import Params, Problem, Trajectory, theory


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
        if reason := problem.beyond():  # convolutions, other losses and parameterizations
            return reason
        decays = any(s.decay or s.elastic or s.temperature for s in problem.protocol.stages)
        return "describes plain gradient flow" if decays else None

    def predict(self, problem: Problem) -> Trajectory:
        """Return the observables of every stage, made from the solver's views."""
        return harness.solving.solve_problem(problem, solve, self.params)


def solve(problem: Any, params: MyTheoryParams, samples: int, observe: Any, known: Any) -> Any:
    """Take the same steps of gradient flow as the networks: see `harness.numerics.Solver`."""
    for index, stage in enumerate(problem.stages):
        x, train = problem.x[stage.seen], slice(0, len(stage.train))
        kernel = x @ x.T / x.shape[1] + params.ridge * np.eye(len(x))
        every = np.zeros((stage.steps + 1, len(x)))
        for step in range(stage.steps):
            error = stage.y - every[step, train]
            every[step + 1] = every[step] + stage.rates.dt * kernel[:, train] @ error
        output = every[stage.records]

        def view(replicate: int, output: Any = output, kernel: Any = kernel) -> Any:
            return harness.numerics.KernelView(
                output=output,
                kernel=lambda rows, columns: kernel[rows, columns],
                kernels=kernel[None],
                variances=np.diag(kernel)[None],
            )

        observe(index, stage.records, view)  # exact: one replicate
    return harness.numerics.Solved(notes={}, known=None)
