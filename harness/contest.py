"""A theory against networks that are at hand: it is solved and ranked, and none is trained."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.cache import cache_folder
from harness.errors import LimitbenchError, PluginError, StoreError, SuiteError, nearest
from harness.execution import Plan, plan_suite
from harness.execution.driver import keep_steps
from harness.records.cell import CellFacts, SpecFacts
from harness.registry import Component, Registry
from harness.runs import RunOutcome, compute, results_folder
from harness.scoring import (
    RANKED,
    Ranking,
    Scores,
    group_by_problem,
    rank_theories,
    score_problems,
)
from harness.scoring.problems import same_problem
from harness.store import CellRecord, ExperimentResults, Store, experiments
from harness.submissions import unpack
from harness.suites import Experiment, Globs, Suite, build_data
from harness.suites.expand import spec_of
from harness.suites.experiment import Spec
from harness.suites.recorded import recorded_experiment, recorded_spec

STANDARD = "standard"
"""Name of the networks that come with limitbench."""

STANDARD_FILE = "standard-1.parquet"


@dataclass(frozen=True)
class Entry:
    """A theory among others.

    Attributes:
        theory: its name.
        outcome: numbers of its cells that were computed, found and failed.
        scores: of all theories, on `RANKED` observables.
        ranking: of all theories.
        notes: experiments on which it could not be solved, and the reasons.
    """

    theory: str
    outcome: RunOutcome
    scores: Scores
    ranking: Ranking
    notes: list[str]


def standard_networks() -> Path:
    """Return the committed networks of the suite `standard`: in the checkout, or in the wheel.

    Raises:
        StoreError: if they are missing.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "_bundled", package.parent / "results"):
        path = folder / "standard" / STANDARD_FILE
        if path.is_file():
            return path
    raise StoreError(
        f"{STANDARD_FILE}: the networks of suite {STANDARD!r} are missing from this installation;"
        " install limitbench again, or give a results folder or submission with --against"
    )


def reference(against: str | Path) -> Store:
    """Return the results folder of networks: a folder as it is, a submission unpacked in the cache.

    Args:
        against: "standard", a results folder, or a submission.

    Raises:
        StoreError: if it is none of them.
    """
    path = Path(against)
    if str(against) == STANDARD and not path.exists():
        path = standard_networks()
    if path.is_dir():
        return Store(path)
    if not path.exists():
        raise StoreError(
            f"{against}: no such networks{nearest(str(against), [STANDARD])}; --against takes"
            f" {STANDARD!r}, a results folder or a submission"
        )
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    folder = cache_folder() / "submissions" / content[:24]
    if not folder.is_dir():
        folder.parent.mkdir(exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".unpacking-"))
        try:
            unpack(path, aside)
            if not folder.is_dir():
                aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return Store(folder)


def find_theory(given: str, plugin_dirs: Sequence[str]) -> tuple[str, Registry, list[str]]:
    """Return a theory's name, the registry that has it, and all plugin folders.

    Args:
        given: its name, or a plugin file or package that declares one theory.
        plugin_dirs: further plugin folders or files.

    Raises:
        PluginError: if there is no such theory, or the file declares none or several.
    """
    folders = list(plugin_dirs)
    path = Path(given)
    if path.suffix != ".py" and not path.is_dir():
        registry = Registry.load(folders)
        return registry.get("theory", given).name, registry, folders
    if not path.exists():
        raise PluginError(f"{given}: no such file; give a plugin file, or the name of a theory")
    registry = Registry.load([*folders, given])
    place = str(path.resolve())
    for aside in registry.set_aside:
        if aside.origin.startswith(place):
            raise PluginError(f"plugin {aside.origin}: {aside.reason}")
    theories = registry.components("theory")
    own = [c.name for c in theories if registry.origin(c).startswith(place)]
    if len(own) != 1:
        found = ", ".join(own) or "none"
        raise PluginError(
            f"{given}: declares these theories: {found}; one is needed, or give --plugin-dir"
            f" {given} and a theory's name"
        )
    return own[0], registry, [*folders, given]


def enter(
    theory: str,
    registry: Registry,
    against: str | Path = STANDARD,
    *,
    results: str | Path | None = None,
    plugin_dirs: Sequence[str] = (),
    only: Globs = None,
    workers: int | None = None,
    timeout: float | None = None,
) -> Entry:
    """Solve a theory on the problems of networks that are at hand, and rank it among others.

    Its finished cells are found again in its results folder. Where the networks' results have
    cells of the same theory and version, it takes their parameters.

    Args:
        theory: name of the theory.
        registry: the components, with the theory among them.
        against: see `reference`.
        results: results folder of the theory; ``results/score-<name>`` by default.
        plugin_dirs: folders of plugins, or plugin files, for the workers.
        only: a glob of names of experiments, or several; all by default.
        workers: processes; all processors by default.
        timeout: seconds after which a solution is stopped and fails.

    Raises:
        LimitbenchError: if there are no networks, or nothing can be written.
    """
    networks = experiments(reference(against))
    component = registry.get("theory", theory)
    store = Store(results or results_folder(f"score-{theory}"))
    notes: list[str] = []
    plan, networks_of, here = _plan(networks, component, registry, only, notes)
    store.check()
    _adopt(networks, component, registry.source(component), store)
    for experiment in plan.suite.experiments:
        digest, known = here[experiment.name], networks_of[experiment.name].facts
        keep_steps(store, experiment, plan.suite, digest, tuple(known.dts))
    outcome = compute(plan, store, plugin_dirs=plugin_dirs, workers=workers, timeout=timeout)
    for name, failure in plan.failed.items():
        notes.append(f"{name}: {theory} is not solved: {failure.message}")
    made = {experiment.name: experiment for experiment in plan.suite.experiments}
    own = [
        _on(e, {"data": networks_of[e.name].facts.data})
        for e in experiments(store)
        if e.suite == plan.suite.name and e.name in made
    ]
    said: list[str] = []
    problems = group_by_problem([*_others(networks, theory, made), *own], said)
    scores = score_problems(problems, RANKED, said)
    return Entry(theory, outcome, scores, rank_theories(scores), notes)


def _plan(
    networks: Sequence[ExperimentResults],
    component: Component,
    registry: Registry,
    only: Globs,
    notes: list[str],
) -> tuple[Plan, Mapping[str, CellRecord], Mapping[str, str]]:
    """Return the plan of a theory on the networks' problems.

    Returns:
        The plan; and by experiment, one network, and the digest of the data made here,
        which are the network's but for rounding errors.
    """
    found: dict[str, Experiment] = {}
    known: dict[str, CellRecord] = {}
    here: dict[str, str] = {}
    for results in networks:
        first = next((r for width in results.networks().values() for r in width), None)
        if first is None:
            continue
        if results.name in found:
            if same_problem(first) != same_problem(known[results.name]):
                notes.append(
                    f"{results.name}: another problem of this name is left out; give its folder"
                    " alone"
                )
            continue
        try:
            made = recorded_experiment(results.name, first.facts, registry)
            theory = _spec(results, component, registry)
            here[results.name] = _data_here(made, first.facts, registry)
        except LimitbenchError as error:
            notes.append(f"{results.name}: {component.name} is not solved: {error}")
            continue
        known[results.name] = first
        found[results.name] = replace(
            made, theories=(theory,), widths=(), seeds=(), scored=results.scored
        )
    if not found:
        raise StoreError(
            "; ".join(notes[:1]) or "no finished network in these results; give others"
        )
    suite = Suite(f"score {component.name}", (), (), "float32", tuple(found.values()))
    return plan_suite(suite, only=only), known, here


def _data_here(experiment: Experiment, facts: CellFacts, registry: Registry) -> str:
    """Return the digest of an experiment's data as they are made here.

    Raises:
        LimitbenchError: if they cannot be made, or are not those of a network's facts.
    """
    try:
        data = build_data(experiment, registry)
    except LimitbenchError:
        raise
    except Exception as error:  # a task's code may raise anything
        line = " ".join(str(error).split())[:200]
        raise SuiteError(
            f"task {experiment.task.name!r} raised {type(error).__name__} ({line})"
        ) from error
    if data.digest != facts.data and facts.rounded != data.rounded:
        raise SuiteError(
            f"task {experiment.task.name!r} makes other data here than for the networks (digest"
            f" {data.digest[:8]}, not {facts.data[:8]}); `limitbench doctor` lists versions"
        )
    return data.digest


def _spec(results: ExperimentResults, component: Component, registry: Registry) -> Spec:
    """Return the theory with the parameters of its cell, or with its defaults."""
    known = results.theories().get(component.name)
    if known is not None and known.facts.components["theory"].version == component.version:
        return recorded_spec("theory", known.facts.components["theory"], registry)
    return spec_of(registry, component, {}, f"theory {component.name!r}")


def _adopt(
    networks: Sequence[ExperimentResults], component: Component, source: str, to: Store
) -> None:
    """Copy finished cells of the same theory, version and source, which need no solution."""
    for record in (r for results in networks for r in results.records):
        facts = record.facts
        theory = facts.components.get("theory")
        if (
            theory is not None
            and (theory.name, theory.version) == (component.name, component.version)
            and facts.sources.get("theory") == source
            and record.status != "failed"
            and to.read(record.key) is None
        ):
            to.adopt(record.key, {p.name: p.read_bytes() for p in record.folder.iterdir()})


def _others(
    networks: Sequence[ExperimentResults], theory: str, made: Mapping[str, Experiment]
) -> list[ExperimentResults]:
    """Return the networks' results without a theory, in the experiments that are made here.

    Their cells name the components as they are here: of the same version, perhaps with parameters
    that the networks' program did not know, at their defaults, or with other source.
    """
    found = []
    for results in networks:
        if results.name not in made:
            continue
        parts = made[results.name].parts
        here: dict[str, Any] = {
            kind: SpecFacts.model_validate(spec.asked) for kind, spec in parts.items()
        }
        sources = {kind: spec.source for kind, spec in parts.items()}
        others = [
            replace(r, facts=r.facts.model_copy(update={"sources": r.facts.sources | sources}))
            for r in results.records
            if r.facts.solver.name != theory
        ]
        found.append(_on(replace(results, records=others, absent=()), here))
    return found


def _on(results: ExperimentResults, update: Mapping[str, Any]) -> ExperimentResults:
    """Return results whose cells have some facts replaced."""
    records = [replace(r, facts=r.facts.model_copy(update=update)) for r in results.records]
    return replace(results, records=records)
