"""The results folder: cells on disk, and the tables read from them."""

from harness.store.cells import CellRecord, Store, if_readable
from harness.store.check import Manifest
from harness.store.export import (
    COLUMNS,
    TIDY,
    ExperimentResults,
    experiments,
    export_rows,
    export_tables,
    gathered,
    readable_tables,
    tidy_table,
)

__all__ = [
    "COLUMNS",
    "TIDY",
    "CellRecord",
    "ExperimentResults",
    "Manifest",
    "Store",
    "experiments",
    "export_rows",
    "export_tables",
    "gathered",
    "if_readable",
    "readable_tables",
    "tidy_table",
]
