"""Result of a solver: named observables over stages and steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Observable:
    """One observable of one stage.

    Args:
        steps: recorded steps within the stage, shape (R,), increasing.
        values: shape (R,) for a number, (R, K) for a vector (a value per point), and more axes
            for kernels and histograms.
        stderr: standard error of every value, same shape, or None where there is none.
        replicates: independent estimates, (replicates, *shape of values), whose mean is `values`;
            they show the correlation of errors. None where there are none.

    Raises:
        ValueError: if shapes do not match or a value is not finite.
    """

    steps: Int[np.ndarray, " records"]
    values: Float[np.ndarray, "records ..."]
    stderr: Float[np.ndarray, "records ..."] | None = None
    replicates: Float[np.ndarray, "replicates records ..."] | None = None

    def __post_init__(self) -> None:
        steps, values = np.asarray(self.steps, dtype=np.int64), np.asarray(self.values)
        if steps.ndim != 1 or len(steps) == 0 or (np.diff(steps) <= 0).any():
            raise ValueError(f"steps must increase along one axis; got shape {steps.shape}")
        if values.shape[:1] != steps.shape:
            raise ValueError(f"values of shape {values.shape} for {len(steps)} recorded steps")
        if not np.isfinite(values).all():
            raise ValueError("values are not finite")
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "values", values)
        if self.stderr is not None:
            stderr = np.asarray(self.stderr)
            if stderr.shape != values.shape or not (np.isfinite(stderr) & (stderr >= 0)).all():
                raise ValueError("stderr needs the shape of values, finite and not negative")
            object.__setattr__(self, "stderr", stderr)
        if self.replicates is not None:
            drawn = np.asarray(self.replicates)
            if drawn.shape[1:] != values.shape or not np.isfinite(drawn).all():
                raise ValueError("replicates need the shape of values after their own axis, finite")
            object.__setattr__(self, "replicates", drawn)


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Observables of every stage, of a network (finite width) or a theory (width infinity).

    Args:
        stages: for each stage of the protocol, observables by name (see `harness.observables`).
        notes: facts on the computation that a reader needs (samples used, residuals).
    """

    stages: tuple[Mapping[str, Observable], ...]
    notes: Mapping[str, float | int | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))

    def __getitem__(self, key: tuple[int, str]) -> Observable:
        stage, name = key
        return self.stages[stage][name]
