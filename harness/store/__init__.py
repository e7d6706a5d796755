"""The results folder: cells on disk, and the tables read from them."""

from harness.store.cells import CellRecord, Store, if_readable
from harness.store.check import Manifest
from harness.store.export import (
    COLUMNS,
    TIDY,
    ExperimentResults,
    ListedExperiment,
    experiments,
    export_rows,
    export_tables,
    gathered,
    listed_experiments,
    readable_tables,
    tidy_table,
)

__all__ = [
    "COLUMNS",
    "TIDY",
    "CellRecord",
    "ExperimentResults",
    "ListedExperiment",
    "Manifest",
    "Store",
    "experiments",
    "export_rows",
    "export_tables",
    "gathered",
    "if_readable",
    "listed_experiments",
    "readable_tables",
    "tidy_table",
]
