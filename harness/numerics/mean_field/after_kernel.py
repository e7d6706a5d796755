"""The after-kernel: regression with the tangent kernel that training has adapted.

f(x) = K(x, X) K(X, X)^+ y with K = <phi phi> + <g g> K_x, g = z phi'(h), over the units of the
mean-field solution at a stage's end (Long, arXiv:2105.10585; Atanasov, Bordelon & Pehlevan, ICLR
2022). The sampling error of the initial kernel, known exactly, is taken off K, so that the lazy
limit has none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import NDArray

from harness.numerics.kernels.activations import on_arrays
from harness.numerics.mean_field.linearised import tangent_kernel
from harness.numerics.mean_field.march import MeanFieldSettings, Signals, march_units
from harness.numerics.mean_field.particles import Particles
from harness.numerics.mean_field.positions import as_rows, hidden, pooled
from harness.numerics.mean_field.units import ParticleStage
from harness.numerics.problem import Observe, ProblemArrays, Solved, UnitView


def solve_after_kernel(
    problem: ProblemArrays,
    settings: MeanFieldSettings,
    samples: int,
    observe: Observe,
    known: Signals | None,
) -> Solved[Signals]:
    """Train units through all stages as `solve_mean_field` does; show each stage's regression.

    Args:
        problem: with one hidden layer and one output; its stages start from the zero predictor and
            have the squared loss, without decay, coupling or noise.
        settings: of the mean-field solver.
        samples: total hidden units, over replicates.
        observe: receives the end of every stage.
        known: error signals of a solution with fewer samples.
    """

    def at_end(
        index: int, stage: ParticleStage, particles: Particles, control: NDArray[Any]
    ) -> None:
        def view(replicate: int) -> UnitView:
            own = particles.on_host(replicate)
            h = hidden(stage.factor, own.omega)
            features = pooled(phi(h), stage.pooling)
            kernel = tangent_kernel(own.z, slope(h), features, stage)[0, :, 0]
            kernel = kernel.astype(np.float64) - control[replicate]
            output = regression(kernel, stage.y, float(np.finfo(h.dtype).eps))
            apart = h.reshape(*stage.factor.shape[:-1], particles.samples)
            return UnitView(output.astype(h.dtype), [apart], [features])

        numbers = 4 * len(as_rows(stage.factor)) * particles.samples
        observe(index, stage.steps, view, len(particles.z), numbers)

    phi, slope = on_arrays(problem.activation)
    return march_units(problem, settings, samples, _unseen, known, at_end)


def regression(
    kernel: Float64[np.ndarray, "points train"], y: Float[np.ndarray, " train"], rounding: float
) -> Float64[np.ndarray, " points"]:
    """Return K(x, X) K(X, X)^+ y, the training points first.

    Args:
        kernel: K between all points and the training points.
        y: labels of the training points.
        rounding: relative rounding error of the kernel: directions in which its eigenvalue is
            below this fraction of the trace are left out, as training does not reach them.
    """
    own = kernel[: len(y)]
    values, vectors = np.linalg.eigh((own + own.T) / 2)
    kept = values > rounding * values.sum()
    weights = vectors[:, kept] @ ((vectors[:, kept].T @ y) / values[kept])
    return np.asarray(kernel @ weights)


def _unseen(*_: Any, **__: Any) -> None:
    """Receive the mean-field solution itself, which is not shown."""
