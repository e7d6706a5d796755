"""Progress says what became of each job, not merely that it has ended."""

from __future__ import annotations

from typing import Any

import pytest

from harness import Work
from harness.execution.calls import CellReport, Piloted
from harness.execution.outcomes import outcome_in_words
from harness.progress import Lines

DONE = CellReport("a", "done")
OUTSIDE = CellReport("b", "not-applicable", "describes one hidden layer, not 2")
WORK = Work(flops=1.0, elements=1.0, calls=1.0)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Piloted((0.1,), (WORK,)), "cost estimated"),
        (Piloted((0.1,), (WORK, None)), "cost estimated"),
        (Piloted((0.1,), (None,)), "cost unknown"),
        (Piloted((0.05, 0.1), (WORK,), trained=True), "found dt = 0.05, 0.1, cost estimated"),
        (Piloted((0.05,), (None,), trained=True), "found dt = 0.05"),
        ([DONE, DONE], "done"),
        ([OUTSIDE], "does not apply: describes one hidden layer, not 2"),
        ([DONE, OUTSIDE], "done"),
        ([], "found, as another run has computed it"),
    ],
)
def test_progress_says_what_became_of_a_call(value: Any, said: str) -> None:
    assert outcome_in_words(value) == said


def test_a_log_has_what_became_of_each_job(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines() as lines:
        lines.begin(["a · plan", "a · mean-field", "a · width 8 × 2 seeds"])
        lines.finish(0, "", "cost estimated")
        lines.finish(1, "", "does not apply: describes one hidden layer, not 2")
        lines.finish(2, "its worker died", "failed")
    said = [line.partition("] ")[2] for line in capsys.readouterr().err.splitlines()]
    assert said == [
        "a · plan: cost estimated",
        "a · mean-field: does not apply: describes one hidden layer, not 2",
        "a · width 8 × 2 seeds: FAILED: its worker died",
    ]
