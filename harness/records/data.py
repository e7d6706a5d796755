"""Training and test sets, and pairs of tasks between which features transfer."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float

SetName = Literal["source", "target"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled points.

    Args:
        x: inputs, shape (P, D) or (P, H, W, C); stored as float64.
        y: labels, shape (P,), or (P, C) for C outputs; stored as float64, (P, 1) as (P,).

    Raises:
        ValueError: if the shapes do not match, there is no point, or a value is not finite.
    """

    x: Float[np.ndarray, "points ..."]
    y: Float[np.ndarray, " points *outputs"]

    def __post_init__(self) -> None:
        x, y = (np.array(a, dtype=np.float64) for a in (self.x, self.y))
        if x.ndim not in (2, 4):
            raise ValueError(f"x has shape {x.shape}; allowed are (P, D) and (P, H, W, C)")
        if x.size == 0:
            raise ValueError(f"x has shape {x.shape}; at least one point and one input are needed")
        if y.ndim not in (1, 2) or len(y) != len(x) or y.size == 0:
            raise ValueError(
                f"y has shape {y.shape}; {len(x)} points need ({len(x)},), or ({len(x)}, C) for C"
                " outputs"
            )
        if y.shape[1:] == (1,):
            y = y[:, 0]
        for name, values in (("x", x), ("y", y)):
            if not np.isfinite(values).all():
                raise ValueError(f"{name} has values that are not finite")
            values.flags.writeable = False
            object.__setattr__(self, name, values)

    def __len__(self) -> int:
        return int(self.x.shape[0])

    @property
    def outputs(self) -> int:
        """Number of outputs C that the labels need."""
        return 1 if self.y.ndim == 1 else self.y.shape[1]


@dataclass(frozen=True, eq=False, kw_only=True)
class TransferData:
    """A source and a target task, each with a training and a test set.

    A task without a source is a single-task problem.

    Args:
        target: training set of the target.
        target_test: its test set.
        source: training set of the source, or None.
        source_test: its test set, or None.
        facts: known facts of the law from which the data are drawn, by name, for theories of
            typical draws. Networks, and theories of the given data, do not use them.
            "isotropic-linear/alignment", ".../noise-alignment" and ".../label-noise" say that
            K_x = x.x' for isotropic Gaussian x and that labels are linear with unit vectors of
            these overlaps (see the task `linear-transfer`).

    Raises:
        ValueError: if only one of the source sets is given, the input shapes differ, a task's
            training and test set have different numbers of outputs, or a fact is not a finite
            number.
    """

    target: Dataset
    target_test: Dataset
    source: Dataset | None = None
    source_test: Dataset | None = None
    facts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.source is None) != (self.source_test is None):
            raise ValueError("source and source_test come together or not at all")
        shapes = {d.x.shape[1:] for d in self.sets().values()}
        if len(shapes) > 1:
            raise ValueError(f"inputs of one problem have one shape, not {sorted(shapes)}")
        for task in ("source", "target"):
            own = {d.outputs for name, d in self.sets().items() if name.startswith(task)}
            if len(own) > 1:
                raise ValueError(
                    f"{task} and {task}_test have {sorted(own)} outputs; both need the same number"
                )
        for name, value in self.facts.items():
            if not math.isfinite(value):
                raise ValueError(f"facts: {name} = {value!r}; a finite number is needed")

    def sets(self) -> dict[str, Dataset]:
        """Return the sets that exist, by field name, in a fixed order."""
        names = ("source", "source_test", "target", "target_test")
        return {n: d for n in names if (d := getattr(self, n)) is not None}

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hexadecimal digits, of everything that solvers see: inputs, labels and facts.

        It depends neither on the source of the data nor on the machine.
        """
        hashed = hashlib.sha256()
        for name, data in self.sets().items():
            for values in (data.x, data.y):
                hashed.update(f"{name} {values.shape}\0".encode())
                hashed.update(values.astype("<f8").tobytes())
        facts = {name: float(value) for name, value in self.facts.items()}
        hashed.update(json.dumps(facts, sort_keys=True).encode())
        return hashed.hexdigest()

    def train(self, name: SetName) -> Dataset:
        """Return the training set of the source or of the target.

        Raises:
            ValueError: if the source of a single-task problem is requested.
        """
        return self._one(name, name)

    def test(self, name: SetName) -> Dataset:
        """Return the test set of the source or of the target; raises as `train`."""
        return self._one(f"{name}_test", name)

    def _one(self, field: str, name: SetName) -> Dataset:
        found: Dataset | None = getattr(self, field)
        if found is None:
            raise ValueError(
                f"a stage trains on the {name}, which this task does not have;"
                " use the regime 'single' or a task with a source"
            )
        return found
