"""Plugin files that tests write and load, and what a registry then says of them."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from harness import Registry
from harness.registry import SetAside

ROOT = Path(__file__).parents[1]

TASK = '''
import numpy as np
from harness import Dataset, Params, TransferData, task

class Own(Params):
    points: int = 4

@task("{name}", version="1")
def {function}(params: Own, seed: int) -> TransferData:
    """A task of a test."""
    x = np.random.default_rng(seed).standard_normal((params.points, 2))
    return TransferData(target=Dataset(x, x[:, 0]), target_test=Dataset(x, x[:, 0]))
'''


def task_file(name: str, function: str = "make") -> str:
    return TASK.format(name=name, function=function)


def load(folder: Path, **files: str) -> Registry:
    """Write plugin files and load their folder."""
    for stem, text in files.items():
        (folder / f"{stem}.py").write_text(textwrap.dedent(text))
    return Registry.load([folder])


def names(registry: Registry) -> set[str]:
    return {c.name for c in registry.components()}


def asides(registry: Registry) -> dict[str, SetAside]:
    return {Path(a.origin).stem: a for a in registry.set_aside}


def the_only_reason(folder: Path, text: str) -> str:
    """Return why a file is set aside; nothing else may be."""
    registry = load(folder, broken=text, fine=task_file("fine"))
    assert "fine" in names(registry), "a broken plugin harms no other"
    (aside,) = registry.set_aside
    assert Path(aside.origin) == folder / "broken.py"
    assert aside.traceback.startswith("Traceback")
    assert len(aside.reason.splitlines()) == 1
    return aside.reason


def exactly(message: str) -> str:
    return f"^{re.escape(message)}$"
