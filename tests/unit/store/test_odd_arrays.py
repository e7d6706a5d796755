"""Archives of arrays that no run writes are refused, in little memory."""

from __future__ import annotations

import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from strange_results import BOMB, Folder, archive, lying, npy, stands

from harness.errors import StoreError
from harness.store import Store

ODD_ARRAYS: dict[str, tuple[bytes, str]] = {
    "terabytes declared": (
        archive(("a.npy", npy("(10**12,)".replace("10**12", "1000000000000")))),
        "declares an array of shape (1000000000000,), and has another size",
    ),
    "shape that overflows": (
        archive(("a.npy", npy("(4294967296, 4294967296)"))),
        "declares an array of shape (4294967296, 4294967296), and has another size",
    ),
    "negative shape": (archive(("a.npy", npy("(-1,)"))), "declares an array of shape (-1,)"),
    "no shape": (archive(("a.npy", npy("{}"))), "shape is not valid"),
    "nested header": (archive(("a.npy", npy("(" * 3000))), ""),
    "objects": (archive(("a.npy", npy("(1,)", BOMB[:8], "'|O'"))), "an array of object"),
    "records": (archive(("a.npy", npy("(1,)", BOMB[:8], "[('a', '<f8')]"))), "an array of"),
    "sub-arrays of a terabyte": (
        archive(("a.npy", npy("(1,)", b"", "('<f8', (1000, 1000000000))"))),
        "",
    ),
    "text": (archive(("a.npy", npy("(1,)", BOMB[:4], "'<U1'"))), "an array of <U1"),
    "compressed zeros": (
        archive(("a.npy", npy("(131072,)", BOMB)), compression=zipfile.ZIP_DEFLATED),
        "compressed; numpy.savez writes arrays as they are",
    ),
    "gigabytes declared": (
        lying(archive(("a.npy", npy("(1,)", BOMB[:8]))), 2**31),
        "declares more than the file has",
    ),
    "two of one name": (archive(*[("a.npy", npy("(1,)", BOMB[:8]))] * 2), "two of one name"),
    "an array with an archive behind it": (
        npy("(1,)", BOMB[:8]) + archive(("a.npy", b"")),
        "",
    ),
    "infinite": (
        archive(("a.npy", npy("(1,)", struct.pack("<d", float("inf"))))),
        "a: has values that are not finite",
    ),
    "not an array": (archive(("a.npy", b"PK")), ""),
    "nothing": (b"", ""),
}


@pytest.mark.parametrize(("content", "reason"), ODD_ARRAYS.values(), ids=ODD_ARRAYS)
def test_odd_arrays_are_refused_in_little_memory(
    template: Path, tmp_path: Path, content: bytes, reason: str
) -> None:
    folder = Folder(template, tmp_path, True)
    (folder.cell / "arrays.npz").write_bytes(content)
    folder.sign()
    record = Store(folder.root).read(folder.cell.name)
    assert record is not None
    tracemalloc.start()
    try:
        with pytest.raises(StoreError) as raised:
            record.arrays()
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()
    line = str(raised.value)
    assert line.startswith(f"{folder.cell / 'arrays.npz'}: ") and reason in line
    assert line.isprintable()
    stands(folder.root)


def test_names_of_arrays_lead_nowhere(template: Path, tmp_path: Path) -> None:
    folder = Folder(template, tmp_path, True)
    name = "../../../../outside"
    (folder.cell / "arrays.npz").write_bytes(archive((f"{name}.npy", npy("(1,)", BOMB[:8]))))
    folder.sign()
    record = Store(folder.root).read(folder.cell.name)
    assert record is not None and list(record.arrays()) == [name]
    before = set(tmp_path.rglob("*"))
    stands(folder.root)
    assert {p for p in tmp_path.rglob("*") if "outside" in p.name} == set()
    assert before <= set(tmp_path.rglob("*"))
