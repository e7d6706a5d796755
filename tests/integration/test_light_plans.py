"""A plan asks a worker for data alone, which takes no JAX."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

from harness import Registry
from harness.execution.driver import inspect_plan, plan_suite
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


def test_a_worker_that_makes_data_for_a_plan_loads_no_jax(tmp_path: Path) -> None:
    plugin, path = tmp_path / "wary.py", tmp_path / "light.toml"
    plugin.write_text(PLUGIN)
    path.write_text(SUITE)
    plan = plan_suite(load_suite(path, Registry.load([str(plugin)])))
    store = Store(tmp_path / "results")
    inspect_plan(plan, store, Mock(), plugin_dirs=[str(plugin)], workers=1, memory=2.0**31)
    assert not plan.failed
    assert plan.data["one"].points == {"target": 4, "target_test": 4}
