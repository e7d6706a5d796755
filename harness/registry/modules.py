"""Plugin files as Python modules: every folder of plugins is a package of its own."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.errors import PluginError
from harness.registry.sources import PLUGIN_MODULES

PACKAGE = f"{PLUGIN_MODULES}s_"
INIT = "__init__.py"
HIDDEN = ("_", ".")
"""Names that begin with these are no plugins: helpers, and leftovers of tools."""


def plugin_files(folder: Path) -> list[Path]:
    """Return the plugins of a folder and of those below it, sorted.

    A plugin is a ``.py`` file, or the ``__init__.py`` of a folder below.
    """
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        here = Path(place)
        if INIT in files and here != folder:
            folders.clear()
            found.append(here / INIT)
            continue
        folders[:] = [name for name in folders if not name.startswith(HIDDEN)]
        names = [name for name in files if name.endswith(".py") and not name.startswith(HIDDEN)]
        found += [here / name for name in names]
    return sorted(found)


def origin_of(path: Path) -> str:
    """Return the name of a plugin: its file, or its folder if that is one plugin."""
    return str(path.parent if path.name == INIT else path)


def import_plugin(path: Path) -> ModuleType:
    """Import a plugin's file, as a module of the package that stands for its folder.

    The package's name derives from the folder's path, so that the name of a module is the same in
    every process, and its objects can be pickled. An ``__init__.py`` of the folder itself is not
    run.

    Args:
        path: a file, or the ``__init__.py`` of a folder that is one plugin.

    Raises:
        PluginError: if another plugin has the module's name, or a module beside the plugin is
            imported by an absolute name.
    """
    place = Path(origin_of(path))
    name = f"{_package(place.parent)}.{place.stem.replace('.', '-')}"
    module = sys.modules.get(name) or _run(name, path)
    if module.__file__ != str(path):
        raise PluginError(
            f"{module.__file__} beside it makes a module of the same name; rename one of them"
        )
    return module


def forget_changed() -> None:
    """Drop the modules of folders in which a file was edited since it was imported.

    They are imported again when asked for; those of other folders keep their identity.
    """
    loaded = [m for name, m in list(sys.modules.items()) if name.startswith(PACKAGE)]
    changed = {m.__name__.partition(".")[0] for m in loaded if _is_changed(m)}
    for name in [m.__name__ for m in loaded if m.__name__.partition(".")[0] in changed]:
        del sys.modules[name]
    if loaded:
        importlib.invalidate_caches()  # files may be newer than the listing of their folders


class _SourceLoader(SourceFileLoader):
    """Compiles the source each time: compiled files are identified by seconds and sizes only."""

    read = ""
    """SHA-256 of the executed source."""

    def path_stats(self, path: Any) -> Any:
        raise OSError("compiled files of plugins are neither read nor written")

    def get_data(self, path: str) -> bytes:
        data = super().get_data(path)
        if path == self.path:  # not a data file beside the source
            self.read = hashlib.sha256(data).hexdigest()
        return data


class _Finder:
    """Finds helpers, the modules that plugins import from their package."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(PACKAGE):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _SourceLoader(name, spec.loader.path)
        return spec


def _package(folder: Path) -> str:
    """Return the name of a folder's package, which is made if it is new."""
    name = PACKAGE + hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    if name not in sys.modules:
        if _Finder not in sys.meta_path:
            sys.meta_path.insert(0, _Finder)
        package = ModuleType(name, f"Plugins and helpers of {folder}.")
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    return name


def _run(name: str, path: Path) -> ModuleType:
    folders = [str(path.parent)] if path.name == INIT else None
    spec = importlib.util.spec_from_file_location(
        name, path, loader=_SourceLoader(name, str(path)), submodule_search_locations=folders
    )
    if spec is None or spec.loader is None:
        raise PluginError(f"{path} cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # type hints and dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        for part in [n for n in sys.modules if n == name or n.startswith(f"{name}.")]:
            del sys.modules[part]
        if isinstance(error, ModuleNotFoundError):
            _explain_absolute(error, path)
        raise
    return module


def _explain_absolute(error: ModuleNotFoundError, path: Path) -> None:
    """Raise with advice if the missing module lies beside the plugin."""
    missing = error.name or ""
    beside = path.parent / f"{missing.partition('.')[0]}.py"
    if beside.is_file() or beside.with_suffix("").is_dir():
        module, _, name = missing.rpartition(".")
        raise PluginError(
            f"no module {missing!r}; one beside a plugin is imported by a relative import:"
            f" 'from .{module} import {name}'"
        ) from error


def _is_changed(module: ModuleType) -> bool:
    loader = getattr(module.__spec__, "loader", None)
    if not isinstance(loader, _SourceLoader):
        return False  # the package itself, or a compiled extension
    try:
        return hashlib.sha256(Path(loader.path).read_bytes()).hexdigest() != loader.read
    except OSError:
        return True
