"""What it costs to know an observable from networks instead of from a theory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from harness import Problem, Trajectory, networks

SEEDS = 8, 4096
"""Networks of a width, at least and at most."""


class Ensemble(NamedTuple):
    """Networks of one width; distances relative to the norm of a theory's prediction.

    Attributes:
        width: N.
        seconds: time of training one network, compilation aside.
        spread: standard deviation over seeds.
        bias: distance of the mean from infinite width.
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
    task: Problem,
    theory: Trajectory,
    stage: int,
    name: str,
    widths: Sequence[int],
    budget: float = 10.0,
) -> list[Ensemble]:
    """Train as many networks of every width as a budget of seconds allows; print what they say.

    How far the mean of all seeds is from infinite width, no single width tells well enough: where
    narrow networks are the cheapest, their bias has to be known to less than the error that is
    asked for. It falls as 1 / N (arXiv:2304.03408), and its vector is fitted to all widths.
    """
    prediction = theory[stage, name]
    values = prediction.values.ravel()
    norm = float(np.linalg.norm(values))
    own = 0.0 if prediction.stderr is None else float(np.linalg.norm(prediction.stderr) / norm)
    times, spreads, counts, distances = [], [], [], []
    for width in widths:
        each = seconds(partial(networks.train, task, width, range(4)), 1) / 4
        seeds = int(np.clip(budget / each, *SEEDS))
        trained = []
        for first in range(0, seeds, 64):
            runs = networks.train(task, width, range(first, min(first + 64, seeds)))
            trained += [r[stage, name].values.ravel() for r in runs]  # type: ignore[index]
        spreads.append(float(np.linalg.norm(np.std(trained, axis=0, ddof=1)) / norm))
        distances.append((np.mean(trained, axis=0) - values) / norm)
        times.append(each)
        counts.append(seeds)
    weights = np.array(counts) / np.square(spreads) / widths
    scale = float((weights / widths).sum())
    lead = np.linalg.norm(np.tensordot(weights, distances, 1) / scale)
    noise = np.hypot(scale**-0.5, own * weights.sum() / scale)
    # what noise may explain is not held against the networks
    bias = float((lead**2 - noise**2) ** 0.5) if lead > 2.0 * noise else 0.0
    print(f"  bias {bias:.3g} / N, known to {noise:.2g} / N")
    found = []
    for width, each, spread, count, apart in zip(
        widths, times, spreads, counts, distances, strict=True
    ):
        print(
            f"  width {width:>5}: {each:.4f} s a network, spread {spread:.2%}; mean of {count}"
            f" {np.linalg.norm(apart):.2%} from the theory, noise {spread / count**0.5:.2%},"
            f" bias {bias / width:.2%}"
        )
        found.append(Ensemble(width, each, spread, bias / width))
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
