"""Claims on the page: marks that make their verdict, conclusions, and figures with legends."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from harness.claims import Condition, Finding, JudgedClaim, Judgement
from harness.registry import Component
from harness.registry.component import Params
from harness.report.figures.claims import claim_figure
from harness.report.figures.style import styled
from harness.report.sections.claims import finding_lines

YES = Finding(what="gain", value=1.0, stderr=0.1, at_least=0.0)
NO = Finding(what="gain", value=-1.0, stderr=0.1, at_least=0.0)
OPEN = Finding(what="gain", value=0.0, stderr=0.1, at_least=0.0)
NOTE = "It holds at any richness."


@pytest.mark.parametrize(
    ("findings", "said"),
    [
        ([YES], NOTE),
        ([NO], NOTE),
        ([YES, NO, OPEN], NOTE),
        ([OPEN], "Not decided by these results: 0 of 1 findings hold, and none is refuted;"),
        ([YES, OPEN], "Not decided by these results: 1 of 2 findings holds, and none is refuted;"),
        ([OPEN, OPEN], "Not decided by these results: 0 of 2 findings hold, and none is refuted;"),
    ],
)
def test_a_claim_that_is_undecided_concludes_nothing(findings: list[Finding], said: str) -> None:
    component = Component(
        kind="claim", name="c", version="1", params=Params, make=lambda _: None, statement="s"
    )
    judged = JudgedClaim(component, Judgement(findings, NOTE))
    assert judged.conclusion.startswith(said)
    assert judged.as_row()["conclusion"] == judged.conclusion
    if judged.verdict == "undecided":
        assert judged.conclusion.endswith(f"Noted with it, for where it is decided: {NOTE}")


def test_the_marks_of_numbers_make_the_verdict_of_their_claim() -> None:
    nearly = Finding(what="gain", value=-0.22, stderr=0.1, at_least=0.0)
    assert nearly.verdict() == "not reproduced", "alone"
    assert Judgement([nearly, YES, YES]).verdict == "undecided", "one of three may miss"
    assert [line.mark for line in finding_lines([nearly, YES, YES])] == ["?", "✓", "✓"]
    assert finding_lines([]) == []


def test_json_gives_the_numbers_of_the_page() -> None:
    nearly = Finding(what="gain", value=-0.22, stderr=0.1, at_least=0.0)
    component = Component(
        kind="claim", name="c", version="1", params=Params, make=lambda _: None, statement="s"
    )
    judgement = Judgement([nearly, YES, YES], NOTE, [Condition("deep", [nearly, YES])])
    row = JudgedClaim(component, judgement).as_row()
    groups = [
        (row["findings"], judgement.findings),
        (row["conditions"][0]["findings"], judgement.conditions[0].findings),
    ]
    for rows, findings in groups:
        shown = finding_lines(findings)
        assert [each["verdict"] for each in rows] == [line.verdict for line in shown]
        spans = ["{:.3g} to {:.3g}".format(*each["interval"]) for each in rows]
        assert spans == [line.interval for line in shown]
    assert [each["verdict"] for each in row["findings"]] == [
        "undecided",
        "reproduced",
        "reproduced",
    ]


def test_a_claim_without_results_says_what_is_missing() -> None:
    component = Component(
        kind="claim", name="c", version="1", params=Params, make=lambda _: None, statement="s"
    )
    assert JudgedClaim(component, reason="not enough results: none").conclusion == (
        "not enough results: none"
    )


def labels(axis: Any) -> list[str]:
    """Return the texts of the ticks that are in view."""
    low, high = sorted(axis.get_view_interval())
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    return [
        tick.label1.get_text()
        for tick in ticks
        if low <= tick.get_loc() <= high and tick.label1.get_text()
    ]


def draw_ticks(ax: Axes) -> None:
    """Lay out the figure, which gives ticks their texts whatever the canvas."""
    assert isinstance(ax.figure, Figure)
    ax.figure.draw_without_rendering()


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.3, 0.8, ["0.3", "0.4", "0.5", "0.7"]),
        (20, 60, ["20", "50"]),
        (1, 4, ["1", "2"]),
        (3.1, 3.4, ["3.1", "3.2", "3.3", "3.4"]),
    ],
)
def test_a_logarithmic_axis_of_less_than_a_decade_has_ticks(
    low: float, high: float, expected: list[str]
) -> None:
    def draw(ax: Any) -> None:
        ax.plot([low, high], [low, high], label="a line")
        ax.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))

    with styled():
        ax = claim_figure(draw)
        draw_ticks(ax)
        assert labels(ax.xaxis) == labels(ax.yaxis) == expected


def test_ticks_that_are_set_stay_and_decades_are_left_alone() -> None:
    def draw(ax: Any) -> None:
        ax.plot([1, 1000], [16, 64])
        ax.set(xscale="log", yscale="log")
        ax.set_yticks([16, 32, 64], ["16", "32", "64"])

    with styled():
        ax = claim_figure(draw)
        draw_ticks(ax)
        assert labels(ax.yaxis) == ["16", "32", "64"]
        assert len(labels(ax.xaxis)) >= 4


def test_a_claims_lines_are_named_under_its_figure() -> None:
    def draw(ax: Any) -> None:
        ax.plot([1, 2], [1, 2], label="theory")
        ax.plot([1, 2], [2, 1], label="networks")

    with styled():
        ax = claim_figure(draw)
    (legend,) = [artist for artist in ax.get_children() if isinstance(artist, Legend)]
    assert [text.get_text() for text in legend.get_texts()] == ["theory", "networks"]
