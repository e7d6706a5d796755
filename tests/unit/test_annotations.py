"""Annotations of arrays: every numpy from 2.0 on can evaluate them, and shapes are in quotes."""

import ast
from pathlib import Path

import jaxtyping

ROOT = Path(__file__).parents[2]
FOLDERS = ("harness", "plugins", "tasks", "tests")


def _arrays(tree: ast.AST) -> list[tuple[ast.expr, ast.expr]]:
    """The type and the shape of every annotation `Float[TYPE, "shape"]`."""
    return [
        (node.slice.elts[0], node.slice.elts[1])
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and hasattr(jaxtyping, node.value.id)
        and isinstance(node.slice, ast.Tuple)
        and len(node.slice.elts) == 2
    ]


def _array_types(path: Path) -> set[str]:
    """The array types to which a file gives a shape."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {
        name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "jaxtyping"
        for name in node.names
    }
    found = {ast.unparse(kind) for kind, _ in _arrays(tree)}
    own = {"an Array that is none of jaxtyping's"}
    return (
        found if "Array" in imported else found - {"Array"} | (own if "Array" in found else set())
    )


def test_shapes_are_given_to_classes_and_not_to_aliases_of_them() -> None:
    # from numpy 2.5 on NDArray[...] is no class, and jaxtyping takes classes only
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    found = {str(path.relative_to(ROOT)): _array_types(path) for path in files}
    assert any("np.ndarray" in types for types in found.values())
    assert {
        path: types - {"Any", "Array", "np.ndarray"} for path, types in found.items() if types
    } == {path: set() for path, types in found.items() if types}


def test_shapes_are_in_quotes() -> None:
    """Linters take "train *outputs" for a product, and its quotes off: begin it with a space."""
    bare = {
        f"{path.relative_to(ROOT)}:{shape.lineno}: {ast.unparse(shape)}"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for _, shape in _arrays(ast.parse(path.read_text(encoding="utf-8")))
        if not isinstance(shape, ast.Constant)
    }
    assert bare == set()
