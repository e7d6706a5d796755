"""What fails says why and costs nothing else, and a run that is stopped goes on later."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
import shared_files
from commands import COMMAND, HEAD, TINY, Done, Run, facts, one_line, suite_file
from faulty_runs import WAITS, gated
from patience import PATIENCE, until

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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ('"mlp", depth = 1', '"conv", patch = 2'),
            "conv needs images (H, W, C); inputs have shape (5,); use a task of images with flatten"
            " = false, or the architecture mlp",
        ),
        (
            ("richness = 0.5", "richness = 0.0, decay = 0.1"),
            "regime 'single': decay = 0.1 at richness 0, which leaves the weights as they are; use"
            " decay = 0, or a small richness",
        ),
    ],
    ids=["architecture", "protocol"],
)
def test_parts_that_do_not_fit_are_told_by_the_plan_and_by_the_run(
    limitbench: Run, tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    path = suite_file(tmp_path, change)
    line = f"experiment 'lines': {message}"
    for options in (["--dry-run"], []):
        done = limitbench("run", path, "--results", tmp_path / "results", *options)
        assert done.returncode == 1
        assert done.stderr.splitlines()[0] == line
        assert done.stderr.count(message) == 1
    assert "2 failed" in done.stderr


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
    if (shared_files.TFDS / "cifar10").is_dir():
        text += images("cifar", dataset="cifar10", grayscale=True, data_dir=str(shared_files.TFDS))
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
    shared_files.image_sets()
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
