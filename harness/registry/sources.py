"""Source files of a component: its plugin's file and all modules beside it that it imports.

The source of a user's plugin goes further: files beside it that it names, all modules of its folder
where it imports by computed names, and modules that it takes from a folder on Python's path.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.registry.component import Component
from harness.registry.named_files import files_below, named_files, texts_of

PLUGIN_MODULES = "limitbench_plugin"
"""Names of modules and packages made of plugin files begin with this."""
CACHED_FILES = 1024
OWN_MARKS = frozenset({"limitbench.json", "limitbench-site.json"})
"""Files that mark folders of results and of sites, in which no plugin has its data."""


@dataclass(frozen=True)
class Place:
    """A place to look for modules beside a file.

    Args:
        root: folder of the package.
        name: name of an installed package; empty for a folder of plugins, whose modules have no
            absolute name and whose own ``__init__.py`` is not run.
    """

    root: Path
    name: str = ""


@dataclass(frozen=True)
class _Import:
    """A module that a file imports, and the names taken from it; `level` counts leading dots."""

    level: int
    module: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Source:
    """Facts of a file's source.

    Attributes:
        digest: of its meaning.
        imports: its imports.
        computed: whether it imports a module whose name is not written out.
        texts: its texts that may end a file's name.
    """

    digest: str
    imports: tuple[_Import, ...] = ()
    computed: bool = False
    texts: frozenset[str] = frozenset()


def source_digest(component: Component, plugin: Path | None = None) -> str:
    """Return the SHA-256 of a component's source files; empty if it has none.

    Comments, formatting and docstrings do not count, nor does the place of the folder or the name
    of the plugin's file. A file that is not valid Python is hashed by its bytes. The digest is the
    same for all versions of Python that parse the files equally.

    Args:
        component: the component.
        plugin: file or folder of a user's plugin, whose source goes further (see above); None for
            others.
    """
    hashed = hashlib.sha256()
    modules = _modules(component, plugin)
    for file, place in modules:
        for path in files_beside(file, place, plugin is not None):
            inside = path.is_relative_to(place.root)
            name = path.relative_to(place.root).as_posix() if inside else path.name
            found = _digest(path)
            hashed.update(f"{'' if path == file else name}\0{found}\n".encode())
    return hashed.hexdigest() if modules else ""


def source_files(component: Component, plugin: Path | None = None) -> tuple[Path, ...]:
    """Return a component's source files: its plugin's file, and those from `files_beside`."""
    modules = _modules(component, plugin)
    return tuple(sorted({p for m in modules for p in files_beside(*m, plugin is not None)}))


def files_beside(file: Path, place: Place, further: bool = False) -> tuple[Path, ...]:
    """Return a file and the files of its package that it imports, directly or not, sorted.

    Imports are read from the source, those inside functions as well; nothing is run. Packages
    that a module lies in are imported with it.

    Args:
        file: the file.
        place: where its modules lie.
        further: whether to go further, as for a user's plugin.
    """
    below = tuple(files_below(place.root, OWN_MARKS)) if further else ()
    found: set[Path] = set()
    waiting = {file, *_of_module(place, _parts(file, place), ())}
    while waiting:
        path = waiting.pop()
        found.add(path)
        if path.suffix != ".py":
            continue
        source = _read(path.read_bytes())
        inside = path.is_relative_to(place.root)
        package = path.relative_to(place.root).parent.parts if inside else ()
        for one in source.imports:
            waiting |= set(_imported(one, package, place)) - found
            if further and one.level == 0:
                waiting |= set(_on_the_path(one.module)) - found
        if source.computed:
            waiting |= {p for p in below if p.suffix == ".py"} - found
        waiting |= named_files(source.texts, below) - found
    return tuple(sorted(found))


def _on_the_path(module: str) -> Iterator[Path]:
    """Yield the file of a loaded module of a folder that is neither Python's nor installed."""
    loaded = sys.modules.get(module)
    file = getattr(loaded, "__file__", None) or ""
    top = module.partition(".")[0]
    installed = {Path(p) for p in (sys.prefix, sys.base_prefix, *sysconfig.get_paths().values())}
    if not file.endswith(".py") or top == "harness" or top.startswith(PLUGIN_MODULES):
        return
    if not any(Path(file).is_relative_to(folder) for folder in installed):
        yield Path(file)


def _digest(path: Path) -> str:
    """Return the digest of a module's meaning, or of another file's bytes."""
    if path.suffix == ".py":
        return _read(path.read_bytes()).digest
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _modules(component: Component, plugin: Path | None) -> tuple[tuple[Path, Place], ...]:
    """Return the files in which a component and its parameters are defined, with their places."""
    make: Any = component.make
    while isinstance(make, functools.partial):
        make = make.func
    found: dict[Path, Place] = {}
    if plugin is not None:  # it may register what helpers define
        own = plugin if plugin.is_file() else plugin / "__init__.py"
        found[own] = Place(plugin.parent)
    for defined in (inspect.unwrap(make), component.params):
        module = sys.modules.get(getattr(defined, "__module__", None) or "")
        file = getattr(module, "__file__", None)
        if module is None or file is None or not file.endswith(".py"):
            continue
        top = module.__name__.partition(".")[0]
        if top != "harness":
            found.setdefault(Path(file), _place(Path(file), top))
    return tuple(sorted(found.items(), key=lambda pair: pair[0].name))


def _place(file: Path, top: str) -> Place:
    ours = top.startswith(PLUGIN_MODULES)
    folders = [Path(f) for f in getattr(sys.modules.get(top), "__path__", ())]
    root = next((f for f in folders if file.is_relative_to(f)), None)
    if root is not None:
        return Place(root, "" if ours else top)
    # a single module in site-packages: the files beside it belong to others
    return Place(file.parent, "" if ours else file.stem)


def _parts(file: Path, place: Place) -> tuple[str, ...]:
    """Return a file's name as a module, relative to its package."""
    parts = file.relative_to(place.root).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def _imported(one: _Import, package: tuple[str, ...], place: Place) -> Iterator[Path]:
    """Yield the files of the package that an import of one of its modules runs."""
    module = tuple(filter(None, one.module.split(".")))
    if one.level > 0:
        outside = one.level - 1 > len(package)
        module = package[: len(package) - (one.level - 1)] + module
    elif place.name:
        outside = module[:1] != (place.name,)
        module = module[1:]
    else:
        outside = False
    if not outside:
        yield from _of_module(place, module, one.names)


def _of_module(place: Place, module: tuple[str, ...], names: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files of a module, of the packages around it, and of submodules named."""
    folder = place.root.joinpath(*module)
    if "*" in names and (folder / "__init__.py").is_file():  # its __all__ may name submodules
        names += tuple(sorted(p.stem for p in folder.glob("*.py")))
    paths = [module[:n] for n in range(0 if place.name else 1, len(module) + 1)]
    for path in [*paths, *((*module, name) for name in names)]:
        at = place.root.joinpath(*path)
        candidates = [at / "__init__.py", *([at.with_name(f"{at.name}.py")] if path else [])]
        # as Python does: a package comes before a module of its name
        yield from [c for c in candidates if c.is_file()][:1]


@functools.lru_cache(CACHED_FILES)
def _read(source: bytes) -> _Source:
    """Return the facts of a file's source."""
    try:
        with warnings.catch_warnings(action="ignore"):  # Python warned when it ran the file
            tree = ast.parse(source)
        meaning = _meaning(tree).encode(errors="surrogatepass")
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # MemoryError: nested too deeply
        return _Source(hashlib.sha256(source).hexdigest())
    return _Source(
        hashlib.sha256(meaning).hexdigest(),
        tuple(_imports(tree)),
        any(map(_is_computed_import, ast.walk(tree))),
        texts_of(tree),
    )


def _meaning(node: Any) -> str:
    """Return a tree as text, without positions, docstrings and empty fields.

    Unlike `ast.dump`, whose text changes between versions of Python.
    """
    if isinstance(node, list):
        return f"[{','.join(_meaning(n) for n in node if not _is_docstring(n))}]"
    if isinstance(node, ast.AST):
        fields = [
            f"{name}={_meaning(value)}"
            for name, value in ast.iter_fields(node)
            if name != "kind" and value is not None and value != []
        ]
        constant = isinstance(node, ast.Constant) and node.value is None
        return f"{type(node).__name__}({'None' if constant else ','.join(fields)})"
    return hex(node) if type(node) is int else repr(node)


def _is_docstring(node: Any) -> bool:
    """Return whether a statement is only a string, without effect."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_computed_import(node: ast.AST) -> bool:
    """Return whether a node imports by a name that is no literal."""
    if not isinstance(node, ast.Call):
        return False
    called = getattr(node.func, "attr", getattr(node.func, "id", ""))
    if called not in ("import_module", "__import__"):
        return False
    return not (node.args and isinstance(getattr(node.args[0], "value", None), str))


def _imports(tree: ast.AST) -> Iterator[_Import]:
    """Yield every import anywhere in a file; those by import_module if the module is a literal."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (_Import(0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield _Import(node.level, node.module or "", tuple(a.name for a in node.names))
        elif isinstance(node, ast.Call) and node.args:
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            name = getattr(node.args[0], "value", None)
            if called in ("import_module", "__import__") and isinstance(name, str):
                module = name.lstrip(".")
                yield _Import(len(name) - len(module), module)
