"""Costs of jobs finished on this machine: a file of lines, the last of which are kept."""

from __future__ import annotations

import json
import math
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cache import cache_folder
from harness.errors import StoreError
from harness.execution.programs import processor_key
from harness.store.files import write_file

if TYPE_CHECKING:
    from harness.execution.calls import Spent

KEPT = 500
"""Number of last jobs that are remembered; the file is cut when it has twice as many."""


@dataclass(frozen=True)
class Finished:
    """Cost of a finished job.

    Attributes:
        kind: kind of its solver; errors of prediction are similar within a kind.
        cells: number of cells that it computed.
        counts: seconds for one cell by plain counts; 0 if its work is not known.
        seconds: seconds that one cell took, without compilation.
        compiling: seconds of compiling in the job.
        compiled, loaded: numbers of programs that it compiled, and that it took from kept ones.
    """

    kind: str
    cells: int
    counts: float
    seconds: float
    compiling: float
    compiled: int
    loaded: int

    @classmethod
    def of(cls, kind: str, cells: int, counts: float, spent: Spent) -> Finished:
        """Return the history entry of a job, or of a pilot run, which has no cells."""
        each = spent.seconds / max(1, cells)
        return cls(kind, cells, counts, each, spent.compiling, spent.compiled, spent.loaded)


def history_file() -> Path:
    """Return the file of this machine's history."""
    name = f"{platform.node()}-{processor_key()}-{os.environ.get('JAX_PLATFORMS') or 'any'}"
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
    return cache_folder() / "history" / f"{safe}.jsonl"


def read_history(path: Path | None) -> tuple[Finished, ...]:
    """Return the remembered jobs, the last ones at the end; a damaged line is left out.

    Without a file nothing is remembered.
    """
    try:
        lines = path.read_bytes().split(b"\n") if path is not None else []
    except OSError:  # there is none yet
        return ()
    found = (_parsed(line) for line in lines[-2 * KEPT :])
    return tuple(f for f in found if f is not None)[-KEPT:]


def remember(path: Path | None, job: Finished) -> None:
    """Append a job in one write, as other runs may append theirs at the same time."""
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as opened:
            opened.write(_line(job))
        if path.read_bytes().count(b"\n") > 2 * KEPT:  # a line of another run may be lost
            lines = b"".join(map(_line, read_history(path)))
            write_file(path, lambda opened: opened.write(lines), "")
    except (OSError, StoreError):  # a forecast is not worth a run
        return


def _line(job: Finished) -> bytes:
    """Return a line; its break comes first, so that a truncated line damages no other."""
    return b"\n" + json.dumps(asdict(job)).encode()


def _parsed(line: bytes) -> Finished | None:
    try:
        told: dict[str, Any] = json.loads(line)
        name = told.pop("kind")
        known = isinstance(name, str) and all(0 <= number < math.inf for number in told.values())
        return Finished(name, **told) if known else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
