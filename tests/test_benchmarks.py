"""Benchmarks are not run by the tests, so what they take from foldseg is looked up here."""

import ast
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def imported_names(tree: ast.Module) -> dict[str, object]:
    """Name that a benchmark takes from foldseg -> what it is. An error for one that is not there."""
    names: dict[str, object] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("foldseg"):
            continue
        module = import_module(node.module or "")
        for alias in node.names:
            if not hasattr(module, alias.name):
                import_module(f"{node.module}.{alias.name}")
            names[alias.asname or alias.name] = getattr(module, alias.name)
    return names


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.stem)
def test_what_a_benchmark_takes_from_foldseg_is_there(path: Path) -> None:
    tree = ast.parse(path.read_text())
    names = imported_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = names.get(node.value.id)
            if isinstance(owner, ModuleType):
                assert hasattr(owner, node.attr), f"{node.value.id}.{node.attr}"
