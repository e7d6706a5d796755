"""Compiled programs are kept for other processes, counted, told of, and few enough."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import pytest

from harness import progress
from harness.cache import cache_folder
from harness.cli.run_ import spent_on
from harness.execution import compilation, programs
from harness.execution.calls import CellReport, Job, Spent
from harness.execution.context import JobContext
from harness.execution.messages import Returned, Share
from harness.execution.workers import worker

COMPILE = """
import jax, jax.monitoring, sys
from harness.execution.compilation import CompilationClock
from harness.execution.programs import use_kept_programs
use_kept_programs()
clock = CompilationClock()
told = []
clock.tell = told.append
{comment}
jax.jit(lambda x: x * 3 + 1)(2.0)
print(clock.programs, clock.loaded, told == [True, False] * clock.programs)
"""


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("LIMITBENCH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def keep(cache: Path, name: str, size: int, used: float, content: bytes = b"program") -> Path:
    """Put a program into the cache that was last used at a time."""
    path = cache / "xla" / "processor" / f"{name}-cache"
    path.parent.mkdir(parents=True, exist_ok=True)
    packed = zlib.compress(content)
    path.write_bytes(packed + b"\0" * max(0, size - len(packed)))
    os.utime(path, (used, used))
    return path


def test_compiling_is_timed_without_gaps_and_running_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(compilation, "time", SimpleNamespace(perf_counter=lambda: now))
    clock = compilation.CompilationClock()
    told: list[tuple[float, bool]] = []
    clock.tell = lambda compiling: told.append((now, compiling))
    traced, lowered, compiled = compilation.FIRST, compilation.LOWERED, compilation.LAST
    for end, event, names in (
        (2.0, traced, {"fun_name": "step"}),
        (4.0, lowered, {"fun_name": "jit(step)"}),
        (6.0, compiled, {"fun_name": "jit(step)"}),  # from 1 to 6 without gaps
        (10.0, lowered, {"fun_name": "jit(step)"}),  # it has run in between
        (20.0, lowered, {}),
        (30.0, compiled, {}),
    ):
        now = end
        clock._hear(compilation.EVENTS + event, 1.0, **names)
    clock._count(compilation.LOADED)
    clock._count("/jax/compilation_cache/cache_misses")
    assert clock.seconds == pytest.approx(5.0 + 1.0 + 1.0 + 1.0)
    assert (clock.programs, clock.loaded) == (2, 1)
    assert told == [(4.0, True), (6.0, False), (10.0, True), (20.0, True), (30.0, False)]


def test_programs_are_dropped_where_there_are_too_many(tmp_path: Path) -> None:
    program: Any = jax.jit(lambda x: x + 1.0)  # what it keeps is no public attribute
    program(2.0)
    maps = tmp_path / "maps"
    compilation.release_programs(maps, 2)  # where a system does not tell
    maps.write_text("mapping\n" * 2)
    compilation.release_programs(maps, 2)
    assert program._cache_size() == 1
    maps.write_text("mapping\n" * 3)
    compilation.release_programs(maps, 2)
    assert program._cache_size() == 0


def test_a_program_is_compiled_once_for_all_processes_wherever_its_source_lies(
    tmp_path: Path, cache: Path
) -> None:
    said = []
    for folder, comment in (("one", ""), ("another", "# a line more")):
        (tmp_path / folder).mkdir()
        script = tmp_path / folder / "script.py"
        script.write_text(COMPILE.format(comment=comment))
        done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        said.append(done.stdout.split())
    first, again = said
    assert first == [first[0], "0", "True"]
    assert again == [first[0], first[0], "True"], "all taken from those that are kept"
    number, size = programs.kept_programs()
    assert number == int(first[0])
    assert size == sum(p.stat().st_size for p in cache.rglob("*-cache")) > 0


def test_what_was_not_used_for_longest_goes_where_there_is_too_much(cache: Path) -> None:
    old, older, new = (keep(cache, n, 100, t) for n, t in (("b", 2e9), ("a", 1e9), ("c", 3e9)))
    programs.tidy(1000)
    assert programs.kept_programs() == (3, 300)
    programs.tidy(250)
    assert [p.exists() for p in (older, old, new)] == [False, True, True]


def test_damaged_programs_go_and_whole_ones_stay(cache: Path) -> None:
    now = 4e9
    whole, empty, half, other = (keep(cache, n, 0, now) for n in "abcd")
    empty.write_bytes(b"")
    half.write_bytes(half.read_bytes()[:-3])
    other.write_bytes(b"packed in another way")
    programs.tidy()
    assert [p.exists() for p in (whole, empty, half, other)] == [True, False, False, True]
    late = keep(cache, "e", 0, 1e9)
    late.write_bytes(late.read_bytes()[:-3])
    os.utime(late, (1e9, 1e9))
    programs.tidy()
    assert late.exists(), "it was checked before, and is not read again"


def test_a_folder_that_jax_was_given_is_used_and_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = tmp_path / "given"
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(given))
    assert programs.programs_folder() == given
    (given / "x").mkdir(parents=True)
    (given / "x" / "a-cache").write_bytes(b"")
    programs.tidy(0)
    assert programs.kept_programs() == (1, 0)


def test_whoever_uses_the_folder_tidies_it(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def update(name: str, value: object) -> None:
        asked[name] = value

    asked: dict[str, object] = {}
    monkeypatch.setattr(jax.config, "update", update)
    empty = keep(cache, "a", 0, 4e9)
    empty.write_bytes(b"")
    with warnings.catch_warnings():
        programs.use_kept_programs()
    assert not empty.exists()
    assert asked["jax_compilation_cache_dir"] == str(cache / "xla" / programs.processor_key())
    assert asked["jax_persistent_cache_min_compile_time_secs"] == 0.0


def test_the_cache_is_where_it_is_said_to_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("LIMITBENCH_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "limitbench"


def test_a_named_cache_that_cannot_be_made_gives_way_to_one_for_this_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LIMITBENCH_CACHE_DIR", str(tmp_path / "file" / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = cache_folder()
    assert folder.is_dir()
    assert cache_folder() == folder, "it is found again, and nothing is said twice"
    assert capsys.readouterr().err.count("no cache is kept") == 1


# ---------------------------------------------------------------- said while it happens


def test_a_worker_tells_when_its_call_compiles(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    context = JobContext((), str(tmp_path))
    clock = SimpleNamespace(tell=None)
    context.__dict__["compilation"] = clock

    def compute(
        _: JobContext, __: Job, share: Callable[[float], None], ___: object
    ) -> list[CellReport]:
        clock.tell(True)
        clock.tell(False)
        share(0.5)
        clock.tell(True)
        other = threading.Thread(target=clock.tell, args=[False])  # a pipe is not for two threads
        other.start()
        other.join()
        return []

    sent: list[object] = []
    monkeypatch.setattr(worker, "run_job", compute)
    assert worker._answer(context, Job(()), sent.append) == Returned([])
    assert sent == [Share(0.0, True), Share(0.0, False), Share(0.5), Share(0.5, True)]


def test_lines_say_how_much_of_a_job_was_compiling(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    lines = progress.Lines()
    lines.begin(["slow", "quick", "broken"])
    for moment, number, compiling in (
        (1.0, 0, True),
        (2.0, 1, True),
        (2.25, 1, False),
        (4.0, 0, False),
        (5.0, 0, True),
        (9.0, 0, False),
    ):
        clock.now = moment
        lines.share(number, 0.0, compiling)
    lines.finish(0, "")
    lines.finish(1, "")
    lines.finish(2, "why")
    ends = [line.partition("] ")[2] for line in capsys.readouterr().err.splitlines()]
    assert ends[-3:] == ["slow: done, 7 s of it compiling", "quick: done", "broken: FAILED: why"]


@pytest.mark.parametrize("quiet", [False, True])
def test_lines_say_that_a_job_compiles_while_it_does_after_a_silence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], quiet: bool
) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    lines = progress.Lines(quiet)
    lines.begin(["slow", "quick"])

    def said_when(moment: float, ends: bool = False) -> str:
        clock.now = moment
        if ends:
            lines.finish(1, "")
        else:
            lines.share(0, 0.0, False)
            lines.share(0, 0.0, True)
        return capsys.readouterr().err.strip().partition("] ")[2]

    said = [said_when(0.0), said_when(4.9), said_when(5.1), said_when(9.0, True), said_when(11.0)]
    expected = ["slow: compiling", "", "slow: compiling", "quick: done", ""]
    assert said == ([""] * 5 if quiet else expected)


def test_the_bar_says_that_a_job_is_compiling() -> None:
    bars = progress.Bars()
    bars.begin(["digits [1]"])
    said = []
    for compiling in (True, False):
        bars.share(0, 0.0, compiling)
        said.append(bars._progress.tasks[0].description)
    assert said == ["digits [1]: compiling", "digits [1]"]


def test_a_run_says_what_its_time_went_to() -> None:
    assert spent_on(Spent(12.0, 400.0, 30, 5)) == (
        "7 min of compiling (30 programs; 5 were kept), 12 s of computing"
    )
    assert Spent(1.0, 2.0, 3, 4) + Spent(10.0, 20.0, 30, 40) == Spent(11.0, 22.0, 33, 44)
