"""A plan asks a worker for data alone, which takes no JAX."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from harness import Registry
from harness.execution.driver import inspect_plan
from harness.execution.plan import plan_suite
from harness.store import Store
from harness.suites import load_suite

PLUGIN = '''
import sys
import numpy as np
from harness import Dataset, Params, TransferData, task

@task("wary", version="1")
def wary(params: Params, seed: int) -> TransferData:
    """Refuses to be made where JAX is loaded."""
    if "jax" in sys.modules:
        raise ValueError("JAX is loaded")
    data = Dataset(np.eye(4), np.array([1.0, -1.0, 1.0, -1.0]))
    return TransferData(target=data, target_test=data)
'''

SUITE = """
[suite]
name = "light"
widths = [8]
seeds = 1

[[experiment]]
name = "one"
task = { name = "wary" }
architecture = { name = "mlp", depth = 1, activation = "relu" }
theories = ["lazy-ntk"]
regime = { name = "single", richness = 1.0, steps = 10, dt = 0.01 }
"""


@pytest.fixture
def light(tmp_path: Path) -> tuple[Path, str]:
    """A suite, and the file of the plugin that it needs."""
    plugin, path = tmp_path / "wary.py", tmp_path / "light.toml"
    plugin.write_text(PLUGIN)
    path.write_text(SUITE)
    return path, str(plugin)


def test_a_worker_that_makes_data_for_a_plan_loads_no_jax(
    light: tuple[Path, str], tmp_path: Path
) -> None:
    path, plugin = light
    registry = Registry.load([plugin])
    plan = plan_suite(load_suite(path, registry))
    store = Store(tmp_path / "results")
    inspect_plan(plan, store, registry, Mock(), plugin_dirs=[plugin], workers=1, memory=2.0**31)
    assert not plan.failed
    assert plan.data["one"].points == {"target": 4, "target_test": 4}


def test_workers_live_where_all_that_is_printed_goes_to_a_file(
    light: tuple[Path, str], tmp_path: Path
) -> None:
    path, plugin = light
    command = [str(Path(sys.executable).with_name("limitbench")), "run", str(path), "--dry-run"]
    options = ["--plugin-dir", plugin, "--results", str(tmp_path / "results")]
    log = tmp_path / "log"
    with log.open("w") as opened:
        opened.write("begun\n")
        opened.flush()
        done = subprocess.run([*command, *options], stdout=opened, stderr=opened, check=False)
    printed = log.read_text()
    assert done.returncode == 0, printed
    assert "2 of 2 cells to compute" in printed
    assert "failed" not in printed
