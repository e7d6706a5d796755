"""Whether a report shows the results as they are is told by content, not by times."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from made_results import Results

from harness import Registry
from harness.registry.component import Component
from harness.report import is_current, write_report
from harness.store import Store
from harness.store.fingerprint import fingerprint


class Registered:
    """Plugins that add one section."""

    def __init__(self, text: str) -> None:
        self.text = text

    def components(self, kind: str) -> list[Component]:
        return []

    def notify(self, hook: str, **facts: str) -> list[str]:
        return [self.text]


def adding(text: str) -> Registry:
    return cast(Registry, Registered(text))


@pytest.fixture
def results(tmp_path: Path) -> Results:
    made = Results(tmp_path / "results")
    made.add("e", {"lazy-ntk": 0.0}, widths=(16, 64), seeds=(0, 1), stages=1)
    return made


def current(root: Path, registry: Registry | None = None, figures: int = 0) -> bool:
    return is_current(root / "report.html", Store(root), registry, figures)


def test_a_report_is_current_until_the_results_change(results: Results) -> None:
    root = results.store.root
    assert not current(root)
    write_report(results.store, figures=0)
    assert current(root)
    results.add("another", {"lazy-ntk": 0.0}, widths=(16,), seeds=(0,), stages=1)
    assert not current(root)


def a_cell_that_was_computed_again(root: Path) -> None:
    path = next(root.glob("cells/*/cell.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": 7.0}))


def a_cell_that_is_gone(root: Path) -> None:
    shutil.rmtree(next(root.glob("cells/*")))


def curves_that_were_cut(root: Path) -> None:
    path = next(root.glob("cells/*/curves.parquet"))
    path.write_bytes(path.read_bytes()[:-1])


def curves_with_another_byte(root: Path) -> None:
    path = next(root.glob("cells/*/curves.parquet"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def a_manifest_that_names_more(root: Path) -> None:
    path = next(root.glob("experiments/*.json"))
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"cells": [*facts["cells"], "0" * 24]}))


CHANGES = (
    a_cell_that_was_computed_again,
    a_cell_that_is_gone,
    curves_that_were_cut,
    curves_with_another_byte,
    a_manifest_that_names_more,
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_results_that_came_with_their_old_times_make_a_report_stale(
    results: Results, change: Callable[[Path], None]
) -> None:
    """As after `rsync -a`: everything that is new has a time before the report's."""
    root = results.store.root
    write_report(results.store, figures=0)
    change(root)
    for path in [*root.rglob("*"), root]:
        os.utime(path, (1, 1))
    os.utime(root / "report.html")
    assert not current(root)


def test_a_copy_with_new_times_needs_no_new_report(results: Results, tmp_path: Path) -> None:
    write_report(results.store, figures=0)
    shutil.copytree(results.store.root, tmp_path / "copy", copy_function=shutil.copyfile)
    os.utime(tmp_path / "copy" / "report.html", (1, 1))
    assert fingerprint(Store(tmp_path / "copy")) == fingerprint(results.store)
    assert current(tmp_path / "copy")


def test_what_plugins_add_is_part_of_a_report(results: Results) -> None:
    root = results.store.root
    write_report(results.store, registry=adding("one"), figures=0)
    assert current(root, adding("one"))
    assert not current(root, adding("two"))
    assert not current(root)


def test_a_report_of_some_experiments_is_not_that_of_all(results: Results) -> None:
    path = results.store.root / "report.html"
    write_report(results.store, path, only="e", figures=0)
    assert not current(results.store.root)


@pytest.mark.parametrize("text", ["", "<!DOCTYPE html>", "x" * 2**17])
def test_what_is_no_report_of_ours_is_not_current(results: Results, text: str) -> None:
    (results.store.root / "report.html").write_text(text)
    assert not current(results.store.root)


def test_another_version_of_limitbench_writes_the_report_anew(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(results.store, figures=0)
    monkeypatch.setattr("harness.report.freshness.version", lambda _: "999")
    assert not current(results.store.root)


def test_a_report_with_other_figures_is_another_one(results: Results) -> None:
    write_report(results.store, figures=0)
    assert not current(results.store.root, figures=1)
    assert not is_current(results.store.root / "report.html", results.store, None)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda page: page[:3000],
        lambda page: page[:-1],
        lambda page: page.rpartition(b"</body>")[0],
        lambda page: page.replace(b"</footer>", b"<footer>"),
        lambda page: page + b"more",
    ],
)
def test_a_report_that_is_not_whole_is_not_current(
    results: Results, spoil: Callable[[bytes], bytes]
) -> None:
    path = write_report(results.store, figures=0)
    assert current(results.store.root)
    path.write_bytes(spoil(path.read_bytes()))
    assert b"limitbench-content" in path.read_bytes()
    assert not current(results.store.root)
