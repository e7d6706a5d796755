"""The report of a results folder: one HTML file that asks nothing of any network."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import StoreError
from harness.report import sentences
from harness.scoring import PRIMARY, score_results
from harness.scoring.statistics import TOLERANCE
from harness.store import CellRecord, ExperimentResults, Store, experiments
from harness.store.cells import experiment_slug

if TYPE_CHECKING:
    from harness.registry import Registry
    from harness.report.svg import Picture

Row = dict[str, Any]
Facts = list[tuple[str, str]]


@dataclass(frozen=True)
class Section:
    """What the page shows of one experiment."""

    anchor: str
    name: str
    words: str
    verdicts: list[tuple[Row, list[str]]]
    others: list[Row]
    pictures: list[Picture]
    problems: list[sentences.Problem]
    missing: int
    failure: str
    tables: list[tuple[str, Facts]]


def write_report(
    store: Store, output: Path | None = None, registry: Registry | None = None
) -> Path:
    """Write the report of a results folder, whole or not at all.

    The same results give the same file, byte by byte.

    Args:
        store: the results folder.
        output: where to write; ``report.html`` in the folder by default.
        registry: whose plugins may add sections.

    Returns:
        Where it was written.

    Raises:
        StoreError: if the folder holds no results, or the file cannot be written.
    """
    target = store.root / "report.html" if output is None else output
    page = render(store, registry)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w",
            dir=target.parent,
            prefix=".",
            suffix=".tmp",
            delete=False,
            encoding="utf-8",
            errors="replace",
        ) as aside:
            aside.write(page)
        try:
            os.chmod(aside.name, 0o644)
            os.replace(aside.name, target)
        except OSError:
            os.unlink(aside.name)
            raise
    except OSError as error:
        raise StoreError(
            f"{target}: cannot be written ({error.strerror or error}); choose another file with -o"
        ) from error
    return target


def render(store: Store, registry: Registry | None = None) -> str:
    """Return the page; see `write_report`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    templates = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"percent": sentences.percent, "decimal": sentences.decimal}
    source = {name: templates.get_template(f"report.{name}").render() for name in ("css", "js")}
    digest = base64.b64encode(hashlib.sha256(source["js"].encode()).digest()).decode()
    return templates.get_template("report.html.j2").render(
        css=Markup(source["css"]),
        script=Markup(source["js"]),
        script_digest=digest,
        safe=Markup,
        **_contents(store, registry),
    )


def _contents(store: Store, registry: Registry | None) -> dict[str, Any]:
    """Return what the template shows."""
    from harness.report import figures
    from harness.report.svg import picture

    rows = score_results([store])
    primary = [row for row in rows if row["observable"] == PRIMARY]
    found = experiments(store)
    order = {experiment.name: position for position, experiment in enumerate(found)}
    in_order = sorted(primary, key=lambda row: (order[row["experiment"]], row["rank"]))
    counted = sentences.tallies(rows, found)
    theories = [tally.theory for tally in counted]
    headline = sentences.headline(counted)
    records = [record for experiment in found for record in experiment.records]
    extra = (
        []
        if registry is None
        else registry.notify("limitbench_report_section", results=str(store.root))
    )
    overview = None
    if primary:
        caption = (
            "For every experiment and theory, the gap between the networks, extrapolated to"
            " infinite width, and the theory: relative distance of outputs on the test points,"
            " with its 95\u00a0% interval. Agreement: the interval lies in the green field."
        )
        overview = picture(
            figures.overview(in_order, theories=theories), "overview", f"{headline}.", caption
        )
    return {
        "suites": sorted({experiment.suite for experiment in found if experiment.suite}),
        "headline": headline,
        "tallies": counted,
        "tolerance": TOLERANCE,
        "overview": overview,
        "rows": in_order,
        "anchors": {experiment.name: _anchor(experiment) for experiment in found},
        "sections": [_section(e, rows, theories) for e in found],
        "cells": len(records),
        "failed": sum(record.status == "failed" for record in records),
        "unstarted": sum(bool(experiment.failure) for experiment in found),
        "missing": sum(experiment.missing for experiment in found),
        "seconds": sum(record.facts["seconds"] for record in records),
        "dates": _dates(records),
        "extra": extra,
    }


def _section(
    experiment: ExperimentResults, rows: Sequence[Row], theories: Sequence[str]
) -> Section:
    mine = [row for row in rows if row["experiment"] == experiment.name]
    return Section(
        anchor=_anchor(experiment),
        name=experiment.name,
        words=sentences.in_words(experiment),
        verdicts=[
            (row, sentences.verdict_sentences(row)) for row in mine if row["observable"] == PRIMARY
        ],
        others=sorted(
            (row for row in mine if row["observable"] != PRIMARY),
            key=lambda row: (row["theory"], row["observable"]),
        ),
        pictures=_pictures(experiment, mine, theories),
        problems=sentences.problems(experiment),
        missing=experiment.missing,
        failure=experiment.failure,
        tables=_tables(experiment),
    )


def _pictures(
    experiment: ExperimentResults, rows: Sequence[Row], theories: Sequence[str]
) -> list[Picture]:
    from harness.report import figures
    from harness.report.svg import picture

    anchor, name = _anchor(experiment), experiment.name
    made = []
    if experiment.with_status("done"):
        drawn = figures.loss_curves(experiment, theories=theories)
        caption = (
            "Test loss over training, of each stage's own data. Colour: width of the networks,"
            " mean over seeds, band around two thirds of them. Dashes: theory, band of two"
            " standard errors."
        )
        made.append(picture(drawn, f"{anchor}-test", f"Test loss over training: {name}", caption))
    if rows:
        drawn = figures.convergence(rows, theories=theories)
        caption = (
            "Distance of a single network from each theory against width, relative to the theory's"
            " output, with 95\u00a0% intervals. A correct theory's points follow the slope of"
            " 1/√N; a wrong one's level off."
        )
        made.append(picture(drawn, f"{anchor}-width", f"Convergence in width: {name}", caption))
    for row in rows:
        if row["observable"] == PRIMARY:
            theory = row["theory"]
            drawn = figures.predictions(experiment, theory, theories=theories)
            caption = (
                f"Outputs on the test points at the end of training: {theory} against the mean of"
                f" networks of width {row['widths'][-1]}. Bars: two standard errors."
            )
            title = f"Networks against {theory}: {name}"
            made.append(picture(drawn, f"{anchor}-{theory}", title, caption))
    if experiment.with_status("done"):
        drawn = figures.loss_curves(experiment, observable="loss/train", theories=theories)
        title = f"Training loss over training: {name}"
        caption = "Training loss over training, as above."
        made.append(picture(drawn, f"{anchor}-train", title, caption))
    return made


def _tables(experiment: ExperimentResults) -> list[tuple[str, Facts]]:
    """Return parameters, seeds and environments, as titled tables of name and value."""
    if not experiment.records:
        return []
    facts = experiment.records[0].facts
    tables = [
        (f"{kind}: {facts[kind]['name']}, version {facts[kind]['version']}", _plain(facts[kind]))
        for kind in ("task", "architecture", "regime")
    ]
    for record in experiment.records:
        spec = record.facts["solver"]["theory"]
        if spec is not None:
            notes = [
                (f"note: {name}", sentences.plain(value))
                for name, value in record.facts.get("notes", {}).items()
            ]
            title = f"theory: {spec['name']}, version {spec['version']}"
            tables.append((title, _plain(spec) + notes))
    tables.append(("networks and seeds", _seeds(experiment)))
    for count, environment in enumerate(_environments(experiment.records), start=1):
        tables.append((f"environment {count}" if count > 1 else "environment", environment))
    return tables


def _plain(spec: dict[str, Any]) -> Facts:
    return [(name, sentences.plain(value)) for name, value in spec["parameters"].items()]


def _seeds(experiment: ExperimentResults) -> Facts:
    facts = experiment.records[0].facts
    found: Facts = [
        ("data seed", str(facts["data_seed"])),
        ("dt of the stages", ", ".join(f"{dt:g}" for dt in facts["dts"])),
    ]
    by_width: dict[int, list[CellRecord]] = {}
    for record in experiment.records:
        if (width := record.facts["solver"]["width"]) is not None:
            by_width.setdefault(width, []).append(record)
    for width, records in sorted(by_width.items()):
        types = sorted({record.facts["solver"]["dtype"] for record in records})
        found.append(
            (f"width {width}", f"{sentences.seeds_of(records)}, {sentences.listed(types)}")
        )
    return found


def _environments(records: Sequence[CellRecord]) -> list[Facts]:
    distinct = {
        json.dumps(r.facts["environment"], sort_keys=True): r.facts["environment"] for r in records
    }
    return [
        [
            (name, sentences.plain(value))
            for name, value in environment.items()
            if name != "versions"
        ]
        + list(environment.get("versions", {}).items())
        for _, environment in sorted(distinct.items())
    ]


def _anchor(experiment: ExperimentResults) -> str:
    return f"experiment-{experiment_slug(experiment.name)}"


def _dates(records: Sequence[CellRecord]) -> str:
    days = sorted({record.facts["started"][:10] for record in records})
    return "" if not days else days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
