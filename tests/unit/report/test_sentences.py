"""Sentences, numbers and suite files of a report say what was run and what was found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_results import Results, score_row

from harness.execution.jobs import cell_facts
from harness.records.cell import CellFacts
from harness.registry import Registry
from harness.report import facts, measures, sentences
from harness.scoring import score_results
from harness.store import CellRecord, ExperimentResults, Store, experiments
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
        path.write_text(facts.as_toml(shown), encoding="utf-8")
        again = load_suite(path, registry)
        assert again.experiments == (experiment,)
        keys = [c.key for c in cells_of(experiment, again, Resolved("data", (0.1, 0.2)))]
        assert keys == [c.key for c in cells]
    assert not store.root.exists()


ROW = score_row(
    {64: 0.2, 256: 0.1}, exponent=0.5, exponent_ci=(0.4, 0.6), width_at_5_percent=1024.0
)


def test_words_say_what_would_decide_and_what_was_left_out() -> None:
    before = " ".join(sentences.verdict_sentences(ROW))
    assert "More seeds or wider networks would decide." in before
    assert "a width of about 1,024." in before
    more = replace(
        ROW,
        advice="about 30 seeds would decide",
        dropped_widths=[16, 32],
        width_at_5_percent_kind="extrapolated",
    )
    after = " ".join(sentences.verdict_sentences(more))
    assert "About 30 seeds would decide." in after
    assert "widths 16 and 32" in after
    assert "a width of about 1,024 (extrapolated)." in after


def test_cost_of_a_theory_stands_beside_that_of_networks_as_near(results: Results) -> None:
    results.add("one", {"good": 0.0})
    rows = score_results([results.store])
    found = experiments(results.store)
    (tally,) = sentences.tallies(rows, found)
    assert (tally.mean_rank, tally.seconds) == (1.0, 1.5)
    known = [replace(row, network_seconds_same_error=600.0) for row in rows]
    (tally,) = sentences.tallies(known, found)
    assert tally.network_seconds == 600.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.123, "0.12 s"), (89, "89 s"), (120, "2 min"), (9000, "2.5 h")]
)
def test_times_have_the_unit_that_suits(seconds: float, text: str) -> None:
    assert sentences.duration(seconds) == text.replace(" ", "\u00a0")


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0"),
        (1e-6, "below 0.01"),
        (0.0088, "0.88"),
        (0.05, "5"),
        (0.1143, "11.4"),
        (1.084, "108"),
    ],
)
def test_percentages_have_the_digits_that_matter(share: float, text: str) -> None:
    assert sentences.percent(share) == f"{text}\u00a0%"


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.25342, 0.0021, "0.2534 ± 0.0021"),
        (-0.5, 0.12, "\u22120.50 ± 0.12"),
        (1234.4, 56.0, "1234 ± 56"),
        (0.25, 0.0, "0.25"),
        (0.1, 1e-17, "0.1"),
        (0.25, float("nan"), "0.25"),
        (float("nan"), 0.1, "–"),
    ],
)
def test_numbers_have_two_digits_of_their_error(value: float, error: float, text: str) -> None:
    assert measures.measured(value, error)[0] == text.replace(" ", "\u00a0")
