"""What finished jobs of this machine took: a file of lines, the last of which are kept."""

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
"""Jobs that are remembered, the last ones; the file is cut when it has twice as many."""


@dataclass(frozen=True)
class Finished:
    """What a job took.

    Attributes:
        kind: of its solver: what is mispredicted alike.
        cells: that it computed.
        counts: seconds that plain counts say of one of them; 0 if its work is not known.
        seconds: that one of them took, compilation aside.
        compiling: seconds of the job.
        compiled, loaded: programs that it compiled, and that it took from those that are kept.
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
        """Return what there is to remember of a job, or of a pilot run, which has no cells."""
        each = spent.seconds / max(1, cells)
        return cls(kind, cells, counts, each, spent.compiling, spent.compiled, spent.loaded)


def history_file() -> Path:
    """Return where this machine's history is kept."""
    name = f"{platform.node()}-{processor_key()}-{os.environ.get('JAX_PLATFORMS') or 'any'}"
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
    return cache_folder() / "history" / f"{safe}.jsonl"


def read_history(path: Path | None) -> tuple[Finished, ...]:
    """Return what is remembered, the last jobs at the end; a damaged line is left out.

    Without a file nothing is remembered.
    """
    try:
        lines = path.read_bytes().split(b"\n") if path is not None else []
    except OSError:  # there is none yet
        return ()
    found = (_parsed(line) for line in lines[-2 * KEPT :])
    return tuple(f for f in found if f is not None)[-KEPT:]


def remember(path: Path | None, job: Finished) -> None:
    """Add a job: one write at the end, as other runs may add theirs at the same time."""
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
    """Return a line; its break comes first, so that one that was cut short costs itself alone."""
    return b"\n" + json.dumps(asdict(job)).encode()


def _parsed(line: bytes) -> Finished | None:
    try:
        told: dict[str, Any] = json.loads(line)
        name = told.pop("kind")
        known = isinstance(name, str) and all(0 <= number < math.inf for number in told.values())
        return Finished(name, **told) if known else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
