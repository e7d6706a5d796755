"""Gaussian inputs with labels of several directions: staircases, parities and products."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator

from harness import Dataset, Params, TransferData, task

Count = Annotated[int, Field(ge=1)]
Function = Literal["staircase", "parity", "product"]

# One stream of random numbers for each thing drawn, so that no draw depends on another's size.
TASK = 4
SOURCE, SOURCE_TEST, TARGET, TARGET_TEST, SOURCE_NOISE, TARGET_NOISE, DIRECTIONS = range(7)
BETWEEN = 7  # the first of three for each number of directions: training, test, noise


class MultiIndex(Params):
    """Parameters of `multi-index`."""

    dimension: Annotated[int, Field(ge=2)]
    """Input dimension D, at least 2."""
    directions: Annotated[int, Field(ge=2)]
    """Number k of orthonormal directions that the target's labels depend on, from 2 to D."""
    source_directions: Count
    """Number of leading directions that the source's labels depend on; less than k."""
    function: Function = "staircase"
    """"staircase" (z_1 + z_1 z_2 + ... + z_1...z_k), "parity" (of the signs of z_1, ..., z_k) or
    "product" (z_1...z_k)."""
    source_points: Count
    """Number of training points of the source."""
    target_points: Count
    """Number of training points of the target."""
    test_points: Count
    """Number of test points of the source, and the same number for the target."""
    label_noise: Annotated[float, Field(ge=0)] = 0.0
    """Standard deviation of the Gaussian noise on training labels; test labels have none."""
    step_points: Count | None = None
    """Number of training points of every step between the source's and the target's, each a task
    named by its directions, such as "step-2"; without it there are no such tasks."""

    @field_validator("directions")
    @classmethod
    def _fit(cls, value: int, info: ValidationInfo) -> int:
        dimension = info.data.get("dimension", value)
        if value > dimension:
            raise ValueError(
                f"at most dimension ({dimension}); no more directions are orthogonal to each other"
            )
        return value

    @field_validator("source_directions")
    @classmethod
    def _is_a_lower_step(cls, value: int, info: ValidationInfo) -> int:
        directions = info.data.get("directions", value + 1)
        if value >= directions:
            raise ValueError(f"less than directions ({directions}); the source is a lower step")
        return value

    @field_validator("step_points")
    @classmethod
    def _has_steps_between(cls, value: int | None, info: ValidationInfo) -> int | None:
        low, high = (info.data.get(name) for name in ("source_directions", "directions"))
        if value is not None and low is not None and high is not None and low + 1 >= high:
            raise ValueError(
                f"no step lies between source_directions ({low}) and directions ({high}); leave it"
                " out, or take more directions"
            )
        return value


@task(
    "multi-index",
    version="1",
    tags={"synthetic", "gaussian", "multi-index", "transfer"},
    citation="Abbe, Boix-Adsera & Misiakiewicz, arXiv:2302.11055",
)
def multi_index(params: MultiIndex, seed: int) -> TransferData:
    """Gaussian inputs whose labels depend on a few directions; the source is a lower step.

    Inputs x ~ N(0, I_D), so that K_x(x, x') = x.x'/D is 1 on average at x = x'. With orthonormal
    directions u_1, ..., u_k and z_i = u_i.x, labels of mean 0 and variance 1 are

        staircase   y = (z_1 + z_1 z_2 + ... + z_1 z_2 ... z_k) / sqrt(k)
        parity      y = sign(z_1 z_2 ... z_k)
        product     y = z_1 z_2 ... z_k

    for the target, and for the source the same function of the first source_directions of the
    directions, which the two share. The staircase of the source is then the lower part of the
    target's; parities and products of different steps are uncorrelated. Directions are uniform
    among orthonormal ones. Training labels have label_noise * N(0, 1) added. With step_points, the
    functions of the numbers of directions in between are tasks too, "step-2" and so on.

    Args:
        params: sizes, numbers of directions, function and noise.
        seed: fixes every draw. The same seed gives the same test sets for any number of training
            points, a smaller training set is the beginning of a larger one, and the first
            directions are the same for any number of them.

    Returns:
        Two sets of every task, with x of shape (P, D).
    """

    def normal(stream: int, *shape: int) -> NDArray[np.float64]:
        return np.random.default_rng([seed, TASK, stream]).standard_normal(shape)

    u = _orthonormal(normal(DIRECTIONS, params.directions, params.dimension))

    def labelled(stream: int, points: int, directions: int, noise: Any = 0.0) -> Dataset:
        x = normal(stream, points, params.dimension)
        return Dataset(x, LABELS[params.function](x @ u[:directions].T) + noise)

    def pair(
        directions: int, points: int, train: int, test: int, noise: int
    ) -> tuple[Dataset, Dataset]:
        added = params.label_noise * normal(noise, points)
        return (
            labelled(train, points, directions, added),
            labelled(test, params.test_points, directions),
        )

    others = {}
    if params.step_points is not None:
        for step in range(params.source_directions + 1, params.directions):
            first = BETWEEN + 3 * step
            others[f"step-{step}"] = pair(step, params.step_points, first, first + 1, first + 2)
    source, source_test = pair(
        params.source_directions, params.source_points, SOURCE, SOURCE_TEST, SOURCE_NOISE
    )
    target, target_test = pair(
        params.directions, params.target_points, TARGET, TARGET_TEST, TARGET_NOISE
    )
    return TransferData(
        source=source,
        source_test=source_test,
        others=others,
        target=target,
        target_test=target_test,
    )


def _staircase(z: Float[np.ndarray, "P k"]) -> Float[np.ndarray, " P"]:
    steps = np.cumprod(z, axis=1)  # orthonormal under N(0, 1)
    return np.asarray(steps.sum(axis=1) / np.sqrt(z.shape[1]))


def _parity(z: Float[np.ndarray, "P k"]) -> Float[np.ndarray, " P"]:
    return np.where(np.sum(z < 0, axis=1) % 2, -1.0, 1.0)


def _product(z: Float[np.ndarray, "P k"]) -> Float[np.ndarray, " P"]:
    return np.asarray(np.prod(z, axis=1))


LABELS: Mapping[Function, Callable[[Float[np.ndarray, "P k"]], Float[np.ndarray, " P"]]] = {
    "staircase": _staircase,
    "parity": _parity,
    "product": _product,
}
"""Labels as functions of z, by name."""


def _orthonormal(draw: Float[np.ndarray, "k D"]) -> Float[np.ndarray, "k D"]:
    """Return the Gram-Schmidt orthonormalisation of Gaussian rows: uniform among orthonormal rows.

    A QR factorisation leaves signs open; here every row has a positive overlap with its Gaussian
    row.
    """
    q, r = np.linalg.qr(draw.T)
    return np.asarray((q * np.sign(np.diagonal(r))).T)
