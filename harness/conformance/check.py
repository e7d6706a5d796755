"""All checks of a component: those of every kind, and those of its own."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from harness.conformance import architecture, claim, observable, regime, task, theory
from harness.conformance.outcome import Check, Checks, outcome_of, require
from harness.conformance.samples import Sample
from harness.registry import Component
from harness.registry.component import Kind, as_json
from harness.registry.parameters import (
    difference,
    has_order_of_chance,
    plain,
    round_trip_fault,
)

BY_KIND: Mapping[Kind, Checks] = {
    "task": task.CHECKS,
    "architecture": architecture.CHECKS,
    "regime": regime.CHECKS,
    "theory": theory.CHECKS,
    "observable": observable.CHECKS,
    "claim": claim.CHECKS,
}


SEEDS = range(101, 109)
"""Hash seeds of fresh workers: a set of two strings has either order under half of them."""

_MARK = "limitbench-parameters "
_AFRESH = f"""
import json, sys
from harness import Registry
from harness.registry.parameters import plain

kind, name, table, *folders = sys.argv[1:]
component = Registry.load(folders).get(kind, name)
print("\\n{_MARK}" + json.dumps(plain(component.parse(json.loads(table)))))
"""


def check_component(
    component: Component, parameters: Sample, plugin_dirs: Sequence[str] = ()
) -> list[Check]:
    """Run every check of a component's kind.

    Args:
        component: component to check.
        parameters: values for its parameters, at least those without a default.
        plugin_dirs: folders of its plugin, for a fresh worker to load.
    """
    label = f"{component.kind} {component.name}"
    checks: dict[str, Callable[[], None]] = {
        "has a summary, and every parameter is documented": lambda: _documented(component),
        "loads in a fresh worker": lambda: _loads_afresh(component, parameters, plugin_dirs),
        "has parameters that survive being written and read": (
            lambda: _parameters_survive(component, parameters)
        ),
    }
    for name, check in BY_KIND[component.kind].items():
        checks[name] = functools.partial(check, component, parameters)
    return [outcome_of(label, name, check) for name, check in checks.items()]


def _documented(component: Component) -> None:
    require(bool(component.summary), "give it a docstring; its first paragraph is shown by `list`")
    bare = [n for n, f in component.params.model_fields.items() if not f.description]
    require(not bare, f"document {', '.join(bare)} with a string under each parameter")


def _loads_afresh(component: Component, parameters: Sample, plugin_dirs: Sequence[str]) -> None:
    parsed = component.parse(parameters)
    written = plain(parsed)
    arguments = component.kind, component.name, as_json(parameters), *plugin_dirs
    for seed in SEEDS if has_order_of_chance(parsed) else SEEDS[:1]:
        ran = subprocess.run(
            [sys.executable, "-c", _AFRESH, *arguments],
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=False,
            timeout=1800,  # a plugin that hangs on load; a busy machine needs minutes
        )
        require(ran.returncode == 0, ran.stderr.strip().rpartition("\n")[2])
        again = json.loads(ran.stdout.rpartition(_MARK)[2].partition("\n")[0])
        fault = difference(written, again)
        require(not fault, f"{fault}, there; write sets in order, and give fixed defaults")


def _parameters_survive(component: Component, parameters: Sample) -> None:
    parsed = component.parse(parameters)
    fault = difference(plain(parsed), plain(component.parse(parameters)))
    require(not fault, f"{fault}, read twice; give fixed defaults")
    fault = round_trip_fault(parsed)
    require(not fault, f"{fault}, on the way to a worker")
