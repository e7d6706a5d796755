"""Jobs that this machine has finished, and what they took: lines of a file in the user's cache."""

from __future__ import annotations

import json
import math
import os
import platform
import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from harness.cache import cache_folder
from harness.execution.programs import processor_key

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
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(handle, _line(job))
        finally:
            os.close(handle)
        if path.read_bytes().count(b"\n") > 2 * KEPT:
            _cut(path)
    except OSError:  # a forecast is not worth a run
        return


def _cut(path: Path) -> None:
    """Keep the last jobs alone; a line that another process adds meanwhile may be lost."""
    handle, aside = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as opened:
        opened.writelines(_line(job) for job in read_history(path))
    os.replace(aside, path)


def _line(job: Finished) -> bytes:
    """Return a line; its break comes first, so that one that was cut short costs itself alone."""
    return b"\n" + json.dumps(asdict(job)).encode()


def _parsed(line: bytes) -> Finished | None:
    try:
        found = json.loads(line)
        kind = str(found["kind"])
        numbers = [float(found[f.name]) for f in fields(Finished) if f.name != "kind"]
    except (ValueError, KeyError, TypeError):
        return None
    if not all(math.isfinite(number) and number >= 0 for number in numbers):
        return None
    cells, counts, seconds, compiling, compiled, loaded = numbers
    return Finished(kind, int(cells), counts, seconds, compiling, int(compiled), int(loaded))
