"""Results folders in Python: tidy frames of cells, curves and scores, and arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from numpy.typing import NDArray

from harness.errors import StoreError
from harness.formats import percent_cell
from harness.store import COLUMNS, CellRecord, Store, experiments, readable_tables

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.records.cell import CellFacts
    from harness.scoring import ProblemResults, ScoreRow

LARGEST_FRAME = 50_000_000
"""Recorded values that one frame may hold: several GB of memory."""


SHOWN = 50
"""Rows of the leaderboard that a notebook shows."""


@dataclass(frozen=True, repr=False)
class Results:
    """One or more results folders. Everything is read when it is first asked for.

    A notebook shows the leaderboard of a `Results` that ends a cell.

    Attributes:
        folders: the results folders.
    """

    folders: tuple[Path, ...]

    def __repr__(self) -> str:
        """Return the folders, and the number of cells by status."""
        counts = Counter(record.status for record in self._by_key.values())
        cells = ", ".join(f"{count} {status}" for status, count in counts.items()) or "no cells"
        return f"Results({', '.join(map(str, self.folders))}: {cells})"

    def _repr_html_(self) -> str:
        """Return the leaderboard on the predictor at the end, for a notebook."""
        from harness.scoring import PRIMARY

        rows = [row for row in self.rows if row.observable == PRIMARY]
        lines = [
            [
                row.name,
                row.theory,
                row.verdict,
                percent_cell(row.limit_gap),
                "–"
                if row.limit_gap_ci is None
                else " – ".join(map(percent_cell, row.limit_gap_ci)),
                "–" if row.exponent is None else f"{row.exponent:.2f}",
            ]
            for row in rows[:SHOWN]
        ]
        heads = ("experiment", "theory", "verdict", "limit gap", "95 % interval", "exponent")
        table = "".join(_html_row("td", line) for line in lines)
        more = f"<p>and {len(rows) - SHOWN} more rows</p>" if len(rows) > SHOWN else ""
        return f"<p>{escape(repr(self))}</p><table>{_html_row('th', heads)}{table}</table>{more}"

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row for each cell, whatever its status; the index is its key.

        Columns: experiment, solver ("network" or the theory's name), width, seed, dtype, status
        ("done", "failed" or "not-applicable"), message (the reason, where it is not done),
        started, seconds, folder, data_seed, and ``task``, ``architecture``, ``regime`` and
        ``theory`` with their ``.version`` and parameters, such as ``regime.version`` and
        ``regime.source_richness``. Width and seed are missing for theories.
        """
        rows = [_cell(name, record) for name, record in self._records()]
        columns = ["experiment", "solver", "width", "seed", "dtype", "status", "message"]
        frame = pd.DataFrame(rows, columns=None if rows else ["key", *columns]).set_index("key")
        return frame.astype({"width": "Int64", "seed": "Int64"})

    @cached_property
    def curves(self) -> pd.DataFrame:
        """One row for each recorded value of each finished cell, as `limitbench export` has it.

        Columns: experiment, solver, width, seed, stage, observable, step, time, index, value,
        stderr, and key, which is the cell's.

        Raises:
            StoreError: if there are more than `LARGEST_FRAME` of them.
        """
        return joined_curves(readable_tables(self._done()), LARGEST_FRAME)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row for each experiment, theory and observable: the leaderboard.

        Intervals are two columns, such as ``limit_gap_low`` and ``limit_gap_high``; columns that
        depend on the width are in `discrepancies`.
        """
        return pd.DataFrame([_flat(row.as_json()) for row in self.rows])

    @cached_property
    def discrepancies(self) -> pd.DataFrame:
        """One row for each experiment, theory, observable and width.

        Columns: experiment, theory, observable, apart, width; discrepancy and
        ensemble_discrepancy, each with ``_low`` and ``_high``.
        """
        rows = []
        for row in self.rows:
            for width in row.widths:
                single = row.discrepancy[width], *row.discrepancy_ci[width]
                mean = row.ensemble_discrepancy[width]
                both = *single, mean, *(row.ensemble_discrepancy_ci[width] or (None, None))
                names = [
                    f"{name}{end}"
                    for name in ("discrepancy", "ensemble_discrepancy")
                    for end in ("", "_low", "_high")
                ]
                whose = {
                    "experiment": row.experiment,
                    "theory": row.theory,
                    "observable": row.observable,
                    "apart": row.apart,
                    "width": width,
                }
                rows.append(whose | dict(zip(names, both, strict=True)))
        return pd.DataFrame(rows)

    @cached_property
    def draws(self) -> pd.DataFrame:
        """Means over draws of the data, of every observable that is a number.

        One row for each experiment without its draw, solver, width, stage, observable and step.
        Columns: experiment, solver, width, apart, the swept parameters (such as
        ``task.alignment``), stage, observable, step, time, mean, stderr (over draws; networks are
        averaged over seeds first) and draws, their number. Only experiments that are swept over
        ``task.data_seed``, as by ``data_seeds`` in a suite, have rows.
        """
        from harness.scoring.draws import draw_averages

        return draw_averages(self._problems)

    @cached_property
    def transfer(self) -> pd.DataFrame:
        """Gain of a source stage on the target, and forgetting of the source.

        One row for each experiment with a source stage, solver and width. Columns: experiment,
        solver, width, apart, estimates (networks, or replicates of a theory), control,
        final_loss, best_loss, best_step, best_time, source_probe_start, source_probe_end,
        forgetting, gain, gain_best, source_excess_kurtosis, source_wasserstein,
        target_excess_kurtosis and target_wasserstein, each with its error in ``..._stderr``, and
        the swept parameters. See `harness.scoring.transfer.transfer`.
        """
        from harness.scoring.transfer import transfer

        return transfer(self._problems)

    @property
    def arrays(self) -> Mapping[str, CellArrays]:
        """Kernels, densities and replicates of every finished cell, by its key; read when used."""
        return {r.key: CellArrays(r) for r in self._by_key.values() if r.status == "done"}

    @cached_property
    def rows(self) -> list[ScoreRow]:
        """The rows of the leaderboard."""
        from harness.scoring import score_folders

        return score_folders(self._stores()).rows

    def rows_of(self, observable: str) -> list[ScoreRow]:
        """Return the rows of an observable; kernels and densities are read and scored once."""
        from harness.scoring import ARRAYS

        if observable not in ARRAYS:
            return [row for row in self.rows if row.observable == observable]
        return [row for row in self._array_rows if row.observable == observable]

    @cached_property
    def _array_rows(self) -> list[ScoreRow]:
        from harness.scoring import ARRAYS, score_folders

        return score_folders(self._stores(), ARRAYS).rows

    @cached_property
    def _problems(self) -> list[ProblemResults]:
        from harness.scoring import read_problems

        return read_problems(self._stores(), [])

    def facts(self, key: str) -> CellFacts:
        """Return the facts of a cell."""
        return self._by_key[key].facts

    @cached_property
    def _by_key(self) -> dict[str, CellRecord]:
        return {record.key: record for _, record in self._records()}

    def _stores(self) -> list[Store]:
        return [Store(folder) for folder in self.folders]

    def _done(self) -> Iterator[tuple[str, CellRecord]]:
        return ((name, record) for name, record in self._records() if record.status == "done")

    def _records(self) -> Iterator[tuple[str, CellRecord]]:
        """Yield every cell once, with the experiment that it is part of."""
        seen = set()
        for store in self._stores():
            for experiment in experiments(store):
                for record in experiment.records:
                    if (experiment.name, record.key) not in seen:
                        seen.add((experiment.name, record.key))
                        yield experiment.name, record


class CellArrays(Mapping[str, NDArray[Any]]):
    """The arrays of one cell by name, such as ``stage1/kernel/feature``; read when used."""

    def __init__(self, record: CellRecord) -> None:
        self._record = record

    def __getitem__(self, name: str) -> NDArray[Any]:
        found = self._record.array(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._record.array_names())

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return f"CellArrays({', '.join(self)})"


def load(folder: str | Path, *more: str | Path) -> Results:
    """Open results folders, as `limitbench run` wrote them, for analysis in Python.

    Args:
        folder: a results folder.
        more: other results folders, scored together with the first.

    Raises:
        StoreError: if one of them holds no results.
    """
    folders = tuple(Path(each) for each in (folder, *more))
    for each in folders:
        Store(each).folders()  # refuses a folder without results
    return Results(folders)


def joined_curves(tables: Iterable[tuple[CellRecord, pa.Table]], most: int) -> pd.DataFrame:
    """Return the recorded values of many cells as one frame: see `Results.curves`.

    Args:
        tables: curves of cells, or of parts of them.
        most: largest number of rows.

    Raises:
        StoreError: if there are more.
    """
    import pyarrow as pa

    found, rows = [], 0
    for record, table in tables:
        rows += len(table)
        if rows > most:
            raise StoreError(
                f"{record.folder.parents[1]}: more than {most:,} recorded values, too many for one"
                " frame; `limitbench export --format parquet` writes them one cell at a time"
            )
        codes = pa.repeat(pa.scalar(0, pa.int32()), len(table))
        key = pa.DictionaryArray.from_arrays(codes, pa.array([record.key], pa.string()))
        found.append(table.append_column("key", key))
    if not found:
        return pd.DataFrame(columns=[*COLUMNS, "key"])
    frame: pd.DataFrame = pa.concat_tables(found).unify_dictionaries().to_pandas()
    for name in ("experiment", "solver", "observable", "key"):
        used = frame[name].cat.remove_unused_categories()
        frame[name] = used.cat.reorder_categories(sorted(used.cat.categories))
    return frame.astype({"width": "Int64", "seed": "Int64", "index": "Int64"})


def _html_row(kind: str, texts: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{kind}>{escape(text)}</{kind}>' for text in texts)}</tr>"


def _cell(experiment: str, record: CellRecord) -> dict[str, Any]:
    facts = record.facts
    solver = facts.solver
    found = {
        "key": record.key,
        "experiment": experiment,
        "solver": solver.name,
        "width": solver.width,
        "seed": solver.seed,
        "dtype": solver.dtype,
        "status": record.status,
        "message": facts.message,
        "started": facts.started,
        "seconds": facts.seconds,
        "folder": str(record.folder),
        "data_seed": facts.data_seed,
    }
    for kind, spec in facts.components.items():
        found[kind] = spec.name
        found[f"{kind}.version"] = spec.version
        found |= {f"{kind}.{name}": value for name, value in spec.parameters.items()}
    return found


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a leaderboard row without width-dependent entries, intervals as two columns."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if name.startswith(("discrepancy", "ensemble_discrepancy")):
            continue
        if name.endswith("_ci"):
            stem = name.removesuffix("_ci")
            flat[f"{stem}_low"], flat[f"{stem}_high"] = value or (None, None)
        elif isinstance(value, Mapping):
            flat |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            flat[name] = value
    return flat
