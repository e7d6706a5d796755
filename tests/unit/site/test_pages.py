"""Pages of a site: what there is, links that resolve, text that stays text."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from made_results import HOSTILE, Results
from report_pages import Elements

from harness.scoring import RANKED, rank_theories, score_folders
from harness.site import write_site
from harness.site.names import experiment_page, theory_page
from harness.store import Store

LARGEST = 3_000_000
"""Largest number of bytes of a page."""


def pages(site: Path) -> dict[str, str]:
    return {
        path.relative_to(site).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(site.rglob("*.html"))
    }


def test_every_theory_and_experiment_has_a_page(site: Path) -> None:
    theories = {theory_page(name) for name in ("good", "bad", "other", "outside", "crooked")}
    experiments = {experiment_page(name) for name in ("one", "two", "alone", HOSTILE)}
    assert pages(site).keys() == {
        "index.html",
        "compare.html",
        "history.html",
        *theories,
        *experiments,
    }
    assert "theory/good.html" in theories


def test_every_link_leads_to_a_file_or_a_place_on_the_page(site: Path) -> None:
    known = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    reached = set()
    for name, page in pages(site).items():
        found = Elements(page)
        ids = found.attributes("id")
        assert len(set(ids)) == len(ids)
        for href in found.attributes("href"):
            parts = urlsplit(href)
            if parts.scheme:
                assert href.startswith("https://example.org/docs/theory.html#")
            elif not parts.path:
                assert parts.fragment in ids
            else:
                target = (site / name).parent / unquote(parts.path)
                reached.add(target.resolve().relative_to(site.resolve()).as_posix())
    assert known - reached == {".nojekyll", "limitbench-site.json"}


def test_pages_ask_nothing_of_a_network_and_are_small(site: Path) -> None:
    for page in pages(site).values():
        found = Elements(page)
        assert len(page.encode()) < LARGEST
        assert [name for name, _ in found.tags if name in ("link", "iframe", "object")] == []
        assert [src for src in found.attributes("src") if not src.startswith("data:")] == []
        (policy,) = [a["content"] for _, a in found.tags if "http-equiv" in a]
        assert policy.startswith("default-src 'none'; img-src data:;")


def test_foreign_text_stays_text(site: Path) -> None:
    for page in pages(site).values():
        tags = Elements(page).tags
        scripts = [attributes.get("type", "") for name, attributes in tags if name == "script"]
        assert scripts in ([""], ["application/json", ""])
        assert not any(name == "b" or "onerror" in attributes for name, attributes in tags)
    assert "<b>broke</b>" in Elements(pages(site)[theory_page("bad")]).text


def test_the_ranking_is_that_of_the_command(site: Path, inputs: list[Path]) -> None:
    found = json.loads((site / "data/ranking.json").read_text())
    names = [each["theory"] for each in found]
    assert set(names) == {"good", "bad", "other", "outside", "crooked"}
    folders = [Store(folder) for folder in inputs[:2]]
    alone = {s.theory: s for s in rank_theories(score_folders(folders, RANKED)).standings}
    assert next(s for s in found if s["theory"] == "bad")["domain"] == alone["bad"].domain == 3
    text = Elements(pages(site)["index.html"]).text
    assert "good ranks first among 5 theories, over 4 experiments." in text
    assert "3 of 4" in text  # domain of the first


def test_a_row_leads_to_its_cell_and_its_files(site: Path, inputs: list[Path]) -> None:
    stem = Path(experiment_page("two")).stem
    rows = list(csv.DictReader(io.StringIO((site / f"data/{stem}.csv").read_text())))
    assert {row["theory"] for row in rows} == {"good", "bad"}
    cells = {path.name for path in (inputs[0] / "cells").iterdir()}
    page = pages(site)[experiment_page("two")]
    for row in rows:
        assert row["cell"] in cells and row["cell"] in page
        assert f"width {row['widths'].split()[0]}: " in page  # values of a point in the figure
    assert "two layers only" in page
    for form in ("svg", "png"):
        assert (site / f"figures/convergence-{stem}.{form}").stat().st_size > 5_000
    assert "two layers only" in pages(site)["theory/outside.html"]


def test_cells_of_a_folder_and_a_submission_are_scored_together(site: Path) -> None:
    rows = json.loads((site / "data/leaderboard.json").read_text())
    one = {row["theory"] for row in rows if row["experiment"] == "one"}
    assert one == {"good", "bad", "other"}
    assert len({row["problem"] for row in rows if row["experiment"] == "one"}) == 1


def test_pairs_of_theories_have_their_experiments(site: Path) -> None:
    page = pages(site)["compare.html"]
    start = page.index('id="data">') + len('id="data">')
    data = json.loads(page[start : page.index("</script>", start)])
    good, bad = (data["theories"].index(name) for name in ("good", "bad"))
    (pair,) = [p for p in data["pairs"]["output/test"] if {p["first"], p["second"]} == {good, bad}]
    assert pair["nearer"] == "good"
    assert [side for _, _, side in pair["each"]] == [-1 if pair["first"] == good else 1] * 2
    named = [data["experiments"][place]["experiment"] for place, *_ in pair["each"]]
    assert named == ["one", "two"]


def test_one_version_is_said_in_words(site: Path) -> None:
    assert "hold one version of every theory" in Elements(pages(site)["history.html"]).text


def test_versions_of_a_theory_stand_beside_each_other(tmp_path: Path) -> None:
    folders = []
    for version, gap in (("1", 0.3), ("2", 0.0)):
        made = Results(tmp_path / version, version=version)
        made.add("one", {"good": gap})
        folders.append(made.store.root)
    site = write_site(folders, tmp_path / "site").parent
    rows = json.loads((site / "data/history.json").read_text())
    assert [(row["version"], row["agrees"], row["disagrees"]) for row in rows] == [
        ("1", 0, 1),
        ("2", 1, 0),
    ]
    text = Elements(pages(site)["history.html"]).text
    assert "The same experiment, several versions" in text


def test_results_without_a_score_have_a_site(tmp_path: Path) -> None:
    made = Results(tmp_path / "results")
    made.add("one", {"good": "broke"})
    site = write_site([made.store.root], tmp_path / "site").parent
    assert "No theory has a score yet" in pages(site)["index.html"]
    assert "broke" in Elements(pages(site)["theory/good.html"]).text


def test_the_same_results_give_the_same_bytes(
    site: Path, inputs: list[Path], tmp_path: Path
) -> None:
    again = write_site(inputs, tmp_path / "s", docs="https://example.org/docs").parent
    for path in sorted(p for p in site.rglob("*") if p.is_file()):
        assert (again / path.relative_to(site)).read_bytes() == path.read_bytes(), path


@pytest.mark.parametrize("name", ["con", "A", "a/b", "..", "-", "x" * 90, "lpt1", "a b"])
def test_names_of_files_are_safe_everywhere(name: str) -> None:
    stem = theory_page(name).removeprefix("theory/").removesuffix(".html")
    assert stem not in {name, "", ".."} and "/" not in stem and len(stem) < 80
