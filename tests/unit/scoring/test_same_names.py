"""A name is no identity: problems of one name are told apart wherever experiments are shown."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from made_results import Results
from report_pages import Elements, page_of

from harness import load
from harness.cli.compare_ import command as compare
from harness.cli.export_ import command as export
from harness.cli.leaderboard_ import command as leaderboard
from harness.scoring import rank_theories, score_folders
from harness.site import write_site

MARKS = ("regime.parameters.decay=0.0", "regime.parameters.decay=0.5")
NAMES = [f"one ({mark})" for mark in MARKS]


def add(results: Results, decay: float, **changes: float | str) -> None:
    """Add the experiment "one", whose problem depends on the decay."""
    theories: dict[str, float | str] = {"good": 0.0, "bad": 0.5, **changes}
    results.add("one", theories, regime={"decay": decay}, data_seed=0, suite=f"decay {decay}")


@pytest.fixture
def apart(tmp_path: Path) -> list[Path]:
    """Return two folders with a problem of the same name in each."""
    made = [Results(tmp_path / name) for name in "ab"]
    add(made[0], 0.0)
    add(made[1], 0.5, failing="broke")
    return [each.store.root for each in made]


@pytest.fixture
def together(tmp_path: Path) -> Results:
    """Return one folder with two problems of the same name."""
    made = Results(tmp_path / "both")
    add(made, 0.0)
    add(made, 0.5, failing="broke")
    return made


def test_the_ranking_counts_problems(apart: list[Path]) -> None:
    found = rank_theories(score_folders([load(folder)._stores()[0] for folder in apart]))
    assert found.experiments == NAMES
    assert [(s.domain, s.experiments) for s in found.standings if s.rank] == [(2, 2), (2, 2)]
    assert [cell["experiment"] for cell in found.standings[0].cells] == NAMES
    said = CliRunner().invoke(leaderboard, [*map(str, apart), "--ranking"])
    assert "2 experiments" in said.stdout and "2 of 2" in said.stdout
    assert f"{NAMES[1]}: failing: failed: broke" in said.stderr


def test_a_report_has_a_section_for_each_problem(together: Results) -> None:
    found = Elements(page_of(together, figures=0))
    headings = [tag["id"] for kind, tag in found.tags if kind == "h2" and "id" in tag]
    assert sum(each.startswith("experiment-") for each in headings) == 2
    rows = [tag["id"] for kind, tag in found.tags if kind == "tr" and "id" in tag]
    assert len(rows) == len(set(rows)) == 4, "a row has a place of its own"
    assert all(found.text.count(name) >= 3 for name in NAMES), "rows and headings"
    assert "No score" not in found.text
    text = " ".join(found.text.split())
    assert "good describes wide networks in 2 of 2 experiments" in text
    assert Elements(page_of(together, figures=0, only="one")).text.count(NAMES[0]) >= 3


def test_a_site_has_a_page_for_each_problem(apart: list[Path], tmp_path: Path) -> None:
    site = write_site(apart, tmp_path / "site").parent
    assert len(list((site / "experiment").iterdir())) == 2
    front = Elements((site / "index.html").read_text()).text
    assert "over 2 experiments" in front and all(name in front for name in NAMES)
    for page, name in zip(sorted((site / "experiment").iterdir()), NAMES, strict=True):
        text = " ".join(Elements(page.read_text()).text.split())
        assert name in text and "12 networks" in text, "its own networks alone"
    rows = json.loads((site / "data/leaderboard.json").read_text())
    assert {row["experiment"] for row in rows} == set(NAMES)


def test_an_export_has_no_two_rows_with_the_same_identity(together: Results) -> None:
    said = CliRunner().invoke(export, [str(together.store.root), "--format", "csv"])
    rows = list(csv.DictReader(io.StringIO(said.stdout)))
    assert {row["experiment"] for row in rows} == set(NAMES)
    facts = ("experiment", "solver", "width", "seed", "stage", "observable", "step", "index")
    assert len({tuple(row[fact] for fact in facts) for row in rows}) == len(rows)


def test_names_that_are_distinct_are_not_marked(apart: list[Path]) -> None:
    said = CliRunner().invoke(export, [str(apart[0])])
    assert {row["experiment"] for row in json.loads(said.stdout)} == {"one"}


def test_versions_of_a_theory_are_told_apart(tmp_path: Path) -> None:
    for version in ("1", "2"):
        made = Results(tmp_path / "both", version=version)
        made.add("one", {"good": 0.0}, data_seed=0, suite=f"version {version}")
    said = CliRunner().invoke(export, [str(tmp_path / "both"), "--format", "csv"])
    solvers = {row["solver"] for row in csv.DictReader(io.StringIO(said.stdout))}
    assert solvers == {"network", "good (theory.version=1)", "good (theory.version=2)"}
    text = Elements(page_of(made, figures=0)).text
    assert "good (theory.version=1)" in text and "good (theory.version=2)" in text


def test_a_notebook_tells_problems_apart(apart: list[Path]) -> None:
    found = load(*apart)
    assert all(name in found._repr_html_() for name in NAMES)
    frame = found.discrepancies
    assert not frame.duplicated(["experiment", "theory", "observable", "apart", "width"]).any()


def test_a_comparison_finds_the_same_problem_under_a_marked_name(
    apart: list[Path], together: Results
) -> None:
    said = CliRunner().invoke(compare, [str(apart[0]), str(together.store.root)]).stdout
    lines = said.splitlines()
    assert sum("within the intervals" in line for line in lines) == 2
    assert sum("only in" in line for line in lines) == 2
