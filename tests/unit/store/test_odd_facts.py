"""Facts and manifests that no run writes are refused, or count once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from strange_results import Folder, stands

from harness.cli.results_ import command as results_command
from harness.store import Store, experiments

ODD_FACTS: dict[str, tuple[dict[str, Any], str]] = {
    "half a character": ({"experiment": "\ud800"}, "not JSON, or cut short"),
    "nested": ({"notes": {"a": json.loads("[" * 40 + "]" * 40)}}, "nested too deeply; at most 32"),
    "network without a seed": ({"seed": None}, "solver: Value error, a network has width"),
    "network of no width": ({"width": 0}, "solver.width: Input should be greater than"),
    "theory with a width": ({"theory": {"name": "network", "version": "1", "parameters": {}}}, ""),
    "solver with markup": ({"name": "<b>"}, "solver.name: String should match pattern"),
    "no stages": ({"dts": []}, "dts: List should have at least 1 item"),
    "versions that are none": ({"environment": {"versions": [1]}}, "environment.versions: Input"),
    "negative seconds": ({"seconds": -1.0}, "seconds: Input should be greater than or equal to 0"),
}


@pytest.mark.parametrize(("changes", "reason"), ODD_FACTS.values(), ids=ODD_FACTS)
def test_odd_facts_are_refused(
    template: Path, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    folder = Folder(template, tmp_path, False)
    for name, value in changes.items():
        (folder.facts["solver"] if name in folder.facts["solver"] else folder.facts)[name] = value
    folder.sign()
    found = CliRunner().invoke(results_command, ["verify", str(folder.root)], standalone_mode=False)
    (line,) = found.stdout.splitlines()
    assert line.startswith(f"{folder.cell / 'cell.json'}: {reason}")
    stands(folder.root)


def test_a_manifest_counts_a_cell_once_and_speaks_for_its_own_experiment(
    template: Path, tmp_path: Path
) -> None:
    root = Folder(template, tmp_path, False).root
    (path,) = (root / "experiments").glob("*.json")
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"cells": facts["cells"] * 3}))
    path.with_name("another.json").write_text(json.dumps(facts))
    (found,) = experiments(Store(root))
    assert len(found.records) == 6
    assert len(found.networks()[16]) == 2
