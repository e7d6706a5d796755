"""The cache: in the user's folder where there is one, else for one command, said once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cache import cache_folder, font_cache

PROGRAM = """
from harness.cache import cache_folder
first = cache_folder()
(first / "kept").write_text("a program")
assert cache_folder() == first
print(first)
"""


def in_process(**variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program with these variables and no other that names a cache or a home."""
    named = {"HOME", "XDG_CACHE_HOME", "LIMITBENCH_CACHE_DIR"}
    others = {k: v for k, v in os.environ.items() if k not in named}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=others | variables,
        capture_output=True,
        text=True,
        check=True,
    )


def test_the_cache_lies_under_the_home_or_where_the_variable_says(tmp_path: Path) -> None:
    home, named = str(tmp_path / "home"), str(tmp_path / "named")
    assert in_process(HOME=home).stdout == f"{home}/.cache/limitbench\n"
    done = in_process(HOME=home, XDG_CACHE_HOME=named)
    assert (done.stdout, done.stderr) == (f"{named}/limitbench\n", "")


@pytest.mark.parametrize("variable", ["HOME", "XDG_CACHE_HOME", "LIMITBENCH_CACHE_DIR"])
def test_a_cache_that_cannot_be_made_is_one_for_this_command(tmp_path: Path, variable: str) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way, even of a superuser")
    done = in_process(**{variable: str(blocked)})
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"no cache is kept ({blocked}")
    assert line.endswith("in LIMITBENCH_CACHE_DIR")
    assert not Path(done.stdout.strip()).parent.exists(), "it is gone at the end"


def test_a_user_without_a_home_has_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_home(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(Path, "expanduser", no_home)
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("LIMITBENCH_CACHE_DIR", "")
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    folder = cache_folder()
    assert folder.is_relative_to(tmp_path)
    assert cache_folder() == folder, "it is found again"
    assert os.environ["MPLCONFIGDIR"].startswith(str(folder.parent))
    assert capsys.readouterr().err.count("no cache is kept (there is no home folder)") == 1
    monkeypatch.delenv("MPLCONFIGDIR")


@pytest.mark.parametrize("usable", [False, True])
def test_fonts_are_kept_where_they_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usable: bool
) -> None:
    settings = tmp_path / "settings"
    settings.mkdir() if usable else settings.write_text("in the way, even of a superuser")
    monkeypatch.setenv("LIMITBENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(settings))
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    font_cache()
    own = None if usable else str(tmp_path / "cache" / "matplotlib")
    assert os.environ.get("MPLCONFIGDIR") == own
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
