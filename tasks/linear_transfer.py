"""Gaussian inputs with linear labels: the solvable transfer problem (arXiv:2507.04448)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator

from harness import Dataset, Params, TransferData, task

Count = Annotated[int, Field(ge=1)]
Overlap = Annotated[float, Field(ge=-1, le=1)]
Vector = Float[np.ndarray, " D"]

# One stream of random numbers for each thing drawn, so that no draw depends on another's size.
TASK = 1
SOURCE, SOURCE_TEST, TARGET, TARGET_TEST, SOURCE_NOISE, TARGET_NOISE, DIRECTION, REST = range(8)

ROUNDING = 1e-12


class LinearTransfer(Params):
    """Parameters of `linear-transfer`."""

    dimension: Annotated[int, Field(ge=2)]
    """Input dimension D, at least 2."""
    source_points: Count
    """P_1, the number of training points of the source; nu_1 = P_1 / D."""
    target_points: Count
    """P_2, the number of training points of the target; nu_2 = P_2 / D."""
    test_points: Count
    """Number of test points of the source, and the same number for the target."""
    alignment: Overlap
    """alpha_s = b_s . b_t, the overlap of source and target direction, in [-1, 1]."""
    label_noise: Annotated[float, Field(ge=0)] = 0.0
    """Standard deviation of the Gaussian noise on training labels; test labels have none."""
    noise_alignment: Overlap | None = None
    """alpha_g = g . b_t, with g the direction orthogonal to b_s that source training picks up
    from its finite data; alignment^2 + noise_alignment^2 is at most 1. null draws b_t at random."""
    spectrum: Annotated[float, Field(ge=0)] = 0.0
    """Exponent a of the inputs' covariance: coordinate k = 1 ... D has a variance proportional to
    k^-a, and the D variances sum to D. 0 is isotropic."""
    directions: Literal["any", "strong", "weak"] = "any"
    """Where b_s and r are drawn: among all coordinates, or in the half of them in which inputs vary
    most (strong) or least (weak); these need a spectrum above 0."""

    @field_validator("noise_alignment")
    @classmethod
    def _is_possible(cls, value: float | None, info: ValidationInfo) -> float | None:
        given = info.data
        needed = {"dimension", "source_points", "alignment", "label_noise"}
        if value is None or not needed <= given.keys():
            return value
        total = given["alignment"] ** 2 + value**2
        if total > 1 + ROUNDING:
            raise ValueError(
                f"alignment^2 + noise_alignment^2 is {total:.6g}; a unit vector allows at most 1"
            )
        if total < 1 - ROUNDING and given["dimension"] < 3:
            raise ValueError(
                "b_t needs a third direction, orthogonal to b_s and g; set dimension to 3 or more,"
                " or alignment^2 + noise_alignment^2 to 1"
            )
        if given["source_points"] >= given["dimension"] and given["label_noise"] == 0:
            raise ValueError(
                "the source's interpolator is b_s itself, so that g does not exist;"
                f" set source_points below dimension ({given['dimension']}), label_noise above 0,"
                " or noise_alignment to null"
            )
        return value

    @field_validator("directions")
    @classmethod
    def _has_halves(cls, value: str, info: ValidationInfo) -> str:
        given = info.data
        if value == "any" or not {"dimension", "spectrum"} <= given.keys():
            return value
        if given["spectrum"] == 0:
            raise ValueError(
                "all directions of isotropic inputs are alike; set spectrum above 0, or directions"
                " to any"
            )
        if given["dimension"] < 4:
            raise ValueError(
                "half of the coordinates need room for b_s and r; set dimension to 4 or more, or"
                " directions to any"
            )
        return value


@task(
    "linear-transfer",
    version="1",
    tags={"synthetic", "gaussian", "linear", "transfer"},
    citation="Lauditi, Bordelon & Pehlevan, arXiv:2507.04448",
)
def linear_transfer(params: LinearTransfer, seed: int) -> TransferData:
    """Gaussian inputs whose source and target labels are linear, with a given overlap.

    With z ~ N(0, I_D), the input fed to the network is x = sqrt(D) z, so that the input kernel
    is K_x = x.x'/D = z.z', the paper's convention for its linear model. Labels are y = b.z with
    unit vectors b_s (source) and b_t (target), plus label_noise * N(0, 1) on training labels.
    With a spectrum a > 0, z ~ N(0, C) for a diagonal C with C_kk = D k^-a / sum_j j^-a. Labels
    then have the variance b.C b, which is 1 on average over directions b; b_s and r may be drawn
    in the half of the coordinates of largest or of smallest variance.

        b_t = alignment b_s + noise_alignment g + sqrt(1 - alignment^2 - noise_alignment^2) r

    g is the unit component, orthogonal to b_s, of the minimum-norm interpolator of the source's
    training set (of its least-squares fit if P_1 > D): after source training to convergence
    that is where the rest of the predictor lies. r is a random unit vector orthogonal to b_s
    and g. With noise_alignment null, g is left out and r is random orthogonal to b_s.

    Args:
        params: sizes, overlaps and noise.
        seed: fixes every draw. The same seed gives the same test sets for any number of training
            points, and a smaller training set is the beginning of a larger one.

    Returns:
        Four sets with x of shape (P, D), and the overlaps as facts where inputs are isotropic.
    """
    D = params.dimension
    deviations = _standard_deviations(D, params.spectrum)

    def normal(stream: int, *shape: int) -> NDArray[np.float64]:
        return np.random.default_rng([seed, TASK, stream]).standard_normal(shape)

    among = _coordinates(D, params.directions)
    b_s = _orthogonal_unit(among * normal(DIRECTION, D))
    z = deviations * normal(SOURCE, params.source_points, D)
    noise = params.label_noise * normal(SOURCE_NOISE, len(z))
    source = Dataset(np.sqrt(D) * z, z @ b_s + noise)
    fixed, overlaps = [b_s], [params.alignment]
    if params.noise_alignment is not None:
        interpolator = np.linalg.lstsq(z, source.y)[0]
        fixed.append(_orthogonal_unit(interpolator, b_s))
        overlaps.append(params.noise_alignment)
    b_t = _with_overlaps(fixed, overlaps, among * normal(REST, D))

    def labelled(stream: int, points: int, b: Vector, noise: Any = 0.0) -> Dataset:
        z = deviations * normal(stream, points, D)
        return Dataset(np.sqrt(D) * z, z @ b + noise)

    noise = params.label_noise * normal(TARGET_NOISE, params.target_points)
    facts = {
        "isotropic-linear/alignment": params.alignment,
        # a random target overlaps with g by O(1 / sqrt(D)), with either sign
        "isotropic-linear/noise-alignment": params.noise_alignment or 0.0,
        "isotropic-linear/label-noise": params.label_noise,
    }
    return TransferData(
        source=source,
        source_test=labelled(SOURCE_TEST, params.test_points, b_s),
        target=labelled(TARGET, params.target_points, b_t, noise),
        target_test=labelled(TARGET_TEST, params.test_points, b_t),
        facts=facts if params.spectrum == 0 else {},
    )


def _standard_deviations(dimension: int, spectrum: float) -> Vector:
    """Return the standard deviations of z's coordinates: all exactly 1 if the spectrum is 0."""
    falling = np.arange(1, dimension + 1) ** -spectrum
    return np.asarray(np.sqrt(dimension * falling / falling.sum()))


def _coordinates(dimension: int, directions: str) -> Vector:
    """Return 1 for coordinates among which directions are drawn, and 0 for others."""
    strong = np.arange(dimension) < dimension // 2
    return np.asarray(
        {"any": strong | ~strong, "strong": strong, "weak": ~strong}[directions], float
    )


def _with_overlaps(fixed: list[Vector], overlaps: list[float], draw: Vector) -> Vector:
    """Return a unit vector with given overlaps with orthonormal vectors, the rest along a draw."""
    rest = 1 - sum(a**2 for a in overlaps)
    if rest <= ROUNDING:
        found = sum(a * b for a, b in zip(overlaps, fixed, strict=True))
    else:
        directions = [*fixed, _orthogonal_unit(draw, *fixed)]
        found = sum(a * b for a, b in zip([*overlaps, rest**0.5], directions, strict=True))
    return np.asarray(found)


def _orthogonal_unit(vector: Vector, *to: Vector) -> Vector:
    """Return the unit vector along the component of a vector orthogonal to orthonormal ones."""
    for _ in range(2):  # the second pass removes rounding errors of the first
        for other in to:
            vector = vector - (vector @ other) * other
        vector = vector / np.linalg.norm(vector)
    return vector
