"""A table of your own: inputs and labels are columns of a .csv, .npz or .parquet file."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from jaxtyping import Float
from pydantic import Field, ValidationInfo
from pydantic import field_validator as validator

from harness import DataError, Dataset, Params, TransferData, nearest, task

from .files import READERS, read, suffix

TASK = 5  # sets this task's random numbers apart from other tasks'

Count = Annotated[int, Field(ge=1)]


class Table(Params):
    """Parameters of `table`."""

    file: str
    """A .csv, .npz or .parquet file. Its path starts at the folder in which limitbench runs."""
    label: str
    """Column of the target's labels; in a .npz, an array of shape (P,)."""
    source_label: str | None = None
    """Column of the source's labels; null for a task without a source."""
    inputs: tuple[str, ...] = ()
    """Columns of the inputs; in a .npz, arrays of shape (P,) or (P, D). If empty, all columns of
    numbers that have a name and are not labels."""
    source_points: Annotated[int | None, Field(ge=1, validate_default=True)] = None
    """Number of training points of the source; null without a source."""
    target_points: Count
    """Number of training points of the target."""
    test_points: Count
    """Number of test points of the source, and the same number for the target."""
    classes: bool = False
    """Whether labels name classes, by numbers or text: one output each, in order, one-hot."""
    standardize: bool = True
    """Whether each input gets mean 0 and variance 1 over all training points."""

    @validator("file")
    @classmethod
    def _is_known(cls, file: str) -> str:
        if suffix(file) not in READERS:
            near = nearest(suffix(file), [*READERS])
            raise ValueError(f"a file whose name ends with .csv, .npz or .parquet{near}")
        return file

    @validator("inputs")
    @classmethod
    def _are_no_labels(cls, inputs: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for name in inputs:
            if name in (info.data.get("label"), info.data.get("source_label")):
                raise ValueError(f"{name!r} is a label; leave it out")
            if inputs.count(name) > 1:
                raise ValueError(f"{name!r} is listed twice; list it once")
        return inputs

    @validator("source_points")
    @classmethod
    def _has_a_source(cls, points: int | None, info: ValidationInfo) -> int | None:
        has_source = info.data.get("source_label") is not None
        if has_source and points is None:
            raise ValueError("at least 1, as there is a source_label")
        if not has_source and points is not None:
            raise ValueError("there is no source; give a source_label, or leave it out")
        return points


@task("table", version="1", tags={"files", "transfer"})
def table(params: Table, seed: int) -> TransferData:
    """Rows of a table of your own, split at random into training and test sets.

    No row is in two sets, though two rows may be equal. Labels are used unchanged; their scale
    should be of order one. With `classes` they are one-hot, a column for each value in the file.
    If inputs are standardized, each has mean 0 and variance 1 over the training points of source
    and target together, so that K_x(x, x) = |x|^2/D is 1 on average, and one that is the same at
    all of them is 0 everywhere; all sets share this map. Truth values are 0 and 1.

    A cell's key contains a digest of the drawn data. It depends neither on the file's folder, nor
    on its format, nor on unused columns.

    Args:
        params: file, columns and sizes.
        seed: fixes the draw of rows. The rows of a set do not depend on the number of training
            points of another, the target's rows are the same with and without a source, and a
            smaller training set is the beginning of a larger one.

    Returns:
        Four sets, or the target's two, with x of shape (P, D), and y of shape (P,) or, for k
        classes, (P, k).

    Raises:
        DataError: if the file is missing or cannot be read, a column is not there, not of finite
            numbers or of another length, labels are all the same, or there are too few rows.
    """
    found = read(params.file)
    read_labels = found.classes if params.classes else found.label
    labels = {"target": read_labels(params.label)}
    if params.source_label is not None:
        labels["source"] = read_labels(params.source_label)
    rows = len(labels["target"])
    if any(len(y) != rows for y in labels.values()):
        raise DataError(
            f"file {params.file!r}: {found.word} {params.source_label!r} has"
            f" {len(labels['source'])} rows, but {params.label!r} has {rows}; both need as many"
        )
    drawn = _split(params, seed, rows)
    used = [params.label, params.source_label or params.label]
    for name in used:
        found.refuse_equal_labels(name)
    x = found.inputs(params.inputs or found.numeric(but=used), rows)
    if params.standardize:
        train = [drawn[name] for name in labels]
        x = _standardized(x, np.concatenate(train), params.file)
    sets = {n: Dataset(x[i], labels[n.removesuffix("_test")][i]) for n, i in drawn.items()}
    return TransferData(**sets, others={}, facts={})  # the law of a table is unknown


def _split(params: Table, seed: int, rows: int) -> dict[str, np.ndarray]:
    """Choose disjoint rows for the sets.

    All rows have one random order. Test sets, then the source, take from its beginning; the
    target takes from its end, so that neither depends on the other's size.
    """
    counts = {"target_test": params.test_points}
    if params.source_points is not None:
        counts |= {"source_test": params.test_points, "source": params.source_points}
    needed = sum(counts.values()) + params.target_points
    if needed > rows:
        every = counts | {"target": params.target_points}
        listed = ", ".join(f"{n.replace('_', ' ')} {c}" for n, c in sorted(every.items()))
        raise DataError(
            f"file {params.file!r} has {rows} {'row' if rows == 1 else 'rows'}, but {needed} are"
            f" needed ({listed}); ask for fewer points"
        )
    order = np.random.default_rng([seed, TASK]).permutation(rows)
    drawn = {"target": order[::-1][: params.target_points]}
    for name, count in counts.items():
        drawn[name], order = order[:count], order[count:]
    return drawn


def _standardized(
    x: Float[np.ndarray, "P D"], train: np.ndarray, file: str
) -> Float[np.ndarray, "P D"]:
    """Return inputs of mean 0 and variance 1 over the rows of training points.

    Raises:
        DataError: if all these rows are the same, or numbers are too large or too small for that.
    """
    seen = x[train]
    differ = (seen != seen[0]).any(axis=0)
    if not differ.any():
        raise DataError(
            f"file {file!r}: the inputs of all {len(train)} training points are the same"
        )
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        scaled = np.where(differ, (x - seen.mean(axis=0)) / seen.std(axis=0), 0.0)
    if not np.isfinite(scaled).all():
        raise DataError(
            f"file {file!r}: inputs are too large or too small to be standardized; scale them, or"
            " set standardize to false"
        )
    return scaled
