"""Compiled programs are kept for other processes, counted, told of, and few enough."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest

from harness.execution import compilation, programs
from harness.execution.environment import cache_folder

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


def test_programs_are_dropped_where_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = jax.jit(lambda x: x + 1.0)
    program(2.0)
    monkeypatch.setattr(compilation, "MAPPINGS", tmp_path / "maps")
    compilation.release_programs()  # where a system does not tell
    (tmp_path / "maps").write_text("mapping\n" * compilation.MOST_MAPPINGS)
    compilation.release_programs()
    assert program._cache_size() == 1
    (tmp_path / "maps").write_text("mapping\n" * (compilation.MOST_MAPPINGS + 1))
    compilation.release_programs()
    assert program._cache_size() == 0


def test_a_program_is_compiled_once_for_all_processes_wherever_its_source_lies(
    tmp_path: Path, cache: Path
) -> None:
    said = []
    for folder, comment in (("one", ""), ("another", "# a line more")):
        (tmp_path / folder).mkdir()
        script = tmp_path / folder / "script.py"
        script.write_text(COMPILE.format(comment=comment))
        done = subprocess.run(
            [sys.executable, script], capture_output=True, text=True, check=False, timeout=300
        )
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


def test_where_nothing_can_be_kept_nothing_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LIMITBENCH_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert cache_folder() is None
    assert programs.programs_folder() is None
    assert programs.kept_programs() == (0, 0)
    programs.tidy()
    before = jax.config.jax_compilation_cache_dir
    programs.use_kept_programs()
    assert jax.config.jax_compilation_cache_dir == before


def test_the_cache_is_where_it_is_said_to_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("LIMITBENCH_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "limitbench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "limitbench"


def test_without_a_home_there_is_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("LIMITBENCH_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", homeless)
    assert cache_folder() is None
