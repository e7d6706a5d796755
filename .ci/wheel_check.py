"""Run the smoke suite as a user does: from a wheel, with the newest Python and packages at hand.

`make test` takes the versions of constraints.txt; `pip install limitbench` takes the newest ones.
Everything is made in a folder that is removed at the end.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTED = (3, 11)
"""The Python of `make test`, for which there is nothing to find out here."""
OURS = ("PIP_CONSTRAINT", "PIP_REQUIRE_VIRTUALENV", "PYTHONPATH", "VIRTUAL_ENV")
"""What may be set for a checkout and means nothing to a user."""

Version = tuple[int, int]


def promised() -> set[Version]:
    """Return the versions of Python that the package says it is for."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        classifiers = tomllib.load(file)["project"]["classifiers"]
    found = (
        re.fullmatch(r"Programming Language :: Python :: (\d+)\.(\d+)", c) for c in classifiers
    )
    return {(int(m[1]), int(m[2])) for m in found if m}


def pythons() -> Iterator[Path]:
    """Yield what is named like a Python, on PATH and among those that pyenv installed."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    for folder in (*folders, *sorted(pyenv.glob("versions/*/bin"))):
        yield from (p for p in folder.glob("python3*") if re.fullmatch(r"python3(\.\d+)?", p.name))


def version(python: Path) -> Version | None:
    """Return the version of a Python that is released, works and can make environments."""
    code = (
        "import sys, ensurepip, venv; assert sys.version_info.releaselevel == 'final';"
        "print(*sys.version_info[:2])"
    )
    try:
        ran = subprocess.run(
            [python, "-I", "-c", code], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    major, _, minor = ran.stdout.strip().partition(" ")
    return (int(major), int(minor)) if ran.returncode == 0 else None


def newest() -> tuple[Version, Path] | None:
    """Return the newest Python to check with, if there is one."""
    wanted = {v for v in promised() if v > TESTED}
    found = ((version(python), python) for python in pythons())
    return max(((v, p) for v, p in found if v in wanted), default=None)


def check(python: Path, folder: Path) -> None:
    """Build a wheel, install it without constraints, and run the smoke suite."""
    environment = {k: v for k, v in os.environ.items() if k not in OURS}

    def run(*command: str | Path, **variables: str) -> None:
        subprocess.run(command, cwd=folder, env=environment | variables, check=True)

    run(python, "-m", "venv", folder / "venv")
    pip = (folder / "venv/bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    run(*pip, "install", "--no-compile", wheel)
    # a cache of its own, so that nothing is found that another version compiled or measured
    own = {"XDG_CACHE_HOME": str(folder / "cache")}
    run(folder / "venv/bin/limitbench", "run", "smoke", "--workers", "1", **own)
    run(folder / "venv/bin/limitbench", "plugins", "new", "task", "two-moons", **own)


def main() -> None:
    """Check, or say why not."""
    found = newest()
    if found is None:
        wanted = " or ".join(f"{a}.{b}" for a, b in sorted(promised()) if (a, b) > TESTED)
        print(f"wheel check skipped: no Python {wanted} that can make environments is here")
        return
    with tempfile.TemporaryDirectory(prefix="wheel-check-") as folder:
        print(f"wheel check with {found[1]} and the newest packages", flush=True)
        try:
            check(found[1], Path(folder))
        except subprocess.CalledProcessError as error:
            command = " ".join(map(str, error.cmd))
            sys.exit(f"wheel check failed: {command} ended with status {error.returncode}")
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"wheel check passed; {spent.ru_utime + spent.ru_stime:.0f} s of processor time")


if __name__ == "__main__":
    main()
