"""Common part of theories, between a problem and numerics.

A theory passes a problem and a solver of `harness.numerics` (or its own solver with the same
signature, `harness.numerics.Solver`) to `solve_problem`, or to `until_accurate` where the solver
samples, and gets a trajectory with every observable.
"""

from harness.solving.accuracy import predictor_error, until_accurate
from harness.solving.stages import initial_kernels, problem_arrays, solve_problem

__all__ = [
    "initial_kernels",
    "predictor_error",
    "problem_arrays",
    "solve_problem",
    "until_accurate",
]
