"""Submissions changed by hand, as a forger or a broken disk would."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.submissions import read_rows
from harness.submissions.file import ENTRY
from harness.submissions.rows import SCHEMA, add_to, new_digest

Facts = dict[str, Any]
Change = Callable[[list[Facts]], object]


def header_of(path: Path) -> Facts:
    """Return the header of a submission as plain JSON."""
    found: Facts = json.loads(pq.read_metadata(path).metadata[ENTRY])
    return found


def write(path: Path, table: pa.Table, header: Facts) -> None:
    """Write any table with any header."""
    with pq.ParquetWriter(path, table.schema, compression="zstd", store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({ENTRY.decode(): json.dumps(header)})


def forge(path: Path, change: Change, **header: Any) -> None:
    """Change the rows of a submission, or entries of its header, and leave the hash alone."""
    rows = pq.read_table(path).cast(SCHEMA).to_pylist()
    change(rows)
    write(path, pa.Table.from_pylist(rows, SCHEMA), header_of(path) | header)


def sign(path: Path) -> None:
    """Give a submission the hash of its content."""
    digest, count = new_digest(), 0
    try:
        for row in read_rows(path):
            add_to(digest, row)
            count += 1
    except Exception as error:
        assert "changed since" in str(error) or "its header says" in str(error)
    header = header_of(path) | {"sha256": digest.hexdigest(), "cells": count}
    write(path, pq.read_table(path).cast(SCHEMA), header)
