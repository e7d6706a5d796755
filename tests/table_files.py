"""Tables in files of three formats, for tests of the task that reads them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROWS = 60
SINGLE: dict[str, Any] = {"source_label": None, "source_points": None}
"""What makes of the sample a task without a source."""


def frame(rows: int = ROWS, inputs: int = 4) -> pd.DataFrame:
    """Return inputs a, b, ... of very different means and sizes, and labels y and z."""
    rng = np.random.default_rng(7)
    made = {name: 10.0**i * (rng.standard_normal(rows) + i) for i, name in enumerate("abcd")}
    labels = {"y": rng.standard_normal(rows), "z": rng.choice([-1.0, 1.0], rows)}
    return pd.DataFrame({name: made[name] for name in "abcd"[:inputs]} | labels)


def save(table: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        archive(path, arrays(table))
    return path


def arrays(table: pd.DataFrame) -> dict[str, np.ndarray]:
    return {str(name): np.asarray(column.to_numpy()) for name, column in table.items()}


def archive(path: Path, parts: dict[str, np.ndarray]) -> str:
    """Write arrays, also of objects, as a .npz file, and return its name."""
    with zipfile.ZipFile(path, "w") as opened:
        for name, values in parts.items():
            with opened.open(f"{name}.npy", "w") as part:
                np.lib.format.write_array(part, values, allow_pickle=True)
    return str(path)
