"""The suite `smoke`, run once and read in every way, and plans of what is still to run."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import COMMAND, TINY, Done, Run, facts, one_line, suite_file

from harness.store import COLUMNS


@pytest.fixture(scope="module")
def smoke_run(limitbench: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """The bundled suite `smoke`, run once for all tests, which leave its folder as it is."""
    folder = tmp_path_factory.mktemp("smoke") / "results"
    return folder, limitbench("run", "smoke", "--results", folder)


@pytest.fixture(scope="module")
def smoke(smoke_run: tuple[Path, Done]) -> Path:
    folder, done = smoke_run
    assert done.returncode == 0, done.stderr
    return folder


# ---------------------------------------------------------------- one run, read in every way


def test_a_run_prints_the_leaderboard_and_writes_the_report(
    smoke_run: tuple[Path, Done],
) -> None:
    folder, done = smoke_run
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].strip() == "Leaderboard: output/test"
    rows = [line.split() for line in lines[2:-1]]
    assert [row[:2] for row in rows] == [["1", "digits"], ["2", "digits"]]
    assert {row[2] for row in rows} == {"mean-field", "lazy-ntk"}
    assert lines[-1] == f"report: {folder / 'report.html'}"
    assert "\x1b" not in done.stdout + done.stderr, "no colours in a pipe"
    spent, counted = done.stderr.splitlines()[-2:]
    assert counted == "6 cells computed, 0 found, 0 failed"
    assert re.fullmatch(
        r"\d+ \w+ of compiling \(\d+ programs; \d+ were kept\), \d+ \w+ of computing", spent
    )
    assert (folder / "scores.parquet").is_file()
    page = (folder / "report.html").read_text()
    assert "digits" in page
    assert not re.search(r"""(src|href)=["']?https?://[^"']+\.(js|css|png|woff2?)""", page)


def test_a_second_run_computes_nothing(limitbench: Run, smoke: Path) -> None:
    def written() -> dict[Path, int]:
        return {p: p.stat().st_mtime_ns for p in smoke.glob("cells/*/*")}

    before = written()
    done = limitbench("run", "smoke", "--results", smoke, "--json")
    assert done.returncode == 0
    assert done.stderr.splitlines()[0] == "0 cells computed, 6 found, 0 failed"
    assert written() == before
    rows = json.loads(done.stdout)
    assert [r["rank"] for r in rows] == [1, 2]


def test_a_run_says_which_theories_do_not_apply(limitbench: Run, tmp_path: Path) -> None:
    path = suite_file(tmp_path, ("depth = 1", "depth = 2"), ("lazy-ntk", "linear-transfer"))
    done = limitbench("run", path, "--results", tmp_path / "results")
    assert done.returncode == 0
    assert "lines: linear-transfer: not applicable: describes" in done.stderr


def test_results_name_everything_that_determines_them(smoke: Path) -> None:
    found = facts(smoke)
    assert len(found) == 6
    for cell in found:
        assert cell["status"] == "done"
        assert cell["experiment"] == "digits"
        assert {"task", "architecture", "regime", "dts", "data_seed", "started"} <= set(cell)
        assert {"python", "platform", "devices", "versions"} <= set(cell["environment"])
        assert cell["seconds"] > 0
        with np.load(smoke / "cells" / cell["key"] / "arrays.npz", allow_pickle=False) as arrays:
            for stage in (0, 1):
                assert f"stage{stage}/kernel/feature" in arrays.files
                assert f"stage{stage}/preactivation/density" in arrays.files


def test_the_leaderboard_has_the_keys_that_users_rely_on(limitbench: Run, smoke: Path) -> None:
    done = limitbench("leaderboard", smoke, "--json")
    assert done.returncode == 0 and done.stderr == ""
    rows = json.loads(done.stdout)
    assert [r["rank"] for r in rows] == [1, 2]
    for row in rows:
        assert {
            "experiment",
            "task",
            "architecture",
            "regime",
            "theory",
            "observable",
            "widths",
            "discrepancy",
            "discrepancy_ci",
            "exponent",
            "exponent_ci",
            "limit_gap",
            "limit_gap_ci",
            "theory_stderr",
            "width_at_5_percent",
            "verdict",
            "rank",
        } <= set(row)
        assert row["widths"] == [16, 32]
        assert set(row["discrepancy"]) == set(row["discrepancy_ci"]) == {"16", "32"}
        for width, (low, high) in row["discrepancy_ci"].items():
            assert low <= row["discrepancy"][width] <= high
        assert row["verdict"] in ("agrees", "disagrees", "undecided")
    everything = json.loads(
        limitbench("leaderboard", smoke, "--json", "--observable", "all").stdout
    )
    assert {r["observable"] for r in everything} == {"output/test", "loss/test", "loss/train"}


def test_the_leaderboard_is_the_same_in_csv_and_markdown(limitbench: Run, smoke: Path) -> None:
    rows = json.loads(limitbench("leaderboard", smoke, "--json").stdout)
    table = list(csv.DictReader(io.StringIO(limitbench("leaderboard", smoke, "--csv").stdout)))
    assert [r["theory"] for r in table] == [r["theory"] for r in rows]
    for flat, row in zip(table, rows, strict=True):
        assert float(flat["limit_gap"]) == row["limit_gap"], "full precision"
        assert float(flat["discrepancy/16"]) == row["discrepancy"]["16"]
        assert flat["widths"] == "16 32"
    markdown = limitbench("leaderboard", smoke, "--markdown").stdout.splitlines()
    assert len(markdown) == 2 + len(rows)
    assert len({line.count("|") for line in markdown}) == 1
    assert rows[0]["theory"] in markdown[2]


def test_export_is_the_same_in_every_format(
    limitbench: Run, smoke: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    rows = json.loads(limitbench("export", smoke, "--format", "json").stdout)
    assert all(tuple(row) == COLUMNS for row in rows)
    assert (
        limitbench("export", smoke).stdout == limitbench("export", smoke, "--format", "json").stdout
    )

    table = list(csv.DictReader(io.StringIO(limitbench("export", smoke, "--format", "csv").stdout)))
    assert [r["observable"] for r in table] == [r["observable"] for r in rows]
    assert [float(r["value"]) for r in table] == [r["value"] for r in rows]

    binary = subprocess.run(
        [COMMAND, "export", smoke, "--format", "parquet"],
        env=environment,
        capture_output=True,
        check=True,
    )
    (tmp_path / "export.parquet").write_bytes(binary.stdout)
    assert pq.read_table(tmp_path / "export.parquet").to_pylist() == rows


def test_export_holds_every_observable_at_every_stage(limitbench: Run, smoke: Path) -> None:
    rows = json.loads(limitbench("export", smoke).stdout)
    solvers = {(r["solver"], r["width"], r["seed"]) for r in rows}
    assert len(solvers) == 6
    for solver in solvers:
        for stage in (0, 1):
            mine = [
                r
                for r in rows
                if (r["solver"], r["width"], r["seed"]) == solver and r["stage"] == stage
            ]
            steps: dict[str, set[int]] = {}
            for row in mine:
                steps.setdefault(row["observable"], set()).add(row["step"])
            for name in ("loss/train", "loss/test", "probe/source-loss", "kernel/alignment"):
                assert steps[name] == set(range(11)), f"{name} of {solver}"
            assert 10 in steps["output/test"]
            last = [r for r in mine if r["observable"] == "output/test" and r["step"] == 10]
            assert [r["index"] for r in last] == list(range(10))


def test_a_report_goes_where_it_is_asked_to(limitbench: Run, smoke: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = limitbench("report", smoke, "-o", page)
    assert (done.returncode, done.stdout) == (0, f"{page}\n")
    assert "</html>" in page.read_text()


def test_results_compared_with_themselves_have_not_changed(
    limitbench: Run, smoke: Path, tmp_path: Path
) -> None:
    same = limitbench("compare", smoke, smoke)
    assert same.returncode == 0
    assert len(same.stdout.splitlines()) == 2
    assert all(line.endswith("within the intervals") for line in same.stdout.splitlines())
    (tmp_path / "cells").mkdir()
    lines = limitbench("compare", smoke, tmp_path).stdout.splitlines()
    assert lines == [
        f"digits · lazy-ntk: only in {smoke}",
        f"digits · mean-field: only in {smoke}",
    ]


def test_folders_are_scored_together(limitbench: Run, smoke: Path) -> None:
    rows = json.loads(limitbench("leaderboard", smoke, smoke, "--json").stdout)
    assert [r["rank"] for r in rows] == [1, 2], "a cell that is in both counts once"


@pytest.mark.parametrize(
    "verb", [["leaderboard"], ["export"], ["report"], ["compare", "{smoke}"]], ids=lambda v: v[0]
)
def test_a_folder_without_results_is_refused_in_one_line(
    limitbench: Run, smoke: Path, tmp_path: Path, verb: list[str]
) -> None:
    arguments = [part.format(smoke=smoke) for part in verb]
    line = one_line(limitbench(*arguments, tmp_path / "empty"))
    assert line.startswith(f"{tmp_path / 'empty'}: no results here")


def test_a_truncated_result_does_not_break_the_leaderboard(
    limitbench: Run, smoke: Path, tmp_path: Path
) -> None:
    shutil.copytree(smoke, tmp_path / "copy")
    broken = next((tmp_path / "copy").glob("cells/*/curves.parquet"))
    broken.write_bytes(broken.read_bytes()[:400])
    done = limitbench("leaderboard", tmp_path / "copy")
    assert "Traceback" not in done.stderr


# ---------------------------------------------------------------- plans


def test_a_dry_run_lists_the_cells_and_writes_nothing(limitbench: Run, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    new = {"LIMITBENCH_CACHE_DIR": str(tmp_path / "cache")}
    done = limitbench("run", "smoke", "--results", folder, "--dry-run", **new)
    assert done.returncode == 0
    *cells, summary = done.stdout.splitlines()
    assert len(cells) == 6
    assert all(line.startswith("pilot") for line in cells)
    assert re.fullmatch(
        r"6 of 6 cells to compute, about \d+ \w+ from start to report with \d+ workers"
        r" \(jobs take \d+ \w+ of one, \d+ \w+ of them compiling, 1 pilot runs included\), at"
        r" most \d+ MiB each; from counts; no run on this machine yet",
        summary,
    )
    assert (done.stderr, done.stdout.count("?")) == ("", 0)
    assert not folder.exists()


def test_a_dry_run_knows_what_is_there(limitbench: Run, smoke: Path) -> None:
    printed = limitbench("run", "smoke", "--results", smoke, "--dry-run", "--json").stdout
    rows = json.loads(printed)["cells"]
    assert {r["status"] for r in rows} == {"finished"}
    assert all(r["seconds"] > 0 and r["mebibytes"] > 0 for r in rows)
    assert json.loads(printed)["total"]["to_compute"] == 0
    assert {r["key"] for r in rows} == {p.name for p in (smoke / "cells").iterdir()}
    printed = limitbench(
        "run", "smoke", "--results", smoke, "--dry-run", "--fresh", "--json"
    ).stdout
    fresh = json.loads(printed)
    assert "finished" not in {r["status"] for r in fresh["cells"]}
    assert re.fullmatch(r"from \d+ finished cells", fresh["total"]["known"])


def test_experiments_are_chosen_by_glob_and_brackets_stand_for_themselves(
    limitbench: Run, tmp_path: Path
) -> None:
    path = suite_file(
        tmp_path, text=TINY + '[experiment.sweep]\n"regime.richness" = [0.5, 1.0, 2.0]\n'
    )

    def chosen(*patterns: str) -> set[str]:
        globs = [part for pattern in patterns for part in ("--only", pattern)]
        arguments = (*globs, "--dry-run", "--json", "--results", tmp_path / "r")
        rows = json.loads(limitbench("run", path, *arguments).stdout)["cells"]
        return {r["experiment"] for r in rows}

    assert chosen("lines[regime.richness=1.0]") == {"lines[regime.richness=1.0]"}
    assert chosen("lines*") == {f"lines[regime.richness={r}]" for r in (0.5, 1.0, 2.0)}
    two = chosen("*=0.5]", "lines[regime.richness=2*")
    assert two == {f"lines[regime.richness={r}]" for r in (0.5, 2.0)}
    line = one_line(limitbench("run", path, "--only", "*=0.5]", "--only", "lines[a-z]*"))
    assert line.startswith("--only 'lines[a-z]*' matches no experiment of suite 'tiny'")
