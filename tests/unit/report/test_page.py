"""The report is one offline page that answers first, keeps names as text, and hides no failure."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner
from made_results import HOSTILE, WIDTHS, Results
from report_pages import Elements, page_of

from harness import Component
from harness.cli.report_ import command
from harness.errors import StoreError
from harness.registry import Registry
from harness.report import write_report
from harness.report.page import render
from harness.store import Store


def test_page_asks_nothing_of_any_network(results: Results) -> None:
    results.add("one", {"good": 0.0, "bad": 0.5})
    page = page_of(results)
    elements = Elements(page)
    assert "http:" not in page
    assert "https:" not in page
    assert "@import" not in page
    assert all(value.startswith(("#", "data:")) for value in elements.attributes("href"))
    assert all(value.startswith("data:") for value in elements.attributes("src"))
    assert all(found.startswith("#") for found in re.findall(r"url\(\s*['\"]?(.)", page))
    assert not {"link", "iframe", "object", "base"} & {tag for tag, _ in elements.tags}
    assert not elements.attributes("action")
    assert "default-src 'none'" in page
    assert "form-action 'none'" in page


def test_headline_counts_the_experiments_on_which_each_theory_agrees(results: Results) -> None:
    results.add("one", {"good": 0.0, "bad": 0.5})
    results.add("two", {"good": 0.0, "bad": "not: linear only"})
    text = " ".join(Elements(page_of(results)).text.split())
    assert "good describes wide networks in 2 of 2 experiments; bad in 0 of 1." in text
    assert "agrees on 0, disagrees on 1, does not apply to 1" in text


def test_every_experiment_and_score_is_there(results: Results) -> None:
    for name in ("one", "two", "three[task.x=0.5]"):
        results.add(name, {"good": 0.0, "bad": 0.5})
    page = page_of(results)
    elements = Elements(page)
    headings = re.findall(r"<h2 id=\"experiment-[^>]+>(.*?)</h2>", page)
    assert headings == ["one", "two", "three[task.x=0.5]"]
    board = page.split('<table class="sortable"')[1].split("</table>")[0]
    assert board.count('<tr id="row-') == 3 * 2
    assert board.count("✓ agrees") == board.count("✗ disagrees") == 3
    assert "12 networks of architecture mlp (depth 1)" in elements.text
    assert "Widths 16, 64 and 256, 4 seeds each." in elements.text
    assert "9.8.7" in elements.text
    assert "seeds 0 to 3, float32" in elements.text


def test_anchors_exist_and_ids_are_unique(results: Results) -> None:
    results.add("one", {"good": 0.0, "bad": 0.5})
    results.add("One", {"good": 0.0})
    elements = Elements(page_of(results))
    ids = elements.attributes("id")
    assert len(ids) == len(set(ids))
    links = [h for h in elements.attributes("href") if not h.startswith("data:image/png;")]
    assert {h.removeprefix("#") for h in links} <= set(ids)
    for name in ("aria-labelledby", "aria-describedby"):
        assert set(elements.attributes(name)) <= set(ids)


def test_page_says_to_a_screen_reader_what_it_shows(results: Results) -> None:
    results.add("one", {"good": 0.0})
    elements = Elements(page_of(results))
    drawn = [found for tag, found in elements.tags if tag == "svg"]
    assert len(drawn) == 1 + 7
    assert all(found["role"] == "img" and found["aria-labelledby"] for found in drawn)
    assert all(found.get("scope") in ("row", "col") for tag, found in elements.tags if tag == "th")
    assert "Convergence in width: one" in elements.text


def test_hostile_names_stay_text(results: Results) -> None:
    results.add(HOSTILE, {"good": 0.0, "bad": "<img src=x onerror=alert(2)>"}, broken=(16,))
    page = page_of(results)
    elements = Elements(page)
    assert [tag for tag, _ in elements.tags].count("script") == 1
    assert not {"img", "b", "i"} & {tag for tag, _ in elements.tags}
    assert not [name for _, found in elements.tags for name in found if name.startswith("on")]
    assert HOSTILE in elements.text
    assert "<i>task</i>" in elements.text
    assert "x" not in elements.attributes("id")
    overview = page.split("<svg")[1].split("</svg>")[0]
    assert "&lt;script&gt;alert(1)&lt;/script…" in overview  # both ends of a long name
    assert "$a_b$" in overview


def test_failures_and_gaps_are_shown_with_their_reasons(results: Results) -> None:
    results.add("one", {"good": 0.0, "bad": "out of memory"}, broken=(64,), missing=2)
    results.add("two", {"good": "not: two layers only"})
    results.add("three", {}, widths=(), failure="needs 60 points, has 3")
    text = " ".join(Elements(page_of(results)).text.split())
    assert "networks of width 64, seeds 0 to 3 failed loss <exploded> (phase: solve)" in text
    assert "bad failed out of memory (phase: solve)" in text
    assert "good does not apply two layers only" in text
    assert "2 cells are missing from the results folder" in text
    assert "It could not start: needs 60 points, has 3" in text
    assert "1 of 3 experiments could not start. 5 of 29 cells failed. 2 cells are missing." in text
    assert "Traceback <b>" in text
    assert "one (incomplete)" in text


NO_VERDICT = "No verdict: it takes finished networks and a finished theory."
# experiments that lack something: what their sections say, and how many figures they have
UNUSUAL: dict[str, tuple[dict[str, Any], str, int]] = {
    "no theory": ({"theories": {}}, NO_VERDICT, 4),
    "no network": ({"theories": {"good": 0.0}, "widths": ()}, "Theories alone: there are no", 4),
    "all failed": (
        {"theories": {"good": "broke"}, "broken": WIDTHS},
        "seeds 0 to 3 failed loss <exploded> (phase: solve)",
        0,
    ),
    "none is there": (
        {"theories": {}, "widths": (), "missing": 3},
        "None of its cells is in the results folder. " + NO_VERDICT,
        0,
    ),
    "one seed": ({"theories": {"good": 0.0}, "seeds": (0,)}, "? undecided good. The gap", 7),
    "one width": ({"theories": {"good": 0.0}, "widths": (64,)}, "? undecided good. The gap", 7),
    "one stage": ({"theories": {"good": 0.0}, "stages": 1}, "✓ agrees good. At infinite width", 6),
    "four stages": ({"theories": {"good": 0.0}, "stages": 4}, "✓ agrees good. At infinite", 7),
    "a theory far off": ({"theories": {"good": 100.0}}, "As the gap remains, it never reaches", 7),
}


@pytest.mark.parametrize(("case", "sentence", "figures"), UNUSUAL.values(), ids=UNUSUAL)
def test_incomplete_and_unusual_experiments_have_a_section_that_says_so(
    results: Results, case: dict[str, Any], sentence: str, figures: int
) -> None:
    results.add("odd one", **case)
    section = page_of(results).split("odd one</h2>")[1].split("</section>")[0]
    assert sentence in " ".join(Elements(section).text.split())
    assert section.count("<svg") == figures


def test_folder_without_cells_has_a_page_and_no_folder_has_none(
    results: Results, tmp_path: Path
) -> None:
    assert "There is no verdict yet." in page_of(results)
    with pytest.raises(StoreError, match="no results here"):
        write_report(Store(tmp_path / "elsewhere"))
    assert not (tmp_path / "elsewhere").exists()


def test_same_results_give_the_same_file(results: Results, tmp_path: Path) -> None:
    results.add("one", {"good": 0.0, "bad": 0.5})
    first = write_report(results.store).read_bytes()
    second = write_report(results.store, tmp_path / "new" / "again.html")
    assert second.read_bytes() == first
    assert [path.name for path in second.parent.iterdir()] == ["again.html"]


def test_processes_that_share_the_figures_give_the_same_page(results: Results) -> None:
    for position in range(3):
        results.add(f"alpha {position}", {"exact": 0.001, "off": 0.3})
    code = (
        "import hashlib, sys\n"
        "from pathlib import Path\n"
        "from harness.report.page import render\n"
        "from harness.store import Store\n"
        "page = render(Store(Path(sys.argv[1])), figures=2, processes=int(sys.argv[2]))\n"
        "print(page.count('<svg'), hashlib.sha256(page.encode()).hexdigest())\n"
    )
    one, two = (
        subprocess.run(
            [sys.executable, "-c", code, str(results.store.root), count],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for count in ("1", "2")
    )
    assert one == two
    assert int(one.split()[0]) > 2


def test_file_that_cannot_be_written_is_a_one_line_error(results: Results, tmp_path: Path) -> None:
    (tmp_path / "taken.html").mkdir()
    with pytest.raises(StoreError, match=r"taken\.html: cannot be written .* elsewhere") as e:
        write_report(results.store, tmp_path / "taken.html")
    assert "\n" not in str(e.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results", "taken.html"]


def test_plugins_add_sections_as_text(results: Results) -> None:
    class Registered:
        def components(self, kind: str) -> list[Component]:
            return []

        def notify(self, hook: str, **facts: str) -> list[str]:
            assert hook == "limitbench_report_section"
            assert facts == {"results": str(results.store.root)}
            return ["<em>my\nsection</em>"]

    page = page_of(results, cast(Registry, Registered()))
    assert "<pre>&lt;em&gt;my\nsection&lt;/em&gt;</pre>" in page
    assert "From plugins" not in page_of(results)


def test_missing_cells_are_named_where_their_solver_is_known(results: Results) -> None:
    results.add("whole", {"good": 0.0})
    results.add("partial", {"good": 0.0}, removed=(64,), missing=2)
    text = " ".join(Elements(page_of(results)).text.split())
    assert "networks of width 64, seeds 0 to 3 missing not computed" in text
    assert "2 other cells missing not computed" in text
    assert "6 cells are missing" in text


def test_command_chooses_experiments_and_figures(results: Results, tmp_path: Path) -> None:
    for name in ("one", "two"):
        results.add(name, {"good": 0.0})
    folder, target = str(results.store.root), tmp_path / "only.html"
    run = CliRunner().invoke
    done = run(command, [folder, "--only", "o*", "--figures", "0", "-o", str(target)])
    assert (done.exit_code, done.stdout) == (0, f"{target}\n")
    page = target.read_text(encoding="utf-8")
    assert page.count("<svg") == 1
    assert "two</h2>" not in page
    refused = run(command, [folder, "--only", "o*"])
    assert refused.exit_code == 2
    assert "--only needs -o FILE" in refused.stderr
    assert not (results.store.root / "report.html").exists()


def test_importing_the_report_loads_no_plotting() -> None:
    code = (
        "import sys, harness.report;"
        "print({'matplotlib', 'seaborn', 'jax', 'jinja2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_draws_of_the_data_share_a_section_and_hide_no_failure(results: Results) -> None:
    for draw in range(4):
        name = f"x[regime.decay=0.5,task.data_seed={draw}]"
        widths = WIDTHS if draw == 2 else ()
        gap: float | str = "out of memory" if draw == 3 else 0.0
        results.add(name, {"good": gap}, widths=widths, data_seed=draw, regime={"decay": 0.5})
    page = page_of(results)
    text = " ".join(Elements(page).text.split())
    headings = re.findall(r"<h2 id=\"experiment-[^>]+>(.*?)</h2>", page)
    assert headings == ["x[regime.decay=0.5,task.data_seed=2]"], "the one with networks"
    assert "One of 4 draws of the data" in text
    assert "good; data seed 3 failed out of memory (phase: solve)" in text
    assert "in 4 experiments" in text
    assert "good describes wide networks in 1 of 2 experiments" in text, "no verdict on draw 3"


def test_theories_alone_have_a_page_without_complaint(results: Results) -> None:
    for draw in range(2):
        results.add(f"x[task.data_seed={draw}]", {"good": 0.0}, widths=(), data_seed=draw)
    page = page_of(results)
    text = " ".join(Elements(page).text.split())
    assert "Theories alone: there are no networks to compare them with." in text
    assert "No score" not in text and "no verdict on" not in text
    part = page.split('<h2 id="averages">')[1].split("</section>")[0]
    assert part.count("<tr>") == 1 + 1
    assert '<td class="number">2</td><td class="number">0.05481</td>' in part


def test_transfer_is_a_table_with_errors_that_is_cut_off(results: Results) -> None:
    results.add(HOSTILE, {"good": 0.0})
    results.add("alone", {"good": 0.0}, stages=1)
    page = page_of(results, figures=0)
    part = page.split('<h2 id="transfer">')[1].split("</section>")[0]
    assert part.count("<tr>") == 1 + 1 + 1, "the widest networks, and a theory"
    assert "networks, width 256" in part and "Forgetting" in part
    assert "no control, so no gain" in part
    assert "Parameters" not in part and "Draws" not in part, "columns that would be empty"
    assert "<bdi>&lt;script&gt;" in part
    assert "Averages over draws" not in page, "there are none"
    short = render(results.store, figures=0, rows=1)
    assert "The first 1 of 2 rows." in short and "harness.load(DIR).transfer" in short
    assert '<h2 id="transfer">' not in page_of(results, only="alone", figures=0)


def test_a_report_replaces_an_older_one_and_nothing_else(results: Results, tmp_path: Path) -> None:
    results.add("one", {"good": 0.0})
    root, thesis, older = results.store.root, tmp_path / "thesis.tex", tmp_path / "older.html"
    other = Results(tmp_path / "other").store.root
    thesis.write_text("mine")
    (root / "notes.html").write_text("mine")
    write_report(results.store, older, figures=0)
    (root / "report.html").write_text("cut short")
    link = tmp_path / "link"
    link.symlink_to(root / "cells")
    within = [
        root / "limitbench.json",
        next(root.glob("cells/*/cell.json")),
        root / "cells" / "new.html",
        root / "notes.html",
        root / "fresh.json",
        link / "new.html",
        other / "report.html",
    ]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for target in (thesis, *within):
        done = CliRunner().invoke(command, [str(root), "-o", str(target)], standalone_mode=False)
        assert isinstance(done.exception, StoreError)
        assert done.exception.exit_code == 2
        word = "not a report that" if target == thesis else "it lies in the results folder"
        assert str(done.exception).startswith(f"{target}: cannot be written ({word} ")
        assert "write it elsewhere" in str(done.exception)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    results.add("two", {"good": 0.0})
    for target in (older, root / "report.html", link / ".." / "report.html"):
        write_report(results.store, target, figures=0)
        assert "two</h2>" in target.read_text(encoding="utf-8")
