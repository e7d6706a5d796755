"""What it costs to know an observable from networks instead of from a theory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from harness import Problem, Trajectory, networks


class Ensemble(NamedTuple):
    """Networks of one width; distances relative to the norm of a theory's prediction.

    Attributes:
        width: N.
        seconds: time of training one network, compilation aside.
        spread: standard deviation over seeds.
        bias: distance of the mean from the theory, beyond what both sampling errors explain.
    """

    width: int
    seconds: float
    spread: float
    bias: float

    def cost(self, error: float) -> float:
        """Return the seconds after which the mean is known to an error, or infinity."""
        if self.bias > error:
            return np.inf
        return max(1.0, (self.spread / error) ** 2) * self.seconds


def seconds(run: Callable[[], Any], repeats: int = 3) -> float:
    """Return the shortest of several runs, after one that compiles."""
    run()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return min(taken)


def ensembles(
    task: Problem, theory: Trajectory, stage: int, name: str, sizes: Sequence[tuple[int, int]]
) -> list[Ensemble]:
    """Train networks of several widths, each with a number of seeds, and print what they say."""
    prediction = theory[stage, name]
    values = prediction.values.ravel()
    norm = np.linalg.norm(values)
    own = 0.0 if prediction.stderr is None else float(np.linalg.norm(prediction.stderr) / norm)
    found = []
    for width, seeds in sizes:
        runs = networks.train(task, width, range(seeds))
        each = seconds(lambda w=width, n=seeds: networks.train(task, w, range(n)), 1) / seeds
        trained = np.stack([r[stage, name].values.ravel() for r in runs])  # type: ignore[index]
        spread = float(np.linalg.norm(trained.std(axis=0, ddof=1)) / norm)
        distance = float(np.linalg.norm(trained.mean(axis=0) - values) / norm)
        bias = max(distance**2 - spread**2 / seeds - own**2, 0.0) ** 0.5
        print(
            f"  width {width:>5}: {each:.3f} s a network, spread {spread:.2%};"
            f" mean of {seeds} {distance:.2%} from the theory, of which {bias:.2%} is not noise"
        )
        found.append(Ensemble(width, each, spread, bias))
    return found


def print_ratio(found: Sequence[Ensemble], error: float, cost: float) -> None:
    """Print the cost of brute force at its best width beside that of a theory."""
    best = min(found, key=lambda e: e.cost(error))
    total = best.cost(error)
    if np.isinf(total):
        print(f"  brute force to {error:.2%}: none of these widths is wide enough")
    else:
        print(
            f"  brute force to {error:.2%}: {total:.1f} s at its best width {best.width},"
            f" {total / cost:.0f} times the theory"
        )
