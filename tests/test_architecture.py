"""Data flows one way: a room imports only from rooms above it in ARCHITECTURE.md."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "foldseg"
ROOMS = [
    "errors", "notices", "resources", "lockfile", "inputs", "table_files", "files", "outputs", "ending", "config",
    "data", "importing", "discovery", "views", "models", "losses", "scoring", "runs", "training", "inference",
    "submission", "ensemble", "deploy", "report", "cli",
]  # fmt: skip


def imported_rooms(path: Path) -> set[str]:
    """Rooms of foldseg that a module imports, at its head or later."""
    names = [
        node.module
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
    ]
    return {name.split(".")[1] for name in names if name.startswith("foldseg.")}


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_room_imports_from_a_room_further_down(path: Path) -> None:
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if room in ("__init__", "__main__"):
        return
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    assert imported_rooms(path) <= allowed


def imported_modules(path: Path) -> set[str]:
    """Modules of foldseg that a module imports, at its head or later."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("foldseg"):
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return modules


def test_no_module_imports_itself_in_a_circle() -> None:
    """An import within a function may spare a light command torch; it may not hide a circle."""
    paths = {".".join(path.relative_to(SOURCE.parent).with_suffix("").parts): path for path in SOURCE.rglob("*.py")}
    graph = {name: imported_modules(path) & set(paths) - {name} for name, path in paths.items()}
    TopologicalSorter(graph).prepare()  # which raises CycleError with the circle


def test_the_toy_city_stands_alone() -> None:
    """It imports nothing of foldseg, and foldseg imports its one function."""
    for path in (SOURCE.parent / "toycity").glob("*.py"):
        assert not imported_rooms(path), path
    uses = [
        line
        for path in SOURCE.rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(r"import.*toycity|from toycity", line)
    ]
    assert uses == ["from toycity import generate_toy_city"]


def test_blending_workers_need_no_torch() -> None:
    """Whatever `ensemble/passes.py` imports is imported again by every blending process."""
    seen, todo = set(), ["foldseg.ensemble.pass_folder", "foldseg.ensemble.confident"]
    while todo:
        name = todo.pop()
        path = SOURCE.parent / Path(*name.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        seen.add(name)
        for node in ast.parse(path.read_text()).body:
            found = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(module.split(".")[0] in ("torch", "torchvision", "timm") for module in found), name
            todo += [module for module in found if module.startswith("foldseg.") and module not in seen]
