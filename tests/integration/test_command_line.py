"""The command line as users meet it, in a process of its own: prints, files and exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from faulty_runs import WAITS, gated
from patience import PATIENCE, until

from harness import Registry
from harness.store import COLUMNS
from harness.suites import bundled_suites, load_suite

COMMAND = Path(sys.executable).with_name("limitbench")
TFDS = Path(__file__).parents[2].parent / "shared" / "tfds"
Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]

TINY = """
[suite]
name = "tiny"
widths = [8]
seeds = 1

[[experiment]]
name = "lines"
task = { name = "linear-transfer", dimension = 5, SIZES, alignment = 0.5 }
architecture = { name = "mlp", depth = 1, activation = "linear" }
regime = { name = "single", richness = 0.5, steps = 5, dt = 0.1 }
theories = ["lazy-ntk"]
""".replace("SIZES", "source_points = 6, target_points = 4, test_points = 5")
HEAD = TINY.partition("[[experiment]]")[0]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose caches are this module's own."""
    cache = tmp_path_factory.mktemp("cache")
    inherited = {k: v for k, v in os.environ.items() if k != "LIMITBENCH_PLUGIN_DIR"}
    return inherited | {"XDG_CACHE_HOME": str(cache), "COLUMNS": "80"}


@pytest.fixture(scope="module")
def limitbench(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that runs the command in an empty folder."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def run(*arguments: str | Path, **variables: str) -> Done:
        return subprocess.run(
            [COMMAND, *map(str, arguments)],
            cwd=elsewhere,
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    return run


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


def suite_file(folder: Path, *changes: tuple[str, str], text: str = TINY) -> Path:
    """Write the tiny suite, with parts of its text replaced."""
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "suite.toml"
    path.write_text(text)
    return path


def one_line(done: Done, code: int = 2) -> str:
    """Return the line with which a command was refused."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("limitbench: ")
    return line.removeprefix("limitbench: ")


def facts(results: Path) -> list[dict[str, Any]]:
    found = [json.loads(p.read_text()) for p in sorted(results.glob("cells/*/cell.json"))]
    return sorted(found, key=lambda f: (f["solver"]["width"] is None, f["solver"]["name"]))


# ---------------------------------------------------------------- answers at once


def test_help_names_every_verb(limitbench: Run) -> None:
    from harness.cli.verbs import VERBS

    done = limitbench("--help")
    assert done.returncode == 0 and done.stderr == ""
    assert all(re.search(rf"^  {verb} ", done.stdout, re.MULTILINE) for verb in VERBS)


HEAVY = (
    *("jax", "flax", "optax", "scipy", "sklearn", "pandas", "matplotlib", "tensorflow_datasets"),
    "distributed",
)
EVERYTHING = (*HEAVY, "jaxtyping", "numpy", "pluggy", "psutil", "pyarrow", "pydantic", "rich")


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], EVERYTHING),
        (["run", "--help"], EVERYTHING),
        (["list"], HEAVY),
        (["plugins", "list"], HEAVY),
    ],
    ids=lambda a: " ".join(a) if isinstance(a, list) else "",
)
def test_help_and_listings_answer_at_once_for_they_import_nothing_heavy(
    arguments: list[str], heavy: tuple[str, ...], environment: dict[str, str]
) -> None:
    code = (
        "import sys\n"
        "from harness.cli.verbs import cli\n"
        "cli.main(sys.argv[1:], standalone_mode=False)\n"
        f"print(*(m for m in {heavy} if m in sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout
    assert done.stderr.split() == []


def test_list_shows_every_kind_and_a_section_alone(limitbench: Run) -> None:
    everything = limitbench("list").stdout
    for name in ("image-pairs", "mlp", "fine-tune", "mean-field", "smoke", "quickstart"):
        assert re.search(rf"^  {name} +\S", everything, re.MULTILINE), f"{name} has a summary"
    theories = limitbench("list", "theories").stdout
    assert "lazy-ntk" in theories and "mlp" not in theories


def test_describe_prints_a_bundled_suite_ready_to_copy(limitbench: Run, tmp_path: Path) -> None:
    done = limitbench("describe", "smoke")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == bundled_suites()["smoke"].read_text(encoding="utf-8")
    copy = tmp_path / "copy.toml"
    copy.write_text(done.stdout, encoding="utf-8")
    registry = Registry.load()
    assert load_suite(copy, registry) == load_suite("smoke", registry)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("limitbench de", ["plain,describe"]),
        ("limitbench describe quick", ["plain,quickstart"]),
        ("limitbench describe mean", ["plain,mean-field"]),
        ("limitbench run smo", ["file,smo", "plain,smoke"]),
        ("limitbench report res", ["dir,res"]),
        ("limitbench run --dry", ["plain,--dry-run"]),
    ],
)
def test_a_shell_completes_verbs_options_and_names(
    limitbench: Run, words: str, offered: list[str]
) -> None:
    position = str(words.count(" "))
    asked = {"_LIMITBENCH_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": position}
    done = limitbench(**asked)
    assert done.stdout.split() == offered
    assert done.stderr == ""


def test_describe_shows_parameters_with_defaults_and_source(limitbench: Run) -> None:
    text = limitbench("describe", "linear-transfer").stdout
    assert re.search(r"^task linear-transfer  version \S+$", text, re.MULTILINE)
    assert "  dimension (required)" in text
    assert "  label_noise (default 0.0)" in text
    assert "  data_seed (default 0)" in text
    assert re.search(r"^from: .*linear_transfer\.py$", text, re.MULTILINE)


def test_schema_is_one_json_document(limitbench: Run) -> None:
    done = limitbench("schema")
    assert done.stderr == ""
    schema = json.loads(done.stdout)
    assert {"task:image-pairs", "theory:mean-field"} <= set(schema["$defs"])


def test_doctor_finds_nothing_missing(limitbench: Run) -> None:
    done = limitbench("doctor")
    assert done.returncode == 0, done.stdout
    for word in ("python", "jax", "processors", "devices", "set aside 0", "cache", "programs,"):
        assert word in done.stdout


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

    def chosen(pattern: str) -> set[str]:
        arguments = ("--only", pattern, "--dry-run", "--json", "--results", tmp_path / "r")
        rows = json.loads(limitbench("run", path, *arguments).stdout)["cells"]
        return {r["experiment"] for r in rows}

    assert chosen("lines[regime.richness=1.0]") == {"lines[regime.richness=1.0]"}
    assert chosen("lines*") == {f"lines[regime.richness={r}]" for r in (0.5, 1.0, 2.0)}
    line = one_line(limitbench("run", path, "--only", "lines[a-z]*"))
    assert line.startswith("--only 'lines[a-z]*' matches no experiment of suite 'tiny'")


# ---------------------------------------------------------------- what is refused

WRONG: list[tuple[str, list[tuple[str, str]], str]] = [
    (
        "parameter",
        [("steps = 5", "stepz = 5")],
        "experiment.0.regime.stepz: unknown parameter 'stepz'; did you mean 'steps'?;",
    ),
    (
        "theory",
        [('"lazy-ntk"', '"lazy-nkt"')],
        "experiment.0.theories.0: unknown theory 'lazy-nkt'; did you mean 'lazy-ntk'?;",
    ),
    ("width", [("[8]", "[0]")], "suite.widths.0 = 0: at least 1"),
    ("TOML", [("[suite]", "[suite")], "not valid TOML: "),
]


@pytest.mark.parametrize(
    ("changes", "message"), [w[1:] for w in WRONG], ids=[name for name, _, _ in WRONG]
)
def test_a_wrong_suite_is_one_line_and_nothing_runs(
    limitbench: Run, tmp_path: Path, changes: list[tuple[str, str]], message: str
) -> None:
    path = suite_file(tmp_path, *changes)
    line = one_line(limitbench("run", path, "--results", tmp_path / "results"))
    assert line.startswith(f"{path}: {message}")
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "smoek"], "unknown suite 'smoek'; did you mean 'smoke'?; bundled are"),
        (["run", "smoke", "--only", "digist"], "--only 'digist' matches no experiment of suite"),
        (["run", "smoke", "--plugin-dir", "no"], "plugin folder "),
        (["run", "smoke", "--workers", "0"], "Invalid value for '--workers'"),
        (["run", "smoke", "--timeout", "0"], "Invalid value for '--timeout'"),
        (["rnu"], "unknown command 'rnu'; did you mean 'run'?; commands are claims, compare, "),
        (
            ["describe", "mean-feild"],
            "unknown component or suite 'mean-feild'; did you mean 'mean-field'?;"
            " `limitbench list` shows them all",
        ),
        (
            ["describe", "quikstart"],
            "unknown component or suite 'quikstart'; did you mean 'quickstart'?;",
        ),
        (["plugins", "check", "no.py"], "no.py: no such file; give a plugin file or"),
        (["leaderboard", "x", "--observable", "output"], "--observable 'output' is not scored"),
    ],
    ids=lambda a: " ".join(a) if isinstance(a, list) else "",
)
def test_wrong_usage_is_one_line(limitbench: Run, arguments: list[str], message: str) -> None:
    assert one_line(limitbench(*arguments)).startswith(message)


def test_a_results_folder_that_cannot_be_written_is_one_line(
    limitbench: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    path = suite_file(tmp_path)
    done = limitbench("run", path, "--results", tmp_path / "file")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("limitbench: ") and "cannot be written" in last


# ---------------------------------------------------------------- plugins

CONTRIBUTED = """
import numpy as np
from harness import Dataset, Params, TransferData, hookimpl, task

print("loading")

class Own(Params):
    points: int = 4
    \"\"\"Number of points.\"\"\"

@task("own-task", version="1")
def own(params: Own, seed: int) -> TransferData:
    \"\"\"A task of one's own.\"\"\"
    print("drawing")
    rng = np.random.default_rng(seed)
    def draw() -> Dataset:
        x = rng.standard_normal((params.points, 3))
        return Dataset(x, x[:, 0])
    return TransferData(target=draw(), target_test=draw())

@hookimpl
def limitbench_cell_finished(status):
    raise RuntimeError("an observer that fails")

@hookimpl
def limitbench_report_section(results):
    return "a section of one's own"
"""
BROKEN = {
    "raises.py": "raise RuntimeError('boom')",
    "exits.py": "import sys; sys.exit(3)",
    "clashes.py": CONTRIBUTED.replace("own-task", "linear-transfer"),
}


@pytest.fixture
def plugin_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir()
    for name, text in {"own.py": CONTRIBUTED, **BROKEN}.items():
        (folder / name).write_text(textwrap.dedent(text))
    return folder


def test_a_contributed_task_runs_beside_broken_files(
    limitbench: Run, plugin_folder: Path, tmp_path: Path
) -> None:
    table = re.search(r"^task = .*$", TINY, re.MULTILINE)
    assert table is not None
    path = suite_file(tmp_path, (table[0], 'task = { name = "own-task", points = 5 }'))
    results = tmp_path / "results"
    done = limitbench("run", path, "--plugin-dir", plugin_folder, "--results", results, "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)  # whatever plugins print
    assert (row["task"], row["theory"]) == ("own-task", "lazy-ntk")
    assert [f["status"] for f in facts(results)] == ["done", "done"]
    for name in BROKEN:
        assert f"plugin set aside: {plugin_folder / name}: " in done.stderr
    assert "limitbench_cell_finished: RuntimeError: an observer that fails" in done.stderr
    assert "a section of one's own" in (results / "report.html").read_text().replace("&#39;", "'")


def test_plugins_list_shows_what_is_set_aside_with_its_traceback(
    limitbench: Run, plugin_folder: Path
) -> None:
    done = limitbench("plugins", "list", LIMITBENCH_PLUGIN_DIR=str(plugin_folder))
    assert done.returncode == 0
    assert f"{plugin_folder / 'own.py'}: task own-task 1\n" in done.stdout
    origin = plugin_folder / "raises.py"
    assert f"set aside: {origin}: RuntimeError: boom\n    Traceback" in done.stdout
    assert f'File "{origin}", line 1' in done.stdout
    assert "called sys.exit(3) on load; a plugin must not end the program" in done.stdout
    assert "task 'linear-transfer' exists already, from " in done.stdout
    assert "loading" not in done.stdout


def test_doctor_fails_when_a_plugin_is_set_aside(limitbench: Run, plugin_folder: Path) -> None:
    done = limitbench("doctor", "--plugin-dir", plugin_folder)
    assert done.returncode == 1
    assert "set aside 3" in done.stdout


def test_a_new_plugin_passes_its_check(limitbench: Run, tmp_path: Path) -> None:
    made = limitbench("plugins", "new", "regime", "my-regime", "--folder", tmp_path)
    path = tmp_path / "my_regime.py"
    assert (made.returncode, made.stdout) == (0, f"{path}\n")
    assert made.stderr == f"check it with: limitbench plugins check {path}\n"
    done = limitbench("plugins", "check", path)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("ok      regime my-regime ") for line in lines)


def test_a_check_that_fails_says_why(limitbench: Run, tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(CONTRIBUTED.replace("default_rng(seed)", "default_rng()"))
    done = limitbench("plugins", "check", path)
    assert done.returncode == 1
    (failure,) = [line for line in done.stdout.splitlines() if line.startswith("failed")]
    assert " ".join(failure.split()) == (
        "failed task own-task is deterministic in its seed: ValueError: target differs between"
        " two calls with seed 0; draw from default_rng(seed) only"
    )


def test_a_check_keeps_what_components_print_off_stdout(limitbench: Run, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(CONTRIBUTED)
    assert "drawing" not in limitbench("plugins", "check", tmp_path / "own.py").stdout


# ---------------------------------------------------------------- what fails, and goes on


@pytest.fixture(scope="module")
def diverged(limitbench: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """The tiny suite with a step that is far too large, run once."""
    folder = tmp_path_factory.mktemp("diverged")
    path = suite_file(folder, ("dt = 0.1", "dt = 1000.0"), ("steps = 5", "steps = 200"))
    return folder, limitbench("run", path, "--results", folder / "results")


def test_a_step_that_is_far_too_large_fails_and_says_what_to_do(
    limitbench: Run, diverged: tuple[Path, Done]
) -> None:
    folder, done = diverged
    results = folder / "results"
    assert done.returncode == 1
    network = facts(results)[0]
    assert (network["status"], network["phase"]) == ("failed", "solve")
    assert re.fullmatch(
        r"training diverged at step \d+ of stage 0 \(width 8, dt = 1000\): .*"
        r"use a smaller dt, for example \S+",
        network["message"],
    )
    assert done.stderr.count(network["message"]) == 1
    assert [p.name for p in (results / "cells" / network["key"]).iterdir()] == ["cell.json"]
    assert json.loads(limitbench("export", results).stdout) == []


def test_a_theory_whose_step_is_too_large_says_what_to_do_too(
    diverged: tuple[Path, Done],
) -> None:
    folder, done = diverged
    message = facts(folder / "results")[-1]["message"]
    assert re.fullmatch(r"the lazy limit diverges with dt = 1000: .*use a dt below \S+", message)
    assert "RuntimeWarning" not in done.stderr


def test_what_failed_is_tried_again(
    limitbench: Run, diverged: tuple[Path, Done], tmp_path: Path
) -> None:
    folder, _ = diverged
    results = tmp_path / "results"
    shutil.copytree(folder / "results", results)

    def written() -> dict[Path, int]:
        return {p: p.stat().st_mtime_ns for p in results.glob("cells/*/cell.json")}

    before = written()
    done = limitbench("run", folder / "suite.toml", "--results", results)
    assert done.returncode == 1
    assert "0 cells computed, 0 found, 2 failed; the report lists them" in done.stderr
    after = written()
    assert after.keys() == before.keys()
    assert all(after[path] > before[path] for path in before)


def test_a_job_beyond_the_timeout_fails(limitbench: Run, tmp_path: Path) -> None:
    results = tmp_path / "results"
    (tmp_path / "waits.py").write_text(WAITS)
    path = suite_file(tmp_path, text=gated(HEAD, tmp_path / "never"))
    arguments = ("--results", results, "--plugin-dir", tmp_path / "waits.py", "--timeout", "0.01")
    done = limitbench("run", path, *arguments)
    assert done.returncode == 1
    message = "stopped after the timeout of 0.01 s; give a longer --timeout, or fewer steps"
    assert done.stderr.count(message) == 1
    assert done.stderr.splitlines()[-1] == (
        "0 cells computed, 0 found, 1 failed; the report lists them"
    )
    assert message in (results / "report.html").read_text()
    assert all(f["status"] == "failed" for f in facts(results))


def images(name: str, **changes: Any) -> str:
    """Return an experiment on images."""
    task = {
        "name": "image-pairs",
        "source_points": 4,
        "target_points": 4,
        "test_points": 4,
        **changes,
    }
    inline = ", ".join(f"{key} = {json.dumps(value)}" for key, value in task.items())
    return (
        f'[[experiment]]\nname = "{name}"\ntask = {{ {inline} }}\n'
        'architecture = { name = "mlp" }\n'
        'regime = { name = "single", richness = 0.5, steps = 5, dt = 0.1 }\n'
        'theories = ["lazy-ntk"]\n'
    )


@pytest.fixture(scope="module")
def data_run(limitbench: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """One suite of experiments whose data are there, and of others whose data are not."""
    folder = tmp_path_factory.mktemp("data")
    text = HEAD + images("fine") + images("class", source_classes=[0, 99])
    text += images("few", source_points=5000)
    text += images("absent", dataset="mnist", data_dir=str(folder))
    if (TFDS / "cifar10").is_dir():
        text += images("cifar", dataset="cifar10", grayscale=True, data_dir=str(TFDS))
    results = folder / "results"
    return results, limitbench("run", suite_file(folder, text=text), "--results", results)


def test_data_that_cannot_be_had_fails_with_one_message_each(
    data_run: tuple[Path, Done],
) -> None:
    results, done = data_run
    assert done.returncode == 1
    for message in (
        "class · data: FAILED: source_classes: data set 'digits' has no class 99;"
        " classes are 0 to 9",
        "few · data: FAILED: data set 'digits' has 178 images of class '0', but",
        "absent · data: FAILED: ",
        "limitbench prepare",
    ):
        assert done.stderr.count(message) == 1, message
    assert "Traceback" not in done.stderr
    assert "0 found, 6 failed; the report lists them" in done.stderr
    assert not {"class", "few", "absent"} & {f["experiment"] for f in facts(results)}


def test_data_that_cannot_be_had_cost_no_other_experiment(data_run: tuple[Path, Done]) -> None:
    results, _ = data_run
    assert [f["status"] for f in facts(results) if f["experiment"] == "fine"] == ["done"] * 2
    assert "has no class 99" in (results / "report.html").read_text()


def test_a_prepared_tfds_data_set_is_used(data_run: tuple[Path, Done]) -> None:
    if not (TFDS / "cifar10").is_dir():
        pytest.skip("needs the subset of CIFAR-10 in shared/tfds")
    results, done = data_run
    mine = [f for f in facts(results) if f["experiment"] == "cifar"]
    assert [f["status"] for f in mine] == ["done"] * 2, done.stderr
    assert {f["task"]["parameters"]["dataset"] for f in mine} == {"cifar10"}


# ---------------------------------------------------------------- interruption


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("SIGINT", "interrupted"),
        ("SIGTERM", "stopped by SIGTERM"),
        ("SIGHUP", "stopped by SIGHUP"),
    ],
)
def test_a_signal_while_plugins_are_imported_is_one_line(
    limitbench: Run, tmp_path: Path, name: str, how: str
) -> None:
    number = getattr(signal, name)
    plugin = tmp_path / "raises.py"
    plugin.write_text(f"import signal\nsignal.raise_signal(signal.{name})\n")
    done = limitbench("list", "--plugin-dir", plugin)
    assert one_line(done, 128 + number) == (f"{how}; finished cells are kept, run again to go on")


def test_a_second_signal_ends_a_command_at_once(limitbench: Run, tmp_path: Path) -> None:
    plugin = tmp_path / "raises.py"
    again = "signal.raise_signal(signal.SIGINT)"
    plugin.write_text(f"import signal\ntry:\n    {again}\nfinally:\n    {again}\n")
    done = limitbench("list", "--plugin-dir", plugin)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_signal_that_nohup_ignores_is_ignored(
    environment: dict[str, str], tmp_path: Path
) -> None:
    plugin = tmp_path / "raises.py"
    plugin.write_text("import signal\nsignal.raise_signal(signal.SIGHUP)\n")
    done = subprocess.run(
        ["nohup", COMMAND, "list", "suites", "--plugin-dir", plugin],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "quickstart" in done.stdout


def test_ctrl_c_keeps_finished_cells_and_a_rerun_completes(
    limitbench: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    results, gate, plugin = (tmp_path / name for name in ("results", "gate", "waits.py"))
    plugin.write_text(WAITS)
    path = suite_file(tmp_path, text=gated(TINY, gate))
    arguments: Sequence[str | Path] = (
        *("run", path, "--results", results, "--workers", "2", "--plugin-dir", plugin),
    )
    driver = subprocess.Popen(
        [COMMAND, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        until(lambda: any(results.glob("cells/[0-9a-f]*/cell.json")), lambda: driver.poll() is None)
        workers = psutil.Process(driver.pid).children(recursive=True)
        driver.send_signal(signal.SIGINT)
        out, err = driver.communicate(timeout=PATIENCE)
    finally:
        driver.kill()
    assert driver.returncode == 130, err
    assert out == ""
    assert err.splitlines()[-1] == (
        "limitbench: interrupted; finished cells are kept, run again to go on"
    )
    assert "Traceback" not in err
    assert workers
    _, alive = psutil.wait_procs(workers, timeout=PATIENCE)
    assert alive == [], "no worker outlives the driver"

    kept = {p.parent.name: p.stat().st_mtime_ns for p in results.glob("cells/[0-9a-f]*/cell.json")}
    assert 1 <= len(kept) < 3
    gate.touch()
    done = limitbench(*arguments)
    assert done.returncode == 0, done.stderr
    assert f"{3 - len(kept)} cells computed, {len(kept)} found, 0 failed" in done.stderr
    for key, written in kept.items():
        assert (results / "cells" / key / "cell.json").stat().st_mtime_ns == written
    assert [p.name for p in (results / "cells").iterdir() if p.name.startswith(".")] == []
