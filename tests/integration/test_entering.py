"""The page on entering the leaderboard: its file is a theory, and passes for one."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from problems import gaussian_data, make, problem

from harness import Registry, Stage
from harness.contest import find_theory

PAGE = (Path(__file__).parents[2] / "docs" / "entering.md").read_text()
STAGES = (
    Stage(data="source", richness=0.3, steps=20, dt=0.02),
    Stage(data="target", richness=0.3, steps=20, dt=0.02),
)


def test_its_theory_is_the_first_step_beyond_the_lazy_limit(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "linear_response.py"
    path.write_text(code)
    name, registry, folders = find_theory(str(path), [])
    assert (name, folders) == ("linear-response", [str(path)])
    component = registry.get("theory", name)
    task = problem(gaussian_data(), *STAGES)
    ours = component.make(component.parse({"target_error": 0.005})).predict(task)
    exact, lazy = (make("theory", n).predict(task) for n in ("mean-field", "lazy-ntk"))
    values = [found[1, "output/test"].values for found in (exact, ours, lazy)]
    off, lazily_off = (np.linalg.norm(v - values[0]) for v in values[1:])
    assert off < 0.5 * lazily_off
    assert "linear-response" not in {c.name for c in Registry.load().components("theory")}
