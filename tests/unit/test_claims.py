"""Claims: numbers against ranges, verdicts on them, and what a claim that fails costs."""

from __future__ import annotations

import fnmatch
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness import Condition, Evidence, Finding, Judgement, NotEnoughError, Registry, claim, load
from harness.claims import (
    TOLERANCE,
    averaged,
    curve_distances,
    gains_by,
    judge_claims,
    listed_claims,
    paired,
    ratio_of_means,
)
from harness.claims.judgement import combined, jointly
from harness.results import Results
from harness.scoring import statistics
from harness.suites import bundled_suites, load_suite

NOWHERE = Results(())


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(1.0, "reproduced"), (0.1, "undecided"), (-0.1, "undecided"), (-1.0, "not reproduced")],
)
def test_a_finding_is_decided_by_its_whole_interval(value: float, verdict: str) -> None:
    assert Finding(what="gain", value=value, stderr=0.1, at_least=0.0).verdict() == verdict


def test_a_range_may_have_two_ends() -> None:
    inside = Finding(what="share", value=0.0, stderr=0.01, at_least=-0.05, at_most=0.05)
    assert inside.interval() == pytest.approx((-0.0196, 0.0196), abs=1e-4)
    assert inside.verdict() == "reproduced"
    above = Finding(what="share", value=0.1, stderr=0.01, at_least=-0.05, at_most=0.05)
    assert above.verdict() == "not reproduced"


def test_the_same_means_in_claims_what_it_means_in_leaderboards() -> None:
    assert TOLERANCE == statistics.TOLERANCE


def test_few_draws_widen_the_interval() -> None:
    found = Finding.mean("gain", [1.0, 2.0, 3.0])
    # standard deviation 1 over sqrt(3) draws, and 4.303, Student's quantile of two degrees
    assert (found.value, found.freedom) == (2.0, 2)
    assert found.stderr == pytest.approx(3**-0.5)
    assert found.interval()[1] == pytest.approx(2 + 4.303 / math.sqrt(3), abs=1e-3)


def test_one_draw_has_no_error() -> None:
    with pytest.raises(NotEnoughError, match="gain: 1 draws, and at least 2 are needed"):
        Finding.mean("gain", [1.0])


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no measured number"):
        Finding(what="gain", value=math.nan)


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (0.05, "reproduced"),  # above the bound, and beyond the smallest effect
        (0.015, "undecided"),  # 0 and effects that count are both possible
        (-0.005, "not reproduced"),  # a true 0, and the interval ends below the smallest effect
        (-0.05, "not reproduced"),
    ],
)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_effect_below_the_smallest_that_counts_is_not_there(
    value: float, verdict: str, sign: float
) -> None:
    """Intervals reach 0.0196 to either side; mirrored, a claim that something falls."""
    least, most = (0.0, math.inf) if sign > 0 else (-math.inf, 0.0)
    found = Finding(
        what="gain",
        value=sign * value,
        stderr=0.01,
        smallest=0.02,
        at_least=least,
        at_most=most,
    )
    assert found.verdict() == verdict


def test_a_known_effect_that_is_too_small_does_not_count() -> None:
    sure = Finding(what="gain", value=0.005, stderr=1e-4, at_least=0.0)
    assert sure.verdict() == "reproduced"
    small = Finding(what="gain", value=0.005, stderr=1e-4, at_least=0.0, smallest=0.01)
    assert small.verdict() == "not reproduced"


@pytest.mark.parametrize("truth", [-0.01, 0.0, 0.004, 0.02])
def test_planned_draws_decide_whatever_the_truth_is(truth: float) -> None:
    """The number comes from a pilot's spread; at twice that many nearly every run is decided."""
    rng = np.random.default_rng(0)
    pilot = Finding.mean("gain", rng.normal(0.0, 0.03, 200), at_least=0.0, smallest=0.01)
    planned = pilot.draws_to_plan()
    # half an interval of 1.98 * 0.03 / sqrt(n) is half of the smallest effect
    assert planned == pytest.approx((1.98 * 0.03 / 0.005) ** 2, rel=0.15)
    assert planned is not None
    verdicts = [
        Finding.mean("gain", rng.normal(truth, 0.03, 2 * planned), 0.0, smallest=0.01).verdict()
        for _ in range(50)
    ]
    assert verdicts.count("undecided") <= 2
    if truth >= 0.01:
        assert verdicts.count("reproduced") >= 47
    if truth <= 0:
        assert "reproduced" not in verdicts


def test_an_open_mean_says_how_many_draws_decide_it() -> None:
    rng = np.random.default_rng(1)
    drawn = rng.normal(0.0, 1.0, 10)
    values = 0.6 + (drawn - drawn.mean()) / drawn.std(ddof=1)  # mean 0.6, deviation 1
    found = Finding.mean("gain", values, at_least=0.0)
    assert found.verdict() == "undecided"
    needed = found.draws_to_decide()
    assert needed is not None and 10 < needed < 20
    again = Finding(what="gain", value=0.6, stderr=needed**-0.5, freedom=needed - 1, at_least=0.0)
    assert again.verdict() == "reproduced"
    fewer = Finding(
        what="gain", value=0.6, stderr=(needed - 1) ** -0.5, freedom=needed - 2, at_least=0.0
    )
    assert fewer.verdict() == "undecided"
    row = jointly([found])[0].as_row()
    assert (row["draws"], row["draws_to_decide"], row["smallest"]) == (10, needed, 0.0)


def test_the_jackknife_of_a_mean_is_the_mean_with_its_error() -> None:
    values = np.random.default_rng(2).normal(size=7)
    left_out = [np.delete(values, at).mean() for at in range(7)]
    found = Finding.jackknife("gain", float(values.mean()), left_out, at_least=0.0)
    plain = Finding.mean("gain", values, at_least=0.0)
    assert found.interval() == pytest.approx(plain.interval())
    assert (found.draws, found.at_least) == (7, 0.0)


def test_curves_are_compared_over_all_steps_of_a_draw() -> None:
    index = pd.MultiIndex.from_product([[0, 1], [0, 5]], names=["data_seed", "step"])
    curve, other = (pd.Series(v, index) for v in ([3.0, 8.0, 1.0, 1.0], [3.0, 4.0, 1.0, 1.0]))
    assert curve_distances(curve, other).tolist() == [4 / 5, 0.0]


def test_numbers_without_draws_need_no_more_of_them() -> None:
    found = Finding(what="gap", value=0.04, known=(0.0, 0.06), at_most=0.05)
    assert (found.draws, found.draws_to_decide(), found.draws_to_plan()) == (None, None, None)


def test_known_intervals_are_widened_as_others_are() -> None:
    """Of ten findings each misses with a chance of 0.5 %: 2.81 instead of 1.96 deviations."""
    found = Finding(what="gap", value=0.02, known=(0.01, 0.04), lowest=0.0, at_most=0.05)
    assert found.interval() == pytest.approx((0.01, 0.04))
    low, high = found.interval(0.05 / 10)
    assert (low, high) == pytest.approx((0.02 - 0.01 * 1.432, 0.02 + 0.02 * 1.432), abs=1e-4)
    assert found.interval(1e-6)[0] == 0.0, "a distance is not negative"


def test_a_smallest_effect_is_a_size() -> None:
    with pytest.raises(ValueError, match=r"gain: smallest effect -1\.0 is no size"):
        Finding(what="gain", value=0.0, smallest=-1.0)


def test_a_claim_needs_all_of_its_findings() -> None:
    good = Finding(what="a", value=1.0, stderr=0.1, at_least=0.0)
    open_ = Finding(what="b", value=0.0, stderr=0.1, at_least=0.0)
    bad = Finding(what="c", value=-1.0, stderr=0.1, at_least=0.0)
    assert combined([good, good]) == "reproduced"
    assert combined([good, open_]) == "undecided"
    assert combined([good, open_, bad]) == "not reproduced"
    assert combined([]) == "undecided"


def test_many_findings_widen_their_intervals() -> None:
    """At 2.1 standard errors one finding refutes; of twenty, one so far off is expected."""
    off = Finding(what="a", value=-0.21, stderr=0.1, at_least=0.0)
    fine = Finding(what="b", value=1.0, stderr=0.1, at_least=0.0)
    assert combined([off]) == "not reproduced"
    assert combined([off, *[fine] * 19]) == "undecided"


def test_true_claims_are_rarely_refuted() -> None:
    """Five true findings on their very edge: refuted together in at most 5 % of cases."""
    rng, runs = np.random.default_rng(0), 2000
    refuted = sum(
        combined([Finding.mean("x", rng.standard_normal(6), at_least=0.0) for _ in range(5)])
        == "not reproduced"
        for _ in range(runs)
    )
    assert refuted / runs < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_other_conditions_do_not_decide() -> None:
    good = Finding(what="a", value=1.0, at_least=0.0)
    bad = Finding(what="b", value=-1.0, at_least=0.0)
    found = Judgement([good], "fine", [Condition("other", [bad])])
    assert (found.verdict, found.conditions[0].verdict) == ("reproduced", "not reproduced")


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


def test_the_claims_of_the_first_paper_are_there_in_order() -> None:
    claims = [c for c in listed_claims(Registry.load()) if "2507.04448" in c.citation]
    assert [c.order for c in claims] == list(range(1, 20))


def test_claims_are_found_by_the_experiments_that_they_need() -> None:
    names = ["linear-rank-one[task.target_points=40,task.data_seed=0]"]
    assert [c.name for c in listed_claims(Registry.load(), names)] == [
        "negative-transfer",
        "rank-one-limit",
    ]


def test_every_experiment_that_a_claim_needs_is_in_a_bundled_suite() -> None:
    registry = Registry.load()
    for size in ("", "-smoke", "-full"):
        bases = {
            e.name.partition("[")[0]
            for name in bundled_suites()
            if name.startswith("paper-")
            and name.count("-") == 1 + bool(size)
            and name.endswith(size)
            for e in load_suite(name, registry).experiments
        }
        for component in listed_claims(registry):
            if "2507.04448" not in component.citation:
                continue
            for pattern in component.experiments:
                assert fnmatch.filter(bases, pattern), (component.name, pattern, size)


def test_the_rivals_have_a_suite_with_the_experiments_of_their_claims() -> None:
    registry = Registry.load()
    bases = {e.name.partition("[")[0] for e in load_suite("rivals", registry).experiments}
    claims = [c for c in listed_claims(registry) if "2502.03210" in c.citation]
    assert [c.name for c in claims] == [
        "rescaling-same-output",
        "kernels-tell-apart",
        "outputs-tell-apart",
    ]
    assert {e for c in claims for e in c.experiments} == bases


@pytest.mark.parametrize(
    ("paper", "suite", "orders"),
    [
        ("2502.07998", "adaptive-kernels", range(31, 35)),
        ("2309.16620", "depth-transfer", range(41, 45)),
        ("1411.1792", "which-layers", range(51, 55)),
        ("2205.09653", "kernel-evolution", range(61, 65)),
    ],
)
@pytest.mark.parametrize("size", ["", "-smoke"])
def test_neighbouring_papers_have_a_suite_with_the_experiments_of_their_claims(
    paper: str, suite: str, orders: range, size: str
) -> None:
    registry = Registry.load()
    bases = {e.name.partition("[")[0] for e in load_suite(suite + size, registry).experiments}
    claims = [c for c in listed_claims(registry) if paper in c.citation]
    assert [c.order for c in claims] == list(orders)
    patterns = {pattern for c in claims for pattern in c.experiments}
    assert [p for p in patterns if not fnmatch.filter(bases, p)] == []
    assert [b for b in bases if not any(fnmatch.fnmatch(b, p) for p in patterns)] == []
    # nor does any claim of another paper look at them
    others = [c.name for c in listed_claims(registry, bases) if paper not in c.citation]
    assert others == []


@pytest.mark.parametrize("suite", ["phase", "questions"])
@pytest.mark.parametrize("size", ["", "-smoke"])
def test_questions_find_their_experiments_in_a_suite_of_either_size(suite: str, size: str) -> None:
    registry = Registry.load()
    experiments = load_suite(f"{suite}{size}", registry).experiments
    bases = {e.name.partition("[")[0] for e in experiments}
    asked = [c for c in listed_claims(registry, bases) if "question" in c.tags]
    assert {e for c in asked for e in c.experiments} == bases


def test_a_ratio_of_means_has_the_error_of_its_draws() -> None:
    value, other = np.array([1.0, 2.0, 6.0]), np.array([2.0, 4.0, 6.0])
    found = ratio_of_means(value, other)
    assert found.mean() == pytest.approx(9 / 12)
    assert ratio_of_means(other, other).tolist() == [1.0, 1.0, 1.0]


def test_gains_at_the_points_of_a_sweep_keep_their_rows() -> None:
    joined = pd.DataFrame(
        {"gamma": [2, 1, 2, 1], "value": [1.0, 3.0, 2.0, 5.0], "other": [4.0, 4.0, 2.0, 4.0]}
    )
    found = joined.assign(gain=gains_by(joined, ["gamma"]))
    assert found[found["gamma"] == 1]["gain"].mean() == pytest.approx(1 - 4 / 4)
    assert found[found["gamma"] == 2]["gain"].mean() == pytest.approx(1 - 1.5 / 3)
    expected = 1 - ratio_of_means([1.0, 2.0], [4.0, 2.0])
    np.testing.assert_allclose(found.loc[[0, 2], "gain"], expected)


def test_pairs_share_the_draw() -> None:
    frame = pd.DataFrame({"data_seed": [0, 0, 1, 2], "value": [1.0, 3.0, 5.0, 7.0]})
    other = pd.DataFrame({"data_seed": [0, 1], "value": [10.0, 20.0]})
    found = paired(frame, other, ["data_seed"])
    assert found[["value", "other"]].values.tolist() == [[2.0, 10.0], [5.0, 20.0]]
    assert averaged(frame, "data_seed")["value"].tolist() == [2.0, 5.0, 7.0]
    with pytest.raises(NotEnoughError, match="no draw of the data in common"):
        paired(frame, other.assign(data_seed=[8, 9]), ["data_seed"])


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
