"""Plans and results folders of ten thousand cells, and suites of small cells: measured.

Run with `make bench`. Nothing is asserted of times.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import Registry, Trajectory, networks
from harness.execution.jobs import cell_facts
from harness.records.cell import SpecFacts
from harness.scoring import SCORED, score_problems
from harness.scoring.problems import read_problems
from harness.scoring.values import final_values
from harness.store import Manifest, Store
from harness.store.check import TABLES, read_cell
from harness.suites import Resolved, Suite, build_problem, cells_of, load_suite
from harness.suites.cells import FORMAT, digest, problem_identity

pytestmark = pytest.mark.benchmark

COMMAND = Path(sys.executable).with_name("limitbench")

HEAD = """
[suite]
name = "scale"
widths = {widths}
seeds = {seeds}

[[experiment]]
name = "lines"
architecture = {{ name = "mlp", depth = 1, activation = "relu" }}
theories = {theories}
regime = {{ name = "single", richness = 1.0, steps = 100, dt = 0.01 }}
[experiment.task]
name = "linear-transfer"
dimension = 20
source_points = 20
target_points = 20
test_points = 20
alignment = 0.9
[experiment.sweep]
"regime.richness" = {richness}
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing has been compiled or finished yet."""
    others = {"LIMITBENCH_PLUGIN_DIR", "JAX_COMPILATION_CACHE_DIR"}
    inherited = {k: v for k, v in os.environ.items() if k not in others}
    return inherited | {"LIMITBENCH_CACHE_DIR": str(tmp_path / "cache")}


def suite_of(path: Path, widths: list[int], seeds: int, theories: list[str], points: int) -> Path:
    path.write_text(
        HEAD.format(
            widths=widths,
            seeds=seeds,
            theories=json.dumps(theories),
            richness=[round(0.5 + i / points, 5) for i in range(points)],
        )
    )
    return path


def timed(environment: dict[str, str], *arguments: str | Path) -> tuple[float, str]:
    """Return the seconds of a command and what it printed."""
    start = time.perf_counter()
    done = subprocess.run(
        [COMMAND, *arguments], env=environment, capture_output=True, text=True, check=True
    )
    return time.perf_counter() - start, done.stdout


def ten_thousand(tmp_path: Path) -> Path:
    """Write a suite of 10,000 cells: 200 experiments of 4 widths x 12 seeds and 2 theories."""
    widths = [64, 128, 256, 512]
    return suite_of(tmp_path / "scale.toml", widths, 12, ["mean-field", "lazy-ntk"], 200)


def varied(found: Trajectory, draw: np.random.Generator, size: float) -> Trajectory:
    """Return a trajectory with noise, as another seed might have it."""

    def vary(observable: Any) -> Any:
        noise = 1 + size * draw.standard_normal(observable.values.shape)
        return dataclasses.replace(observable, values=observable.values * noise)

    return Trajectory(tuple({k: vary(v) for k, v in s.items()} for s in found.stages), found.notes)


def write_results(suite: Suite, registry: Registry, root: Path) -> int:
    """Write a result for every cell: trained networks of one width, with noise of each width.

    Every experiment has the same tables, written once and copied: to write takes longer than to
    read.
    """
    store, draw, count = Store(root), np.random.default_rng(0), 0
    problem = build_problem(suite.experiments[0], registry)
    data = problem.data.digest
    trained = networks.train(problem, 64, [0])[0]
    assert isinstance(trained, Trajectory)
    tables: list[tuple[dict[str, bytes], dict[str, str]]] = []
    for position, experiment in enumerate(suite.experiments):
        cells = cells_of(experiment, suite, Resolved(data, (0.01,)))
        for place, cell in enumerate(cells):
            facts = cell_facts(cell, "", 0.1) | {"status": "done"}
            if position:
                files, sums = tables[place]
                text = json.dumps(facts | {"sha256": sums}, indent=1)
                store.adopt(cell.key, {**files, "cell.json": text.encode()})
            else:
                result = varied(trained, draw, (cell.solver.width or 10**6) ** -0.5)
                folder = store.write(cell, facts, result)
                files = {name: (folder / name).read_bytes() for name in TABLES}
                tables.append((files, read_cell(folder).sha256))
        asked, seed = experiment.task.asked, experiment.data_seed
        keys = [cell.key for cell in cells]
        store.write_manifest(
            Manifest(
                format=FORMAT,
                suite=suite.name,
                position=position,
                experiment=experiment.name,
                task=SpecFacts(**asked),
                data_seed=seed,
                cells=keys,
                failure="",
                traceback="",
            )
        )
        steps = digest({"format": FORMAT, **problem_identity(experiment, data)})
        store.write_json(f"steps/{steps}.json", {"format": FORMAT, "dts": [0.01]})
        count += len(cells)
    return count


def test_plans_and_leaderboards_of_ten_thousand_cells(
    environment: dict[str, str], tmp_path: Path
) -> None:
    path, root = ten_thousand(tmp_path), tmp_path / "results"
    plan = ("run", path, "--dry-run", "--results", root, "--workers", "1")
    fresh, _ = timed(environment, *plan)
    suite = load_suite(path, Registry.load())
    count = write_results(suite, Registry.load(), root)
    planned, printed = timed(environment, *plan)
    assert printed.splitlines()[-1].startswith(f"0 of {count} cells to compute")
    loaded, printed = timed(environment, "leaderboard", root, "--json")
    assert len(json.loads(printed)) >= 400
    print(
        f"\nplan of {count} cells: {fresh:.1f} s with none, {planned:.1f} s with all of them"
        f" finished and verified; leaderboard of the {count}: {loaded:.1f} s"
    )


def test_a_suite_of_two_hundred_small_cells(environment: dict[str, str], tmp_path: Path) -> None:
    path = suite_of(tmp_path / "small.toml", [64], 9, ["lazy-ntk"], 20)
    for name in ("first", "second"):
        start = time.perf_counter()
        timed(environment, "run", path, "--results", tmp_path / name, "--workers", "1")
        elapsed = time.perf_counter() - start
        written = [
            (p.stat().st_mtime, json.loads(p.read_text())["seconds"])
            for p in sorted((tmp_path / name / "cells").glob("*/cell.json"))
        ]
        computed = sum(seconds for _, seconds in written)
        between = max(t for t, _ in written) - min(t for t, _ in written)
        print(
            f"\n{name} run of {len(written)} small cells: {elapsed:.1f} s in all with start, scores"
            f" and report; {computed:.2f} s computing;"
            f" {1e3 * (between - computed) / len(written):.1f} ms a cell beyond that between the"
            f" first and the last"
        )


@pytest.mark.parametrize("suite", ["smoke", "paper-polynomial-smoke", "quickstart"])
def test_predictions_of_suites(environment: dict[str, str], tmp_path: Path, suite: str) -> None:
    for situation in ("first run", "second run, programs kept"):
        root = tmp_path / situation.partition(" ")[0]
        options = (suite, "--results", root, "--workers", "1", "--json")
        _, printed = timed(environment, "run", *options, "--dry-run")
        plan = json.loads(printed)
        elapsed, _ = timed(environment, "run", *options)
        print(f"\n{suite}, {situation}, {plan['total']['known']}")
        print_ratios(plan, root)
        told = plan["total"]
        facts = [json.loads(p.read_text()) for p in (root / "cells").glob("*/cell.json")]
        computing, compiling = (sum(f[k] for f in facts) for k in ("seconds", "compile_seconds"))
        expected = told["seconds"] - told["compile_seconds"]
        print(
            f"predicted: {expected:.1f} s computing, {told['compile_seconds']:.1f} s compiling,"
            f" pilots included; taken: {computing:.1f} and {compiling:.1f} s without pilots,"
            f" {elapsed:.0f} s in all; predicted over taken"
            f" {told['seconds'] / (computing + compiling):.2f}"
        )


def print_ratios(plan: dict[str, Any], root: Path) -> None:
    """Print what was predicted of the seconds of cells over what they took."""
    predicted = {
        (row["experiment"], row["solver"], row["width"], row["seed"]): row["seconds"]
        for row in plan["cells"]
    }
    ratios: dict[tuple[str, str], list[float]] = {}
    for path in (root / "cells").glob("*/cell.json"):
        facts = json.loads(path.read_text())
        solver = facts["solver"]
        key = (facts["experiment"], solver["name"], solver["width"], solver["seed"])
        kind = str(solver["width"] or solver["name"])
        ratios.setdefault((key[0], kind), []).append(predicted[key] / facts["seconds"])
    every = np.concatenate(list(ratios.values()))
    print("predicted over measured seconds, median over seeds:")
    kinds = list(dict.fromkeys(kind for _, kind in sorted(ratios)))
    print(" " * 26 + "".join(f"{kind:>11}" for kind in kinds))
    for experiment in dict.fromkeys(name for name, _ in sorted(ratios)):
        medians = [np.median(ratios.get((experiment, kind), np.nan)) for kind in kinds]
        print(f"{experiment:<26}" + "".join(f"{median:11.2f}" for median in medians))
    close = np.mean((every < 2.0) & (every > 0.5))
    print(f"within a factor of 2: {close:.0%} of {len(every)} cells")


def shares(root: Path) -> tuple[float, float, float]:
    """Return the seconds of reading facts, of reading curves, and of scoring what was read."""
    start = time.perf_counter()
    problems = read_problems([Store(root)], [])
    read = time.perf_counter()
    for results in problems:
        for record in (r for records in results.networks.values() for r in records):
            final_values(record, SCORED)
    curves = time.perf_counter()
    score_problems(problems, SCORED[:1], [])
    scored = time.perf_counter()
    return read - start, curves - read, scored - curves - (curves - read)


def test_folders_of_twenty_thousand_cells(environment: dict[str, str], tmp_path: Path) -> None:
    registry = Registry.load()
    widths, theories = [64, 128, 256, 512], ["mean-field", "lazy-ntk", "adaptive-kernel", "dmft"]
    for points in (500, 300):
        path = suite_of(tmp_path / "scale.toml", widths, 9, theories, points)
        root = tmp_path / str(points)
        count = write_results(load_suite(path, registry), registry, root)
        print(f"\n{count} cells, {points} experiments")
        plan = ("run", path, "--dry-run", "--results", root, "--workers", "1")
        commands = {
            "plan": plan,
            "leaderboard": ("leaderboard", root, "--json"),
            "verify": ("results", "verify", root),
            "report": ("report", root),
            "report without figures": ("report", root, "--figures", "0"),
        }
        for name, arguments in commands.items():
            print(f"{name}: {timed(environment, *arguments)[0]:.1f} s")
        facts, curves, scoring = shares(root)
        print(
            f"of the leaderboard: {facts:.1f} s reading facts and checksums, {curves:.1f} s reading"
            f" curves, {scoring:.1f} s scoring"
        )
