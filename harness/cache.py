"""The cache folder: compiled programs, and the history of jobs; all can be computed again.

A user may have no home, as in many containers, or one that cannot be written. Then a folder for
this command alone takes its place, and one line says so.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

VARIABLE = "XDG_CACHE_HOME"
OWN_VARIABLE = "LIMITBENCH_CACHE_DIR"
"""Names the folder itself, not the one in which it lies."""


def cache_folder() -> Path:
    """Return the cache folder, which exists and can be written.

    Processes that are started afterwards find the same one.

    Raises:
        OSError: if not even a temporary folder can be made.
    """
    try:
        named, base = os.environ.get(OWN_VARIABLE), os.environ.get(VARIABLE)
        folder = Path(named or Path(base or Path("~/.cache").expanduser()) / "limitbench")
    except RuntimeError:  # there is no home
        return _temporary("there is no home folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return _temporary(f"{folder}: {error.strerror}")
    if not os.access(folder, os.W_OK | os.X_OK):
        return _temporary(f"{folder}: cannot be written")
    return folder


def font_cache() -> None:
    """Let Matplotlib keep its fonts beside the cache where it cannot do so in the home.

    It would print a warning of several lines otherwise.
    """
    folder = cache_folder()
    if "MPLCONFIGDIR" in os.environ:
        return
    try:
        base = os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()
        own = Path(base, "matplotlib")
        own.mkdir(parents=True, exist_ok=True)
        usable = os.access(own, os.W_OK | os.X_OK)
    except (OSError, RuntimeError):
        usable = False
    if not usable:
        os.environ["MPLCONFIGDIR"] = str(folder / "matplotlib")


def _temporary(reason: str) -> Path:
    """Make a folder that is gone at the end, also for libraries that would ask for a home."""
    base = Path(tempfile.mkdtemp(prefix="limitbench-cache-"))
    atexit.register(_remove, base, os.getpid())
    os.environ.pop(OWN_VARIABLE, None)
    os.environ[VARIABLE] = str(base)
    os.environ.setdefault("MPLCONFIGDIR", str(base / "matplotlib"))
    sys.stderr.write(
        f"no cache is kept ({reason}): programs are compiled again in every run; name a folder in"
        f" {OWN_VARIABLE}\n"
    )
    folder = base / "limitbench"
    folder.mkdir()
    return folder


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # not a process that was forked from it
        shutil.rmtree(folder, ignore_errors=True)
