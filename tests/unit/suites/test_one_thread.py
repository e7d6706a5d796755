"""BLAS has one thread where matrices are small, and as many as before afterwards."""

from __future__ import annotations

from pathlib import Path

from threadpoolctl import threadpool_info

from harness import Registry
from harness.claims import judge_claims
from harness.processes import one_thread
from harness.results import Results
from harness.suites import load_suite
from harness.suites.build import build_data

PLUGIN = """
import numpy as np
from threadpoolctl import threadpool_info
from harness import Dataset, Finding, Judgement, Params, TransferData, claim, task

def threads():
    return max(i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas")

@task("threads", version="1")
def counted(params: Params, seed: int) -> TransferData:
    some = Dataset(np.full((2, 1), float(threads())), np.array([1.0, -1.0]))
    return TransferData(target=some, target_test=some)

@claim("alone", version="1", statement="s", source="here", experiments=["x"])
def alone(evidence) -> Judgement:
    return Judgement([Finding(what="threads", value=threads(), at_most=1.0)])
"""
SUITE = """
[suite]
name = "threads"
widths = [4]
seeds = 1
[[experiment]]
name = "x"
task = { name = "threads" }
architecture = { name = "mlp", depth = 1, activation = "linear" }
regime = { name = "single", richness = 1.0, steps = 1, dt = 0.1 }
theories = ["lazy-ntk"]
"""


def threads() -> set[int]:
    """Return the numbers of threads that BLAS libraries of this process may use."""
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


def test_one_thread_holds_for_the_block_alone() -> None:
    before = threads()
    with one_thread():
        assert threads() == {1}
    assert threads() == before


def test_tasks_and_claims_have_one_thread(tmp_path: Path) -> None:
    """Least squares of 100 points took fifty times as long with two threads on a busy machine."""
    (tmp_path / "threads.py").write_text(PLUGIN)
    (tmp_path / "threads.toml").write_text(SUITE)
    registry = Registry.load([tmp_path])
    (experiment,) = load_suite(tmp_path / "threads.toml", registry).experiments
    assert build_data(experiment, registry).target.x.max() == 1.0
    (judged,) = judge_claims([registry.get("claim", "alone")], Results(()), registry)
    assert judged.verdict == "reproduced"
