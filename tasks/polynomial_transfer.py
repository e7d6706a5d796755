"""Gaussian inputs with Hermite labels of one direction: learning by degree (arXiv:2507.04448)."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from harness import Dataset, Params, TransferData, task

Count = Annotated[int, Field(ge=1)]

# One stream of random numbers for each thing drawn, so that no draw depends on another's size.
TASK = 2
SOURCE, SOURCE_TEST, TARGET, TARGET_TEST, DIRECTION, REST = range(6)


class PolynomialTransfer(Params):
    """Parameters of `polynomial-transfer`."""

    dimension: Annotated[int, Field(ge=2)]
    """Input dimension D, at least 2."""
    source_degree: Count
    """Degree k of the source's Hermite polynomial, at least 1."""
    target_degree: Count
    """Degree k of the target's Hermite polynomial, at least 1."""
    alignment: Annotated[float, Field(ge=-1, le=1)]
    """beta_s . beta_t, the overlap of the unit source and target directions, in [-1, 1]."""
    source_points: Count
    """Number of training points of the source."""
    target_points: Count
    """Number of training points of the target."""
    test_points: Count
    """Number of test points of the source, and the same number for the target."""


@task(
    "polynomial-transfer",
    version="1",
    tags={"synthetic", "gaussian", "single-index", "transfer"},
    citation="Lauditi, Bordelon & Pehlevan, arXiv:2507.04448",
)
def polynomial_transfer(params: PolynomialTransfer, seed: int) -> TransferData:
    """Gaussian inputs whose labels are Hermite polynomials of one direction each.

    Inputs x ~ N(0, I_D), so that K_x(x, x') = x.x'/D is 1 on average at x = x'. Labels are
    y = He_k(beta.x) / sqrt(k!) with the probabilists' Hermite polynomial He_k and a unit vector
    beta, hence of mean 0 and variance 1. The directions beta_s and beta_t have overlap
    alignment; for labels of equal degree k, <y_s(x) y_t(x)> = alignment^k, and 0 otherwise.

    Args:
        params: sizes, degrees and overlap.
        seed: fixes every draw. The same seed gives the same test inputs for any number of
            training points, and a smaller training set is the beginning of a larger one.

    Returns:
        Four sets with x of shape (P, D).
    """

    def normal(stream: int, *shape: int) -> NDArray[np.float64]:
        return np.random.default_rng([seed, TASK, stream]).standard_normal(shape)

    beta_s = normal(DIRECTION, params.dimension)
    beta_s /= np.linalg.norm(beta_s)
    rest = normal(REST, params.dimension)
    for _ in range(2):  # the second pass removes rounding errors of the first
        rest -= (rest @ beta_s) * beta_s
        rest /= np.linalg.norm(rest)
    beta_t = params.alignment * beta_s + np.sqrt(1 - params.alignment**2) * rest

    def labelled(stream: int, points: int, degree: int, beta: NDArray[np.float64]) -> Dataset:
        x = normal(stream, points, params.dimension)
        return Dataset(x, hermite(degree, x @ beta))

    return TransferData(
        source=labelled(SOURCE, params.source_points, params.source_degree, beta_s),
        source_test=labelled(SOURCE_TEST, params.test_points, params.source_degree, beta_s),
        target=labelled(TARGET, params.target_points, params.target_degree, beta_t),
        target_test=labelled(TARGET_TEST, params.test_points, params.target_degree, beta_t),
    )


def hermite(degree: int, t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return He_k(t) / sqrt(k!), orthonormal under N(0, 1), at every t.

    The recursion sqrt(k+1) h_{k+1} = t h_k - sqrt(k) h_{k-1} needs no factorial.
    """
    before, now = np.zeros_like(t), np.ones_like(t)
    for k in range(degree):
        before, now = now, (t * now - np.sqrt(k) * before) / np.sqrt(k + 1)
    return now
