"""The folder of compiled programs, which outlive the process that compiled them.

JAX names a program by its instructions, its options, the compiler and the kind of device, not by
the file that it came from: a folder serves every checkout and every process. It writes an entry in
place, so that a process that dies meanwhile leaves half an entry, which no later process replaces.
`tidy` removes these, and the least recently used entries if the folder has grown too large.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import warnings
import zlib
from pathlib import Path

from harness.cache import cache_folder

VARIABLE = "JAX_COMPILATION_CACHE_DIR"
"""JAX's variable for such a folder; a folder given by it is used as it is, and never tidied."""

MOST_BYTES = 2**30
"""Size beyond which the folder loses its least recently used entries; quickstart takes 10 MB."""

ENTRIES = "*-cache"
CHECKED = ".checked"
SLACK = 60.0
"""Seconds before the last check; entries since then are checked again, as perhaps partial then."""


def programs_folder() -> Path:
    """Return the folder of this processor's programs.

    Programs fit the processor that compiled them, and several may share a home.
    """
    if _is_given():
        return Path(os.environ[VARIABLE])
    return cache_folder() / "xla" / processor_key()


def use_kept_programs() -> None:
    """Have JAX keep every program that this process compiles, and load kept ones.

    A small cell uses small programs, so all are kept, however quickly they compile. The folder is
    tidied first.
    """
    import jax

    tidy()
    jax.config.update("jax_compilation_cache_dir", str(programs_folder()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # an entry that another process is about to write, or that does not fit on the disk: the program
    # is compiled here, and nobody needs to know
    warnings.filterwarnings("ignore", message="Error (read|writ)ing persistent compilation cache")


def kept_programs() -> tuple[int, int]:
    """Return the number of kept programs, for all processors, and their bytes."""
    folder = programs_folder()
    sizes = [size for _, size, _ in _entries(folder if _is_given() else folder.parent)]
    return len(sizes), sum(sizes)


def tidy(most: int = MOST_BYTES) -> None:
    """Remove damaged programs, and the least recently used ones beyond so many bytes.

    Other processes may use the folder meanwhile: they compile a missing program again.
    """
    if _is_given():
        return
    folder = cache_folder() / "xla"
    mark = folder / CHECKED
    try:
        folder.mkdir(exist_ok=True)
        since = mark.stat().st_mtime if mark.exists() else 0.0
        mark.touch()
    except OSError:  # no longer writable
        return
    held = 0
    for _, size, path in sorted(_entries(folder), reverse=True):
        held += size
        if held > most or _is_damaged(path, since - SLACK):
            with contextlib.suppress(OSError):  # another process has removed it
                path.unlink()


@functools.cache
def processor_key() -> str:
    """Return a short name for this kind of processor and its features."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not on Linux
        lines = []
    told = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    text = "\n".join([platform.machine(), platform.processor(), *told])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _is_given() -> bool:
    return bool(os.environ.get(VARIABLE))


def _entries(folder: Path) -> list[tuple[float, int, Path]]:
    """Return each entry's time of last use, its bytes and its path."""
    found = []
    for path in folder.rglob(ENTRIES):
        with contextlib.suppress(OSError):  # another process has removed it
            facts = path.stat()
            found.append((max(facts.st_atime, facts.st_mtime), facts.st_size, path))
    return found


def _is_damaged(path: Path, since: float) -> bool:
    """Return whether an entry written since then is incomplete."""
    try:
        if path.stat().st_mtime < since:
            return False
        packed = path.read_bytes()
        if packed[:1] != b"x":  # not by zlib, whose streams begin so
            return not packed
        zlib.decompress(packed)
    except OSError:
        return False
    except zlib.error:
        return True
    return False
