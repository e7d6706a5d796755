"""Loading plugins: bundled folders, entry points, user folders; broken ones are set aside."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from harness.errors import PluginError, nearest
from harness.registry import hooks
from harness.registry.component import KINDS, Component, Kind
from harness.registry.declare import MARK
from harness.registry.modules import (
    PACKAGE,
    forget_changed,
    import_plugin,
    origin_of,
    plugin_files,
)
from harness.registry.sources import source_digest
from harness.signals import Stopped

ENTRY_POINT_GROUP = "limitbench"
PLUGIN_DIR_VARIABLE = "LIMITBENCH_PLUGIN_DIR"


@dataclass(frozen=True)
class SetAside:
    """A plugin that is not used, and the reason."""

    origin: str
    reason: str
    traceback: str


class Registry:
    """The components of plugins, and the plugins that were set aside."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(hooks.PROJECT)
        self.manager.add_hookspecs(hooks)
        self.set_aside: list[SetAside] = []
        self.plugins: dict[str, list[Component]] = {}
        self._components: dict[tuple[Kind, str], tuple[Component, str]] = {}
        self._sources: dict[tuple[Kind, str], str] = {}

    @classmethod
    def load(cls, plugin_dirs: Sequence[str | Path] = ()) -> Registry:
        """Load bundled plugins, then entry points, then every plugin of the given folders.

        A plugin is a ``.py`` file, or a folder below with an ``__init__.py``; both may import
        modules beside them by relative imports. Names of helpers begin with an underscore.
        Instead of a folder, one file may be given. A file that was loaded before in this process
        is not run again while its whole folder is unchanged. Folders named by the environment
        variable ``LIMITBENCH_PLUGIN_DIR`` (separated as in ``PATH``) come before those given. A
        plugin that fails, exits or clashes by name is set aside and harms no other.

        Raises:
            PluginError: if a given folder does not exist.
        """
        registry = cls()
        forget_changed()
        for folder in _bundled_folders():
            registry._add_folder(folder)
        for entry_point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
            registry._add(f"entry point {entry_point.name}", entry_point.load)
        variable = [d for d in os.environ.get(PLUGIN_DIR_VARIABLE, "").split(os.pathsep) if d]
        for folder in dict.fromkeys(Path(d).resolve() for d in (*variable, *plugin_dirs)):
            if folder.is_file() and folder.suffix == ".py":
                registry._add_file(folder)
                continue
            if not folder.is_dir():
                raise PluginError(
                    f"plugin folder {folder}: no such folder; --plugin-dir (or"
                    f" {PLUGIN_DIR_VARIABLE}) takes a folder of .py files, or one file"
                )
            registry._add_folder(folder)
        return registry

    def get(self, kind: Kind, name: str) -> Component:
        """Return a component by name; raises PluginError, naming the nearest, if unknown."""
        try:
            return self._components[kind, name][0]
        except KeyError:
            known = sorted(n for k, n in self._components if k == kind)
            raise PluginError(
                f"unknown {kind} {name!r}{nearest(name, known)}; known are {', '.join(known)}"
            ) from None

    def components(self, kind: Kind | None = None) -> list[Component]:
        """Return the components, of one kind or all, ordered by kind and name."""
        found = [c for c, _ in self._components.values() if kind in (None, c.kind)]
        return sorted(found, key=lambda c: (KINDS.index(c.kind), c.name))

    def origin(self, component: Component) -> str:
        """Return the origin of a component: a file, or an entry point."""
        return self._components[component.kind, component.name][1]

    def source(self, component: Component) -> str:
        """Return the digest of a component's source, taken at the first request."""
        key = component.kind, component.name
        if key not in self._sources:
            origin = Path(self.origin(component))
            bundled = any(origin.is_relative_to(folder) for folder in _bundled_folders())
            own = origin if origin.exists() and not bundled else None
            self._sources[key] = source_digest(component, own)
        return self._sources[key]

    def differs(self, kind: Kind, name: str, version: str, digest: str) -> bool:
        """Return whether a component's source here differs from that of a cell.

        False if the component is not installed or of another version, or if the cell does not
        record its source; and for a task, as the data are in the cell's key.

        Args:
            kind: kind of the component.
            name: name of the component.
            version: version in the cell.
            digest: digest of its source in the cell, or the first digits.
        """
        if kind == "task":
            return False
        try:
            here = self.get(kind, name)
        except PluginError:
            return False
        return here.version == version and not self.source(here).startswith(digest)

    def notify(self, hook: str, **facts: str) -> list[str]:
        """Call an observer hook of every plugin, each guarded; return the answers.

        A plugin that raises is reported on stderr; only its own answer is lost.
        """
        answers = []
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            try:
                used = {k: facts[k] for k in implementation.argnames}
                with contextlib.redirect_stdout(sys.stderr):
                    answer = implementation.function(**used)
            except (Exception, SystemExit):
                first = traceback.format_exc().strip().splitlines()[-1]
                sys.stderr.write(f"plugin {implementation.plugin_name}: {hook}: {first}\n")
            else:
                answers += [answer] if isinstance(answer, str) else []
        return answers

    def _add_folder(self, folder: Path) -> None:
        for path in plugin_files(folder):
            self._add_file(path)

    def _add_file(self, path: Path) -> None:
        origin = origin_of(path)
        seen = {*self.plugins, *(aside.origin for aside in self.set_aside)}
        if origin not in seen:  # folders given may lie in one another
            self._add(origin, functools.partial(import_plugin, path))

    def _add(self, origin: str, load: Callable[[], Any]) -> None:
        try:
            with contextlib.redirect_stdout(sys.stderr):
                plugin = load()
                components = list(_components_of(plugin))
            self._check(components)
            self.manager.register(plugin, name=origin)
        except (KeyboardInterrupt, Stopped):
            raise
        except BaseException as error:  # a plugin may raise anything, SystemExit included
            self.set_aside.append(SetAside(origin, _reason(error), traceback.format_exc()))
            return
        self.plugins[origin] = components
        for component in components:
            self._components[component.kind, component.name] = (component, origin)

    def _check(self, components: list[Component]) -> None:
        seen: set[tuple[Kind, str]] = set()
        for c in components:
            if not isinstance(c, Component):
                raise PluginError(f"limitbench_components returned a {type(c).__name__}")
            if (c.kind, c.name) in seen:
                raise PluginError(f"{c.kind} {c.name!r} is declared twice; names are unique")
            if (c.kind, c.name) in self._components:
                other = self._components[c.kind, c.name][1]
                raise PluginError(
                    f"{c.kind} {c.name!r} exists already, from {other}; choose another name"
                )
            seen.add((c.kind, c.name))


def _reason(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"called sys.exit({error.code!r}) on load; a plugin must not end the program"
    line = " ".join(str(error).split())
    line = re.sub(rf"'{PACKAGE}\w+' \(unknown location\)", "its folder", line)
    line = re.sub(rf"\b{PACKAGE}\w+\.", "", line)
    return line if isinstance(error, PluginError) else f"{type(error).__name__}: {line}"


def _components_of(plugin: Any) -> Iterator[Component]:
    """Yield the components that a module's decorators marked, then those that its hook returns."""
    if isinstance(plugin, ModuleType):
        marked = [vars(v).get(MARK) for v in vars(plugin).values() if _is_own(v, plugin)]
        # a component under two names of the module is one component
        yield from {id(c): c for c in marked if c is not None}.values()
    hook = getattr(plugin, "limitbench_components", None)
    if hook is not None:
        returned: Iterable[Component] = hook()
        yield from returned


def _is_own(value: Any, plugin: ModuleType) -> bool:
    """Return whether a plugin's module, or one inside its package, defines a value."""
    module = getattr(value, "__module__", None) or ""
    inside = f"{module}.".startswith(f"{plugin.__name__}.")
    return hasattr(value, "__dict__") and inside


def _bundled_folders() -> list[Path]:
    """Return the folders of built-in plugins: of the checkout, or shipped inside the wheel."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "_bundled"
    root = shipped if shipped.is_dir() else package.parent
    return [root / "plugins", root / "tasks"]
