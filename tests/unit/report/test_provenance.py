"""A suite file on the page names the cells of its experiment again."""

from __future__ import annotations

from pathlib import Path

from harness.execution.jobs import cell_facts
from harness.records.cell import CellFacts
from harness.registry import Registry
from harness.report.sections.provenance import as_toml
from harness.store import CellRecord, ExperimentResults, Store
from harness.suites import Resolved, cells_of, load_suite

SWEPT = """
[suite]
name = "swept \\"twice\\""
widths = [16, 32]
seeds = [3, 5]
dtype = "float64"

[[experiment]]
name = "digits"
theories = [{ name = "mean-field", samples = 512 }, "lazy-ntk"]

[experiment.task]
name = "image-pairs"
dataset = "digits"
source_classes = [0, 1]
target_classes = [0, 9]
source_points = 10
target_points = 8
test_points = 10

[experiment.architecture]
name = "mlp"
depth = 1
activation = "relu"

[experiment.regime]
name = "jointly-rich"
source_richness = 1.0
source_steps = 10
target_steps = 10

[experiment.sweep]
"regime.target_richness" = [0.25, 1.0]
"task.data_seed" = [0, 7]
"""


def test_suite_file_of_an_experiment_names_its_cells_again(tmp_path: Path) -> None:
    registry = Registry.load()
    path = tmp_path / "swept.toml"
    path.write_text(SWEPT, encoding="utf-8")
    suite = load_suite(path, registry)
    store, done = Store(tmp_path / "results"), {"status": "done"}
    for experiment in suite.experiments:
        cells = cells_of(experiment, suite, Resolved("data", (0.1, 0.2)))
        records = [
            CellRecord(c.key, tmp_path, CellFacts.model_validate(cell_facts(c, "", 0.0) | done))
            for c in cells
        ]
        shown = ExperimentResults(experiment.name, suite.name, records)
        path.write_text(as_toml(shown), encoding="utf-8")
        again = load_suite(path, registry)
        assert again.experiments == (experiment,)
        keys = [c.key for c in cells_of(experiment, again, Resolved("data", (0.1, 0.2)))]
        assert keys == [c.key for c in cells]
    assert not store.root.exists()
