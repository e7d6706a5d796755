"""What tests of a run share: a suite of two widths, its cells, and a cache of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import Registry
from harness.suites import Cell, Resolved, Suite, cells_of, load_suite

SUITE = """
[suite]
name = "two"
widths = [16, 64]
seeds = 4
[[experiment]]
name = "digits"
architecture = { name = "mlp" }
theories = ["mean-field", "lazy-ntk"]
[experiment.regime]
name = "fine-tune"
source_richness = 1.0
source_steps = 20
target_steps = 10
[experiment.task]
name = "image-pairs"
dataset = "digits"
source_classes = [0, 1]
target_classes = [0, 9]
source_points = 10
target_points = 8
test_points = 6
"""


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load()


@pytest.fixture
def suite(registry: Registry, tmp_path: Path) -> Suite:
    path = tmp_path / "two.toml"
    path.write_text(SUITE)
    return load_suite(path, registry)


@pytest.fixture
def cells(suite: Suite) -> list[Cell]:
    return cells_of(suite.experiments[0], suite, Resolved("data", (0.1, 0.1)))
