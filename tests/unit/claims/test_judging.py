"""Claims judged by results: in the terminal and on the page, and those that fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness import Evidence, Finding, Judgement, NotEnoughError, Registry, claim, load
from harness.claims import (
    judge_claims,
    listed_claims,
)
from harness.results import Results

NOWHERE = Results(())


def test_a_claim_that_raises_costs_only_itself() -> None:
    @claim("broken", version="1", statement="s", source="here", experiments=["x"])
    def broken(evidence: Evidence) -> Judgement:
        raise KeyError("oops")

    @claim("sound", version="1", statement="s", source="here", experiments=["x"])
    def sound(evidence: Evidence) -> Judgement:
        return Judgement([Finding(what="one", value=1.0, at_least=0.0)])

    parts = [vars(each)["__limitbench_component__"] for each in (broken, sound)]
    first, second = judge_claims(parts, NOWHERE, Registry())
    assert (first.verdict, first.reason) == ("undecided", "the claim failed: KeyError: 'oops'")
    assert "oops" in first.failure
    assert second.verdict == "reproduced"


def test_a_claim_that_returns_something_else_is_told_so() -> None:
    @claim("odd", version="1", statement="s", source="here", experiments=["x"])
    def odd(evidence: Evidence) -> Judgement:
        return True  # type: ignore[return-value]

    (found,) = judge_claims([vars(odd)["__limitbench_component__"]], NOWHERE, Registry())
    assert found.reason == "the claim failed: TypeError: it returned a bool, not a Judgement"


def test_evidence_names_what_is_missing() -> None:
    with pytest.raises(NotEnoughError, match="no finished cell of the experiment linear-limited"):
        Evidence(NOWHERE, Registry()).final("linear-limited")


SUITE = """
[suite]
name = "paper-linear-tiny"
widths = [8]
seeds = 1

"""
EXPERIMENT = """
[[experiment]]
name = "linear-population"
architecture = { name = "mlp", depth = 1, activation = "linear" }
theories = ["linear-transfer"]
data_seeds = 3
widths = []
[experiment.task]
name = "linear-transfer"
dimension = 20
source_points = 40
target_points = 8
test_points = 20
alignment = 0.5
[experiment.regime]
name = "fine-tune"
source_richness = 2.0
source_steps = 400
source_dt = 1e-3
target_steps = 400
target_dt = 1e-2
[experiment.sweep]
"task.alignment" = [0.0, 0.5, 1.0]
"""
CONTROL = EXPERIMENT.replace("population", "population-control").replace("= 400", "= 0", 1)
"""The same without a source stage: its steps come first."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a suite with which one claim of the paper can be judged."""
    place = tmp_path_factory.mktemp("claims")
    (place / "tiny.toml").write_text(SUITE + EXPERIMENT + CONTROL)
    ran = run("run", place / "tiny.toml", "--results", place / "out", "--workers", "1")
    assert ran.returncode == 0, ran.stderr
    return place / "out"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    limitbench = Path(sys.executable).with_name("limitbench")
    return subprocess.run([limitbench, *arguments], capture_output=True, text=True, check=False)


def test_a_claim_is_judged_by_what_was_run(folder: Path) -> None:
    registry = Registry.load()
    results = load(folder)
    claims = listed_claims(registry, results.cells["experiment"].unique())
    assert [c.name for c in claims] == ["population-source"]
    (found,) = judge_claims(claims, results, registry)
    assert found.judgement is not None, found.reason + found.failure
    by_name = {each.what: each for each in found.judgement.findings}
    # gradient flow of infinite width gives a pure boost, so the spike is exact but for dt
    spike = by_name["spike of the kernel / chi - 1"]
    assert spike.value == pytest.approx(0.0, abs=0.02)
    falling = by_name["loss at the highest alignment less that at the middle"]
    assert falling.value < 0


def test_the_command_line_and_the_report_say_the_same_of_a_claim(folder: Path) -> None:
    (row,) = json.loads(run("claims", folder, "--json").stdout)
    assert row["claim"] == "population-source"
    shown = run("claims", folder).stdout
    assert shown.startswith(f"population-source  {row['verdict']}\n")
    assert all(" ".join(f["what"].split()[:3]) in " ".join(shown.split()) for f in row["findings"])
    page = (folder / "report.html").read_text()
    assert '<h2 id="claims">' in page
    assert f"{row['findings'][0]['value']:.3g}" in page
    assert "claim-population-source-figure" in page
    table = run("claims", folder, "--markdown").stdout
    assert f"| population-source | **{row['verdict']}** |" in table


def test_claims_are_listed_without_results() -> None:
    done = run("claims")
    assert done.returncode == 0
    assert done.stdout.startswith("two-layer-dynamics\n")
    assert len(json.loads(run("claims", "--json").stdout)) == len(listed_claims(Registry.load()))


def test_a_suite_without_results_says_how_to_make_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("claims", "paper-bayes")
    assert done.returncode == 0
    assert done.stdout.startswith("bayesian-transfer\n")
    assert "`limitbench run paper-bayes` makes them" in done.stderr


def test_an_unknown_suite_or_folder_is_refused(tmp_path: Path) -> None:
    done = run("claims", "paper-linaer")
    assert done.returncode == 2
    assert "did you mean 'paper-linear'?" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    (tmp_path / "empty").mkdir()
    done = run("claims", tmp_path / "empty")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
