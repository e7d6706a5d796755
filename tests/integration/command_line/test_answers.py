"""Help, listings and descriptions answer at once; wrong usage and wrong suites are one line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Run, one_line, suite_file

from harness import Registry
from harness.suites import bundled_suites, load_suite

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


def test_every_summary_in_a_list_is_whole(limitbench: Run) -> None:
    entries = [line for line in limitbench("list").stdout.splitlines() if line.startswith("  ")]
    assert len(entries) > 40
    assert [line for line in entries if line[-1] not in ".?"] == []


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
        ("limitbench describe regime/", ["plain,regime/curriculum"]),
        ("limitbench describe suite/c", ["plain,suite/curriculum"]),
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
    assert "  label_noise (default 0.0): a number, at least 0\n" in text
    assert "  noise_alignment (left out by default): a number, at least -1, at most 1\n" in text
    assert "  data_seed (default 0): a whole number, at least 0\n" in text
    assert re.search(r"^from: .*linear_transfer\.py$", text, re.MULTILINE)


def test_describe_names_the_words_that_a_parameter_allows(limitbench: Run) -> None:
    text = limitbench("describe", "jointly-rich").stdout
    assert "parameterization (default \"mean-field\"): 'mean-field' or 'ntk'\n" in text
    assert "readout (default \"keep\"): 'keep', 'reset' or 'zero'\n" in text
    assert "reset (default []): 'all' or 'readout', or a list in brackets" in text


def test_describe_shows_either_of_a_suite_and_a_component_of_one_name(limitbench: Run) -> None:
    bare, suite = (limitbench("describe", name) for name in ("curriculum", "suite/curriculum"))
    toml = bundled_suites()["curriculum"].read_text(encoding="utf-8")
    assert (bare.stdout, suite.stdout, suite.stderr) == (toml, toml, "")
    assert bare.stderr == (
        "'curriculum' is the name of a regime too, which `limitbench describe regime/curriculum`"
        " shows; this is the suite\n"
    )
    regime = limitbench("describe", "regime/curriculum")
    assert regime.stdout.startswith("regime curriculum  version ") and regime.stderr == ""


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
        (["rnu"], "unknown command 'rnu'; did you mean 'run'?; commands are check, claims, "),
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
