"""The report of a results folder: one HTML file without network access."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.cache import font_cache
from harness.errors import StoreError
from harness.processes import processes_for, shared
from harness.report.freshness import (
    FIGURES,
    check_free,
    content_digest,
    extra_sections,
    sealed,
)
from harness.report.parts import Absent, markup, part
from harness.report.sections.draws import Draws, by_draw
from harness.report.sections.experiments import (
    Section,
    anchor,
    broken_section,
    row_anchor,
    section,
)
from harness.report.sections.summary import overview_picture, summarize
from harness.report.sections.sweeps import sweep_section
from harness.report.templating import environment, shell
from harness.scoring import PRIMARY, ScoredFolder, score_folder
from harness.scoring.distinct import distinct_experiments
from harness.scoring.row import ScoreRow
from harness.scoring.statistics import TOLERANCE
from harness.store import CellRecord, Store
from harness.store.files import cause, write_text
from harness.suites import Globs, each_glob, matching

if TYPE_CHECKING:
    from harness.registry import Registry

T = TypeVar("T")


ROWS = 100
"""Most rows of a table of numbers; the rest is cut off."""

SEVERAL = 4
"""Fewest experiments with figures that several processes share: each takes about a second."""


def write_report(
    store: Store,
    output: Path | None = None,
    registry: Registry | None = None,
    *,
    only: Globs = None,
    figures: int = FIGURES,
    scored: ScoredFolder | None = None,
) -> Path:
    """Write the report of a results folder atomically.

    The same results give the same file, byte by byte.

    Args:
        store: the results folder.
        output: where to write; ``report.html`` in the folder by default. Elsewhere an older report
            is replaced, and nothing else.
        registry: source of the plugins that may add sections.
        only: a glob such as ``digits-*``, or several; experiments whose names do not match are
            left out.
        figures: number of leading experiments with figures.
        scored: the scored folder, if it exists already.

    Returns:
        The path of the report.

    Raises:
        StoreError: if the folder holds no results, or the file cannot be written.
        SuiteError: if a glob matches no experiment.
    """
    own = store.root / "report.html"
    target = own if output is None else output
    remedy = "write it elsewhere with `limitbench report DIR -o FILE`"
    if target.parent.resolve() / target.name != own.parent.resolve() / own.name:
        check_free(target, remedy)
    page = render(store, registry, only=only, figures=figures, scored=scored)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{target}: cannot be written ({cause(error)}); {remedy}") from error
    write_text(target, page, remedy)
    return target


def render(
    store: Store,
    registry: Registry | None = None,
    *,
    only: Globs = None,
    figures: int = FIGURES,
    scored: ScoredFolder | None = None,
    processes: int | None = None,
    rows: int = ROWS,
) -> str:
    """Return the page, whose tables of numbers have at most `rows` rows; see `write_report`.

    If their number is None, as many processes draw its figures as save time.
    """
    font_cache()
    from markupsafe import Markup

    templates = environment("harness.report")
    page = templates.get_template("report.html.j2").render(
        **shell(templates, "report"),
        safe=Markup,
        shown=lambda name, macro, *given: Markup(markup(name, lambda: macro(*given))),
        **_contents(
            store,
            registry,
            each_glob(only),
            figures,
            scored or score_folder(store),
            processes,
            rows,
        ),
    )
    return sealed(page)


def _contents(
    store: Store,
    registry: Registry | None,
    only: tuple[str, ...],
    drawn: int,
    scored: ScoredFolder,
    processes: int | None,
    most_rows: int,
) -> dict[str, Any]:
    """Return the variables of the template."""
    from harness.report.figures.svg import dark_colors
    from harness.report.figures.sweeps import find_sweeps
    from harness.report.sections.claims import claim_sections
    from harness.report.sections.tables import averages_table, transfer_table
    from harness.results import load

    wanted = matching([e.name for e in scored.experiments], only, f"in {store.root}")
    each_problem, scores = distinct_experiments(scored)
    chosen = [each for each in each_problem if each.name in wanted]
    found = [each.results for each in chosen]
    names = [experiment.name for experiment in found]
    problems = scored.problems
    of: dict[str, list[ScoreRow]] = {name: [] for name in names}
    rows = [row for row in scores.rows if row.experiment in of]
    for row in rows:
        of[row.experiment].append(row)
    primary = [row for name in names for row in of[name] if row.observable == PRIMARY]
    summary = part("summary", lambda: summarize(rows, found))
    counted, headline = (
        ([], summary.sentence.rstrip(".")) if isinstance(summary, Absent) else summary
    )
    theories = [tally.theory for tally in counted]
    records = [record for experiment in found for record in experiment.records]
    overview = overview_picture(primary, theories, headline) if primary else None
    absent: list[str] = []

    def parts_of(name: str, make: Callable[[], list[T]]) -> list[T]:
        """Return the parts of a section; on failure, one sentence replaces all of them."""
        made = part(name, make)
        if isinstance(made, Absent):
            absent.append(made.sentence)
            return []
        return made

    def described(placed: tuple[int, Draws]) -> Section:
        place, group = placed

        def make() -> Section:
            return section(group, of, theories, records, scores.notes, place < drawn)

        made = part(f"section: {group.shown.name}", make)
        return broken_section(group, made.sentence) if isinstance(made, Absent) else made

    swept = parts_of(
        "sweeps",
        lambda: [sweep_section(sweep, primary, theories) for sweep in find_sweeps(found)[:drawn]],
    )
    groups = by_draw(found)
    placed = list(enumerate(groups))
    count = processes_for(len(placed[:drawn]), SEVERAL) if processes is None else processes
    sections = [*shared(described, placed[:drawn], count), *map(described, placed[drawn:])]
    claims = parts_of(
        "claims",
        lambda: (
            []
            if registry is None
            else claim_sections(load(store.root), registry, wanted, drawn > 0)
        ),
    )
    mine = [c for c in problems if c.experiment in wanted]
    averages = parts_of("averages over draws", lambda: [averages_table(mine, most_rows)])
    moved = parts_of("transfer", lambda: [transfer_table(problems, wanted, most_rows)])
    shown = [picture for part in sections for picture in part.pictures]
    shown += [part.picture for part in claims if part.picture]
    shown += [picture for part in swept for picture in part.pictures]
    shown += [overview] if overview else []
    extra = extra_sections(store, registry)
    anchors = {each.name: anchor(g.shown.name) for g in groups for each in g.members}
    for each in chosen:  # tables of several problems have the name that they share
        anchors.setdefault(each.name, anchors[each.results.name])
    return {
        "content": content_digest(store, registry, only, drawn, extra),
        "suites": sorted({experiment.suite for experiment in found if experiment.suite}),
        "only": only,
        "headline": headline,
        "tallies": counted,
        "tolerance": TOLERANCE,
        "overview": overview,
        "rows": primary,
        "choices": {
            kind: sorted({getattr(row, kind) for row in primary})
            for kind in ("task", "architecture", "regime", "theory", "verdict")
        },
        "anchors": anchors,
        "row_anchor": row_anchor,
        "sweeps": [part for part in swept if part.pictures],
        "claims": claims,
        "averages": next(iter(averages), None),
        "transfer": next(iter(moved), None),
        "absent": absent,
        "sections": sections,
        "experiments": len(found),
        "drawn": drawn,
        "colors": dark_colors(shown),
        "cells": len(records),
        "failed": sum(record.status == "failed" for record in records),
        "unstarted": sum(bool(experiment.failure) for experiment in found),
        "missing": sum(experiment.missing for experiment in found),
        "seconds": sum(record.facts.seconds for record in records),
        "dates": _dates(records),
        "extra": extra,
    }


def _dates(records: Sequence[CellRecord]) -> str:
    days = sorted({record.facts.started[:10] for record in records})
    return "" if not days else days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
