"""From a suite file to a suite: finding and reading it, checking bounds, and listing all faults."""

from __future__ import annotations

import contextlib
import math
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import SuiteError, nearest
from harness.registry import Registry
from harness.registry.component import as_json
from harness.suites import bounds
from harness.suites.bounds import Place
from harness.suites.expand import NOTHING, expand, listed_theories, observables
from harness.suites.experiment import Experiment, Spec, Suite
from harness.suites.faults import Faults, explain
from harness.suites.repeats import repeated, repeated_numbers
from harness.suites.schema import SuiteFile, bundled_suites, listed
from harness.suites.sound import Sound, is_within, sound_experiments, take_out


def load_suite(source: str | Path, registry: Registry) -> Suite:
    """Read a suite from a file, or a bundled one by name.

    Raises:
        SuiteError: if anything in it cannot be run; a line for each fault, with file, dotted path,
            value, allowed values, and the nearest valid name.
    """
    path = _find(source)
    faults = Faults()
    with faults.gathered():
        table = _parse(_read(path))
        missing = _out_of_bounds(table, faults)
        parsed, tables = _shape(table, missing, faults)
        faults.add(repeated_numbers(table))
        _refuse_excess(parsed, tables)
        experiments: list[Experiment] = []
        names: list[str] = []
        theories: tuple[Spec, ...] = ()
        observed = NOTHING
        if parsed is not None:
            usual = parsed.suite.theories
            theories = listed_theories(usual or [], registry, "suite", faults)
            observed = observables(parsed.suite.observables, registry, "suite", faults)
            faults.add(
                f"experiment.{i}.theories: missing; list them here, or in [suite] for all"
                for i, each in enumerate(parsed.experiment)
                if usual is each.theories is None
                and missing.isdisjoint({("suite", "theories"), ("experiment", i, "theories")})
            )
        for i, each in tables.items():
            found = expand(each, f"experiment.{i}", registry, faults, theories, observed)
            names += found if each.table.name else []
            experiments += [e for e in found.values() if e is not None]
        faults.add(
            f"experiment: duplicate name {name!r}; names of experiments must be unique"
            for name in repeated(names)
        )
        if parsed is not None and not faults:
            s = parsed.suite
            widths, seeds = tuple(sorted(s.widths)), listed(s.seeds)
            return Suite(s.name, widths, seeds, s.dtype, tuple(experiments))
    raise faults.error(path)


def _find(source: str | Path) -> Path:
    path = Path(source)
    bundled = bundled_suites()
    with contextlib.suppress(OSError):  # a name too long for a file is no file
        if path.is_file():
            return path
    if path.suffix == ".toml":
        raise SuiteError(f"{path}: no such file; a suite is a TOML file or one of {_list(bundled)}")
    if str(source) in bundled:
        return bundled[str(source)]
    with contextlib.suppress(OSError):
        if path.is_dir():
            raise SuiteError(f"{path}: a folder; give the TOML file of a suite in it")
    hint = nearest(str(source), list(bundled))
    raise SuiteError(f"unknown suite {str(source)!r}{hint}; bundled are {_list(bundled)}")


def _read(path: Path) -> str:
    """Return the text of a file of bounded size."""
    try:
        with path.open("rb") as opened:
            content = opened.read(bounds.FILE + 1)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"cannot be read as text ({error}); give a TOML file") from None
    if len(content) > bounds.FILE:
        raise SuiteError(f"more than {bounds.FILE:,} bytes, which is the most; make several suites")
    return text


def _parse(text: str) -> dict[str, Any]:
    """Return the content of a TOML text."""
    bounds.refuse_long_keys(text)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise SuiteError(f"nested too deeply; at most {bounds.DEPTH} tables or lists") from None
    except tomllib.TOMLDecodeError as error:
        raise SuiteError(f"not valid TOML: {error}") from None
    except ValueError:  # Python's own limit on the digits of an integer, or a date out of range
        raise SuiteError(
            "not valid TOML: a whole number of more than 64 bits, or a date that does not exist"
        ) from None


def _out_of_bounds(table: dict[str, Any], faults: Faults) -> set[Place]:
    """Take values beyond the bounds out of a table, and return the places of what is missing now.

    Raises:
        SuiteError: if the whole table is beyond them.
    """
    places = []
    for place, line in bounds.excess(table):
        if not place:
            raise SuiteError(line)
        faults.add([line])
        places.append(place)
    return take_out(table, places)


def _shape(
    table: dict[str, Any], missing: Collection[Place], faults: Faults
) -> tuple[SuiteFile | None, dict[int, Sound]]:
    """Return a suite, None if its shape is wrong, and the valid parts of its experiments.

    Args:
        table: table as it was read.
        missing: places whose values were beyond the bounds, as already reported.
        faults: collects faults.
    """
    parsed = None
    try:
        parsed = SuiteFile.model_validate_json(as_json(table))
        found = {i: Sound(each) for i, each in enumerate(parsed.experiment)}
    except ValidationError as error:
        wrong = explain(error, table, SuiteFile)
        faults.add(fault.line("") for fault in wrong if not is_within(fault.place, missing))
        found = sound_experiments(table, [fault.place for fault in wrong])
    lost: dict[int | str, set[str]] = {}
    for _, i, kind, name in (place for place in missing if len(place) == 4):
        lost.setdefault(i, set()).add(str(name) if kind == "sweep" else f"{kind}.{name}")
    return parsed, {i: replace(s, lost=s.lost | lost.get(i, set())) for i, s in found.items()}


def _refuse_excess(parsed: SuiteFile | None, tables: Mapping[int, Sound]) -> None:
    """Refuse too many experiments or cells before any is made."""
    experiments = cells = 0
    for i, sound in tables.items():
        table = sound.table
        points = [len(values) for values in table.sweep.values()]
        points += [] if table.data_seeds is None else [len(listed(table.data_seeds))]
        bounds.refuse_sweep(points, f"experiment.{i}.sweep")
        experiments += math.prod(points)
        if parsed is not None:
            widths = parsed.suite.widths if table.widths is None else table.widths
            seeds = listed(parsed.suite.seeds if table.seeds is None else table.seeds)
            theories = parsed.suite.theories if table.theories is None else table.theories
            cells += math.prod(points) * (len(widths) * len(seeds) + len(theories or []))
    bounds.refuse_cells(experiments, cells)


def _list(names: Any) -> str:
    return ", ".join(sorted(names))
