"""What the import checker and the size tool cannot see, and those two themselves."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "telic"
FILES = sorted(SOURCE.rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def runtime_nodes(tree: ast.AST):
    """Yield all nodes outside of `if TYPE_CHECKING:`, each with whether it is inside a function."""
    stack = [(tree, False)]
    while stack:
        node, inside = stack.pop()
        yield node, inside
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            stack.extend((other, inside) for other in node.orelse)
            continue
        inside = inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        stack.extend((child, inside) for child in ast.iter_child_nodes(node))


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_imports_stand_at_the_top_of_the_file(path):
    lazy = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node, inside in runtime_nodes(ast.parse(path.read_text(encoding="utf-8")))
        if inside and isinstance(node, (ast.Import, ast.ImportFrom))
    ]

    assert lazy == [], "imports inside functions go through telic._optional"


@pytest.mark.parametrize("path", [path for path in FILES if path != SOURCE / "__init__.py"], ids=relative)
def test_no_file_imports_the_root_package(path):
    found = []
    for node, _ in runtime_nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "telic":
            found += [
                f"line {node.lineno}: from telic import {name.name}"
                for name in node.names
                if is_lazy(name.name)
            ]
        if isinstance(node, ast.Import):
            found += [f"line {node.lineno}: import telic" for name in node.names if name.name == "telic"]

    assert found == []


def is_lazy(name: str) -> bool:
    """Whether `from telic import name` goes through the root's table, and so up the floors."""
    return not ((SOURCE / name).is_dir() or (SOURCE / f"{name}.py").is_file())


def test_the_floors_hold():
    tool = Path(sys.executable).with_name("lint-imports")
    if not tool.exists():
        pytest.skip("import-linter is not installed")

    done = subprocess.run([str(tool)], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_is_within_its_size_budget(capsys):
    spec = importlib.util.spec_from_file_location("size", ROOT / "tools" / "size.py")
    size = importlib.util.module_from_spec(spec)
    sys.modules["size"] = size  # dataclasses look their module up
    spec.loader.exec_module(size)

    code = size.main([])

    assert code == 0, capsys.readouterr().err


def test_declared_bounds_hold_what_the_lock_pins():
    import tomllib

    from packaging.requirements import Requirement
    from packaging.version import Version

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lock = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    pins: dict[str, list[str]] = {}
    for line in lock.splitlines():
        name, equals, rest = line.partition("==")
        if equals and not line.startswith((" ", "#")):
            pins.setdefault(name.lower().replace("_", "-"), []).append(rest.split()[0])
    declared = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["tiny"]]
    declared += [
        line for group in project["dependency-groups"].values() for line in group if isinstance(line, str)
    ]

    assert declared
    for line in declared:
        requirement = Requirement(line)
        assert any(spec.operator == "<" for spec in requirement.specifier), f"{line}: no upper bound"
        versions = pins[requirement.name.lower()]
        assert all(requirement.specifier.contains(Version(version)) for version in versions), (line, versions)
