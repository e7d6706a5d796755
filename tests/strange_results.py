"""Results of strangers: folders of which one cell says what a test wants."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import struct
import warnings
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from click.testing import CliRunner

from harness import load
from harness.cli.export_ import command as export_command
from harness.cli.leaderboard_ import command as leaderboard_command
from harness.cli.results_ import command as results_command
from harness.errors import StoreError
from harness.records.cell import SolverFacts
from harness.report.page import render
from harness.store import Store
from harness.store.check import IDENTITY, TABLES, checksum
from harness.store.tables import CURVES
from harness.suites.cells import digest


class Folder:
    """A copy of a results folder, of which one cell is changed."""

    def __init__(self, template: Path, root: Path, theory: bool) -> None:
        self.root = root / "results"
        shutil.copytree(template, self.root)
        (self.cell,) = [
            r.folder
            for r in Store(self.root).cells()
            if (r.facts.solver.name == "lazy-ntk" if theory else _first(r.facts.solver))
        ]
        self.facts: Any = json.loads((self.cell / "cell.json").read_text())

    def sign(self) -> None:
        """Write facts, checksums, key and manifest such that they fit: a stranger can do so."""
        key = self.cell.name
        if isinstance(self.facts, dict):
            if self.facts.get("status") == "done":
                self.facts["sha256"] = {name: checksum(self.cell / name) for name in TABLES}
            with contextlib.suppress(KeyError, ValueError):  # a part is missing, or NaN
                key = self.facts["key"] = digest({name: self.facts[name] for name in IDENTITY})
        (self.cell / "cell.json").write_text(json.dumps(self.facts))
        for path in (self.root / "experiments").glob("*.json"):
            path.write_text(path.read_text().replace(self.cell.name, key))
        self.cell = self.cell.rename(self.cell.parent / key)


def _first(solver: SolverFacts) -> bool:
    return (solver.width, solver.seed) == (64, 0)


def stands(root: Path, figures: int = 0) -> str:
    """Check that every reader ends well; return the page."""

    def call(command: Any, *arguments: str) -> str:
        done = CliRunner().invoke(command, list(arguments), standalone_mode=False)
        if done.exception is not None:
            raise done.exception
        assert all(line.isprintable() for line in done.output.splitlines())
        return done.stdout

    call(results_command, "verify", str(root))
    call(leaderboard_command, str(root), "--observable", "all")
    json.loads(call(export_command, str(root)))
    found = load(root)
    assert set(found.scores.get("verdict", ())) <= {"agrees", "disagrees", "undecided"}
    assert found.cells.index.is_unique
    assert np.isfinite(found.curves["value"].astype(float)).all()
    for key, arrays in found.arrays.items():
        try:
            dict(arrays)
        except StoreError as error:
            assert key in str(error)
    page = render(Store(root), figures=figures)
    Safe(page)
    return page


class Safe(HTMLParser):
    """Checks that a page holds no markup but its own."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts = 0
        self.feed(page)
        assert self.scripts == 1

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        assert tag not in {"iframe", "object", "embed", "link", "base", "b", "i"}
        assert not any(name.startswith("on") for name, _ in attrs)
        for name, value in attrs:
            if name in ("href", "src", "xlink:href"):
                assert (value or "").startswith(("#", "data:image/png;base64,"))


def npy(shape: str, data: bytes = b"", descr: str = "'<f8'") -> bytes:
    """Return an array file that declares any shape."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def archive(*members: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", compression) as opened:
        warnings.filterwarnings("ignore", "Duplicate name")
        for name, content in members:
            opened.writestr(name, content)
    return buffer.getvalue()


def lying(content: bytes, declared: int) -> bytes:
    """Return an archive of one member whose size is said to be another, in both of its headers."""
    size = struct.pack("<I", zipfile.ZipFile(io.BytesIO(content)).infolist()[0].file_size)
    central = content.rindex(b"PK\x01\x02")
    spoilt = bytearray(content)
    for at in (22, central + 24):
        assert content[at : at + 4] == size
        spoilt[at : at + 4] = struct.pack("<I", declared)
    return bytes(spoilt)


BOMB = b"\0" * 2**20


def curves(**columns: Any) -> pa.Table:
    """Return one row of curves, or as many as a column has."""
    rows = max((len(v) for v in columns.values()), default=1)
    plain: dict[str, Any] = {
        "stage": [0],
        "observable": ["output/test"],
        "step": [100],
        "time": [1.0],
        "index": [0],
        "value": [1.0],
        "stderr": [None],
    }
    filled = {k: v if len(v) == rows else v * rows for k, v in (plain | columns).items()}
    return pa.table(filled, schema=CURVES)
