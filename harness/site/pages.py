"""Pages of a site, and the files that they offer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from harness.cache import font_cache
from harness.formats import csv_table, flat_row
from harness.processes import processes_for, shared
from harness.registry.component import PROBLEM_KINDS
from harness.report.parts import Absent, part
from harness.report.sections.draws import Draws
from harness.report.sections.experiments import broken_section, section
from harness.report.templating import environment, shell
from harness.report.wording import joined, plural
from harness.scoring import PRIMARY
from harness.scoring.statistics import TOLERANCE
from harness.site import names
from harness.site.contents import Contents
from harness.site.figures import Drawn, cost_and_gap, drawn
from harness.site.history import changes, versions
from harness.site.matrix import lines, side_by_side

if TYPE_CHECKING:
    from jinja2 import Environment

    from harness.report.figures.svg import Picture

SHORT: Mapping[str, str] = {
    "output/test": "outputs",
    "loss/test": "losses",
    "loss/train": "training losses",
    "kernel/feature": "kernels",
    "preactivation/density": "laws",
}
"""Short names of observables."""

SEVERAL = 4
"""Fewest experiments whose pages several processes share: each takes about a second."""

OVERVIEW = 12
"""Most experiments whose gaps are drawn one by one; for more, one strip for each theory."""


@dataclass(frozen=True)
class Site:
    """Contents of a site, and the address of the documentation, empty if it is not linked."""

    contents: Contents
    docs: str = ""

    @cached_property
    def templates(self) -> Environment:
        """Templates of the pages."""
        from markupsafe import Markup

        found = environment("harness.site", "harness.report")
        found.globals |= {
            "safe": Markup,
            "site": self,
            "contents": self.contents,
            "docs": self.docs,
            "short": SHORT,
            "tolerance": TOLERANCE,
            "link": names.link,
            "theory_page": names.theory_page,
            "experiment_page": names.experiment_page,
            "choices": self.choices,
            **shell(found, "site"),
        }
        return found

    @cached_property
    def choices(self) -> dict[str, list[str]]:
        """Values of the facts by which experiments are chosen."""
        facts = self.contents.facts.values()
        found = {kind: sorted({getattr(f, kind) for f in facts} - {""}) for kind in PROBLEM_KINDS}
        return {str(kind): values for kind, values in found.items()} | {
            "suite": self.contents.suites
        }

    def files(self, processes: int | None = None) -> dict[str, bytes]:
        """Return all files of the site, by path.

        Args:
            processes: number of processes; if None, as many as save time.
        """
        font_cache()
        found = {".nojekyll": b""} | self._index() | self._compare() | self._history()
        for theory in self.contents.theories:
            found |= self._theory(theory)
        experiments = list(self.contents.experiments)
        if processes is None:
            processes = processes_for(len(experiments), SEVERAL)
        for made in shared(self._experiment, experiments, processes):
            found |= made
        return found

    def _page(self, path: str, template: str, pictures: list[Picture], **given: Any) -> bytes:
        from harness.report.figures.svg import dark_colors

        up = "../" * path.count("/")
        given |= {"path": path, "up": up, "colors": dark_colors(pictures), "pictures": pictures}
        return self.templates.get_template(template).render(**given).encode("utf-8", "replace")

    def _index(self) -> dict[str, bytes]:
        contents, ranking = self.contents, self.contents.ranking
        figures = [*self._overall()]
        suites = contents.suites
        tables = {
            "ranking": [standing.as_json() for standing in ranking.standings],
            "comparisons": [_comparison(vars(pair)) for pair in ranking.comparisons],
            "leaderboard": [row.as_json() for row in contents.scores.rows],
            "unscored": [dict(vars(each)) for each in contents.scores.unscored],
        }
        files = {name: text for each in figures for name, text in each.files.items()}
        for name, rows in tables.items():
            files |= _table(f"data/{name}", rows)
        files["index.html"] = self._page(
            "index.html",
            "index.html.j2",
            [picture for each in figures for picture in each.pictures],
            headline=_headline(self.contents),
            ranking=ranking,
            lines=lines(contents),
            by_suite={s: contents.of_suite(s) for s in suites} if len(suites) > 1 else {},
            downloads={name: [f"data/{name}.csv", f"data/{name}.json"] for name in tables}
            | {
                stem.partition("/")[2]: [f"{stem}.svg", f"{stem}.png"]
                for stem in dict.fromkeys(n.rpartition(".")[0] for e in figures for n in e.files)
            },
            notes=contents.scores.notes,
        )
        return files

    def _overall(self) -> Iterator[Drawn]:
        from harness.report.figures.overview import gap_distribution, overview

        contents = self.contents
        yield drawn(
            "figures/cost-and-gap",
            "cost-and-gap",
            "Cost and gap",
            "all theories",
            "Each theory's median gap against the median time of a solution, over the experiments"
            " in its own domain. Filled: no theory is both nearer and faster where both apply. The"
            " line joins the smallest median gaps for their time.",
            partial(cost_and_gap, contents.ranking),
        )
        rows = [row for row in contents.scores.rows if row.observable == PRIMARY]
        draw = overview if len({row.experiment for row in rows}) <= OVERVIEW else gap_distribution
        yield drawn(
            "figures/gaps",
            "gaps",
            "Gaps",
            "all experiments",
            "The gap between the networks, extrapolated to infinite width, and each theory:"
            " relative distance of outputs on the test points, in every experiment. Agreement lies"
            " in the green field.",
            partial(draw, rows, theories=contents.theories),
        )

    def _compare(self) -> dict[str, bytes]:
        page = self._page(
            "compare.html",
            "compare.html.j2",
            [],
            ranking=self.contents.ranking,
            data=side_by_side(self.contents),
        )
        return {"compare.html": page}

    def _history(self) -> dict[str, bytes]:
        found, changed = versions(self.contents), changes(self.contents)
        page = self._page("history.html", "history.html.j2", [], versions=found, changes=changed)
        return {"history.html": page} | _table("data/history", [v.as_json() for v in found])

    def _theory(self, theory: str) -> dict[str, bytes]:
        contents, path = self.contents, names.theory_page(theory)
        standing = next(s for s in contents.ranking.standings if s.theory == theory)
        missed: dict[tuple[str, str], list[str]] = {}
        for each in contents.scores.unscored:
            if each.theory == theory:
                missed.setdefault((each.status, each.reason), []).append(each.experiment)
        page = self._page(
            path,
            "theory.html.j2",
            [],
            standing=standing,
            comparisons=[c for c in contents.ranking.comparisons if theory in (c.first, c.second)],
            rows=[r for name in contents.rows for r in contents.rows[name] if r.theory == theory],
            missed=missed,
            versions=[v for v in versions(contents) if v.theory == theory],
        )
        return {path: page}

    def _experiment(self, name: str) -> dict[str, bytes]:
        from harness.report.figures.convergence import CAPTION, convergence

        contents, path = self.contents, names.experiment_page(name)
        experiment, rows = contents.experiments[name], contents.rows[name]
        draws = Draws(experiment, [experiment])
        notes = contents.scores.notes
        made = part(
            f"section: {name}",
            lambda: section(
                draws, contents.rows, contents.theories, experiment.records, notes, False
            ),
        )
        shown = broken_section(draws, made.sentence) if isinstance(made, Absent) else made
        primary = [row for row in rows if row.observable == PRIMARY]
        figure = Drawn()
        if primary:
            figure = drawn(
                names.convergence_file(name, "").rstrip("."),
                "convergence",
                "Convergence in width",
                name,
                CAPTION,
                partial(convergence, primary, theories=contents.theories),
            )
        order = list(contents.experiments)
        place = order.index(name)
        tables = _table(names.rows_file(name, "").rstrip("."), [row.as_json() for row in rows])
        page = self._page(
            path,
            "experiment.html.j2",
            figure.pictures,
            section=shown,
            facts=contents.facts[name],
            experiment=experiment,
            rows=rows,
            before=order[place - 1] if place else None,
            after=order[place + 1] if place + 1 < len(order) else None,
            downloads=[*tables, *figure.files],
        )
        return {path: page} | tables | figure.files


def _headline(contents: Contents) -> str:
    """Return the result of the ranking in one sentence."""
    count = len(contents.experiments)
    over = f"{count} {plural('experiment', count)}"
    first = [s.theory for s in contents.ranking.standings if s.rank == 1]
    if not first:
        return f"No theory has a score yet, over {over}"
    verb = "ranks first" if len(first) == 1 else "share the first rank"
    others = len(contents.theories)
    if others == 1:
        return f"{first[0]} is the only theory, over {over}"
    return f"{joined(first)} {verb} among {others} theories, over {over}"


def _comparison(pair: Mapping[str, Any]) -> dict[str, Any]:
    return dict(pair) | {"difference_ci": list(pair["difference_ci"])}


def _table(stem: str, rows: list[dict[str, Any]]) -> dict[str, bytes]:
    """Return rows as CSV, without their lists, and as JSON."""
    flat = [flat_row(_without_lists(row)) for row in rows]
    text = json.dumps(rows, indent=1, allow_nan=False)
    return {
        f"{stem}.csv": csv_table(flat).encode("utf-8", "replace"),
        f"{stem}.json": text.encode(),
    }


def _without_lists(value: dict[str, Any]) -> dict[str, Any]:
    """Return a row without the lists that no column holds; intervals and widths stay."""
    return {
        name: _without_lists(inner) if isinstance(inner, dict) else inner
        for name, inner in value.items()
        if name not in ("beaten_by", "dominated_by", "cells")
    }
