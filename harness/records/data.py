"""Training and test sets, and the tasks between which features transfer."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float
from pydantic import Field

from harness.errors import nearest

ROUNDING = 8.346e-7
"""Step in which data are counted, relative to their largest value; no whole fraction of 1, where
labels would lie between two steps."""

TASK_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")

TASK_NAME_PATTERN = rf"^{TASK_NAME.pattern}$"

TaskName = Annotated[str, Field(pattern=TASK_NAME_PATTERN)]
"""Names of tasks, as parameters: "source", "target" and words of letters, digits and hyphens."""


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
    """Named tasks in order, each with a training and a test set: a source, others, a target.

    Data without a source and without others are a single-task problem.

    Args:
        target: training set of the target.
        target_test: its test set.
        source: training set of the source, or None.
        source_test: its test set, or None.
        others: training and test set of every task between source and target, by name, in order.
        facts: known facts of the law from which the data are drawn, by name, for theories of
            typical draws. Networks, and theories of the given data, do not use them.
            "isotropic-linear/alignment", ".../noise-alignment" and ".../label-noise" say that
            K_x = x.x' for isotropic Gaussian x and that labels are linear with unit vectors of
            these overlaps (see the task `linear-transfer`).

    Raises:
        ValueError: if only one of the source sets is given, another task's name is not a new word
            or its sets are not two, the input shapes differ, a task's training and test set have
            different numbers of outputs, or a fact is not a finite number.
    """

    target: Dataset
    target_test: Dataset
    source: Dataset | None = None
    source_test: Dataset | None = None
    others: Mapping[str, tuple[Dataset, Dataset]] = field(default_factory=dict)
    facts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.source is None) != (self.source_test is None):
            raise ValueError("source and source_test come together or not at all")
        for name, pair in self.others.items():
            _check_other(name, pair)
        shapes = {d.x.shape[1:] for d in self.sets().values()}
        if len(shapes) > 1:
            raise ValueError(f"inputs of one problem have one shape, not {sorted(shapes)}")
        for task in self.tasks:
            own = {self.train(task).outputs, self.test(task).outputs}
            if len(own) > 1:
                raise ValueError(
                    f"{task} and {task}_test have {sorted(own)} outputs; both need the same number"
                )
        for name, value in self.facts.items():
            if not math.isfinite(value):
                raise ValueError(f"facts: {name} = {value!r}; a finite number is needed")

    def sets(self) -> dict[str, Dataset]:
        """Return all sets in the order of the tasks: "source", "source_test", and so on."""
        found: dict[str, Dataset] = {}
        if self.source is not None and self.source_test is not None:
            found |= {"source": self.source, "source_test": self.source_test}
        for name, (train, test) in self.others.items():
            found |= {name: train, f"{name}_test": test}
        return found | {"target": self.target, "target_test": self.target_test}

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks, in order."""
        return list(self.sets())[::2]

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

    @cached_property
    def rounded(self) -> str:
        """SHA-256 of the same data in about six digits: equal for equal data of any machine.

        Matrix products of the same task differ between processors in the last bits. Every array is
        counted in steps of `ROUNDING` times its largest value, so that two of them that differ by
        rounding errors alone count the same, but for a chance of 1e-9 for each number.
        """
        hashed = hashlib.sha256()
        for name, data in self.sets().items():
            for values in (data.x, data.y):
                largest = float(np.abs(values).max()) or 1.0
                hashed.update(f"{name} {values.shape} {largest:.6e}\0".encode())
                counts = np.rint(values / (ROUNDING * largest))
                hashed.update(counts.astype("<i8").tobytes())
        return hashed.hexdigest()

    def train(self, name: str) -> Dataset:
        """Return the training set of a task.

        Raises:
            ValueError: if there is no task of that name.
        """
        return self._one(name, name)

    def test(self, name: str) -> Dataset:
        """Return the test set of a task; raises as `train`."""
        return self._one(f"{name}_test", name)

    def _one(self, name: str, task: str) -> Dataset:
        found = self.sets().get(name)
        if found is not None:
            return found
        if task == "source":
            raise ValueError(
                "a stage trains on the source, which this task does not have;"
                " use the regime 'single' or a task with a source"
            )
        raise ValueError(
            f"a stage trains on {task!r}, which this task does not have{nearest(task, self.tasks)};"
            f" its data are named {', '.join(self.tasks)}"
        )


def _check_other(name: str, pair: Any) -> None:
    """Raise ValueError unless a further task has a name of its own and two sets."""
    if name in ("source", "target") or not TASK_NAME.fullmatch(name):
        raise ValueError(
            f"others: a task is named {name!r}; names are small letters, digits and hyphens, 40 at"
            " most, other than source and target"
        )
    if not (
        isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(d, Dataset) for d in pair)
    ):
        raise ValueError(f"others: {name} is not a pair of a training and a test set (Dataset)")
