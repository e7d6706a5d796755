"""Made results of the cells of the suite `smoke`, and how tests write them to a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness import Observable, Registry, Trajectory
from harness.records.cell import SpecFacts
from harness.store import CellRecord, Manifest, Store
from harness.suites import Cell, Resolved, cells_of, load_suite
from harness.suites.cells import FORMAT

SUITE = load_suite("smoke", Registry.load())
DTS = (0.1, 0.3)
CELLS = cells_of(SUITE.experiments[0], SUITE, Resolved("data", DTS))
NETWORK, THEORY = CELLS[0], CELLS[-1]
Facts = dict[str, Any]


def facts_of(cell: Cell, status: str = "done") -> Facts:
    return {
        "format": FORMAT,
        "key": cell.key,
        "experiment": cell.experiment.name,
        **cell.identity,
        **cell.provenance,
        "status": status,
    }


def manifest(
    experiment: str, cells: Sequence[str] = (), *, suite: str = "smoke", **others: Any
) -> Manifest:
    task = {"name": "image-pairs", "version": "1", "parameters": {"dataset": "digits"}}
    defaults: dict[str, Any] = {"position": 0, "data_seed": 0, "failure": "", "traceback": ""}
    return Manifest(
        format=FORMAT,
        suite=suite,
        experiment=experiment,
        task=SpecFacts.model_validate(task),
        cells=list(cells),
        **defaults | others,
    )


def observables(seed: int = 0, dtype: Any = np.float32, stderr: bool = True) -> Facts:
    """Return a stage with a number, a vector and a kernel at steps 0, 1 and 4."""
    rng = np.random.default_rng(seed)
    shapes = {"loss/train": (3,), "output/test": (3, 5), "kernel/feature": (3, 1, 4, 4)}
    return {
        name: Observable(
            np.array([0, 1, 4]),
            rng.standard_normal(shape).astype(dtype),
            rng.random(shape).astype(dtype) if stderr else None,
        )
        for name, shape in shapes.items()
    }


def trajectory(**options: Any) -> Trajectory:
    return Trajectory((observables(0, **options), observables(1, **options)))


def write(store: Store, cell: Cell = NETWORK, result: Trajectory | None = None) -> CellRecord:
    store.write(cell, facts_of(cell), result or trajectory())
    record = store.read(cell.key)
    assert record is not None
    return record


def leftovers(store: Store) -> list[str]:
    """Return every path below the folder that is not part of a result."""
    found = (p.relative_to(store.root) for p in store.root.rglob("*"))
    return [str(p) for p in found if any(part.startswith(".") for part in p.parts)]
