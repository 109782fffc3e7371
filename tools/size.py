"""The shape of the package in one table row, and the budget that CI holds it to.

    python tools/size.py            # print the row, fail over budget
    python tools/size.py --worst 10 # and the longest files and functions

Counted over every `.py` file of `src/telic`, comments and blanks included. A function's lines are those of
its `def` to its end; its parameters are all but `self` and `cls`. Cycles are groups of modules that reach
each other through imports, `TYPE_CHECKING` blocks left out; "with lazy" also counts imports inside functions.
A broad except catches `Exception`, `BaseException` or everything.

Raising a number of the budget is a reviewed change of this file.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent / "src" / "telic"

MAX_FILE_LINES = 400
LONG_FILES = {"errors.py"}  # the whole tree on one page
MAX_FUNCTION_LINES = 80
MAX_PARAMETERS = 10
MAX_CORE_LINES = 72_000  # floors 0-8; a raise needs its reason in ARCHITECTURE.md
SURFACES = {"cli", "viewer", "serve", "integrations", "compat", "testing"}  # floor 9

# Constructors whose parameters are DSPy's, so that programs written for it run.
MANY_PARAMETERS = {
    "lm/_lm.py:LM.__init__",
    "evaluate/_evaluate.py:Evaluate.__init__",
    "optimizers/_better_together.py:BetterTogether.compile",
    "optimizers/_grpo.py:GRPO.__init__",
    "optimizers/_gepa.py:GEPA.__init__",
    "signatures/_options.py:DeclareField.__call__",
    # One parameter an option of the command line.
    "cli/_app.py:compile_program",
    "cli/_app.py:improve",
    "cli/_recipe_app.py:_over_documents.answer_from",
}

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Function:
    """One function or method: where it is, how long, how many parameters, and whether all is annotated."""

    name: str
    lines: int
    parameters: int
    annotated: bool


@dataclass
class File:
    """One source file and what was counted in it."""

    path: str
    module: str
    lines: int
    functions: list[Function] = field(default_factory=list)
    ignores: int = 0
    broad_excepts: int = 0
    prints: int = 0
    imports: set[str] = field(default_factory=set)
    lazy_imports: set[str] = field(default_factory=set)

    @property
    def package(self) -> str:
        """The top folder below `telic`, or "" for the files at the top."""
        return self.path.partition("/")[0] if "/" in self.path else ""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Print the shape of the package; fail over budget.")
    parser.add_argument(
        "--worst", type=int, default=0, metavar="N", help="also print the N longest files and functions"
    )
    options = parser.parse_args(arguments)
    files = [read(path) for path in sorted(ROOT.rglob("*.py"))]
    print(table(files))
    for line in worst(files, options.worst):
        print(line)
    faults = list(over_budget(files))
    for fault in faults:
        print(f"over budget: {fault}", file=sys.stderr)
    return 1 if faults else 0


def read(path: Path) -> File:
    """Return what one file holds."""
    text = path.read_text(encoding="utf-8")
    relative = path.relative_to(ROOT).as_posix()
    parts = ["telic", *relative.removesuffix(".py").split("/")]
    is_package = parts[-1] == "__init__"
    module = ".".join(parts[:-1] if is_package else parts)
    file = File(relative, module, text.count("\n"))
    file.ignores = len(re.findall(r"#\s*(?:type|pyright):\s*ignore", text))
    visit(ast.parse(text, relative), file, scope=(), inside_function=False)
    return file


def visit(node: ast.AST, file: File, *, scope: tuple[str, ...], inside_function: bool) -> None:
    """Walk the tree, with the names of the enclosing definitions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                visit(other, file, scope=scope, inside_function=inside_function)
            continue
        count(child, file, scope, inside_function=inside_function)
        named = isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        visit(
            child,
            file,
            scope=(*scope, child.name) if named else scope,
            inside_function=inside_function or isinstance(child, FunctionNode),
        )


def count(node: ast.AST, file: File, scope: tuple[str, ...], *, inside_function: bool) -> None:
    """Add what one node is to the file's counts."""
    if isinstance(node, FunctionNode):
        file.functions.append(function_of(node, ".".join((*scope, node.name))))
    elif isinstance(node, ast.ExceptHandler):
        caught = "" if node.type is None else ast.unparse(node.type)
        file.broad_excepts += node.type is None or bool(re.search(r"\b(Base)?Exception\b", caught))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
        file.prints += 1
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        target = file.lazy_imports if inside_function else file.imports
        if isinstance(node, ast.Import):
            target.update(alias.name for alias in node.names)
        elif node.module:
            target.update(f"{node.module}.{alias.name}" for alias in node.names)


def function_of(node: FunctionNode, name: str) -> Function:
    """Return the measures of one function."""
    a = node.args
    positional = [*a.posonlyargs, *a.args]
    if positional and positional[0].arg in {"self", "cls", "mcs", "mcls", "metacls"}:
        positional = positional[1:]
    all_parameters = [*positional, *a.kwonlyargs]
    stars = [star for star in (a.vararg, a.kwarg) if star is not None]
    returns = node.returns is not None or node.name == "__init__"
    annotated = returns and all(parameter.annotation is not None for parameter in [*all_parameters, *stars])
    return Function(name, (node.end_lineno or node.lineno) - node.lineno + 1, len(all_parameters), annotated)


def cycles(files: Sequence[File], *, lazy: bool) -> list[str]:
    """Return the modules that reach themselves through imports."""
    modules = {file.module for file in files}
    edges: dict[str, set[str]] = {}
    for file in files:
        imported = file.imports | file.lazy_imports if lazy else file.imports
        # `from a.b import c` depends on the module a.b.c where there is one, else on a.b: as import-linter counts.
        targets = {name if name in modules else name.rpartition(".")[0] for name in imported}
        edges[file.module] = (targets & modules) - {file.module}
    return sorted(module for module in modules if module in reachable(module, edges))


def reachable(start: str, edges: dict[str, set[str]]) -> set[str]:
    """Return all modules that `start` reaches."""
    seen: set[str] = set()
    stack = list(edges[start])
    while stack:
        module = stack.pop()
        if module not in seen:
            seen.add(module)
            stack.extend(edges[module])
    return seen


def at(values: Iterable[int], share: float) -> int:
    """Return the value below which `share` of the values lie; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0


def table(files: Sequence[File]) -> str:
    """Return the row, with its heading, as Markdown."""
    functions = [function for file in files for function in file.functions]
    lengths = [function.lines for function in functions]
    parameters = [function.parameters for function in functions]
    sizes = [file.lines for file in files]
    total = sum(sizes)
    cells = {
        "files": f"{len(files)}",
        "lines": f"{total:,}",
        "floors 0-8": f"{core_lines(files):,}",
        "median / p90 / max file": f"{at(sizes, 0.5)} / {at(sizes, 0.9)} / {max(sizes)}",
        "p50 / p90 / p99 / max function": " / ".join(str(at(lengths, q)) for q in (0.5, 0.9, 0.99, 1.0)),
        "functions > 60": f"{share(length > 60 for length in lengths)}",
        "annotated": f"{share(function.annotated for function in functions)}",
        "ignores per 1,000": f"{1000 * sum(file.ignores for file in files) / total:.1f}",
        "cycle: module level / with lazy": f"{len(cycles(files, lazy=False))} / {len(cycles(files, lazy=True))}",
        "broad except": f"{sum(file.broad_excepts for file in files)}",
        "params p90 / p99 / max": f"{at(parameters, 0.9)} / {at(parameters, 0.99)} / {max(parameters)}",
        "`print`": f"{sum(file.prints for file in files)}",
    }
    return "\n".join(
        (f"| {' | '.join(cells)} |", f"|{'---|' * len(cells)}", f"| {' | '.join(cells.values())} |"),
    )


def share(flags: Iterable[bool]) -> str:
    """Return how many of the flags are true, in percent."""
    listed = list(flags)
    return f"{100 * sum(listed) / max(1, len(listed)):.1f} %"


def core_lines(files: Iterable[File]) -> int:
    """Return the lines of floors 0-8."""
    return sum(file.lines for file in files if file.package not in SURFACES)


def worst(files: Sequence[File], number: int) -> Iterator[str]:
    """Yield the longest files and functions."""
    for file in sorted(files, key=lambda file: -file.lines)[:number]:
        yield f"{file.lines:5}  {file.path}"
    functions = [
        (function.lines, f"{file.path}:{function.name}") for file in files for function in file.functions
    ]
    for lines, name in sorted(functions, reverse=True)[:number]:
        yield f"{lines:5}  {name}"


def over_budget(files: Sequence[File]) -> Iterator[str]:
    """Yield what breaks the budget, in words."""
    for file in files:
        if file.lines > MAX_FILE_LINES and file.path not in LONG_FILES:
            yield f"{file.path} has {file.lines} lines (at most {MAX_FILE_LINES}): split it by noun"
        for function in file.functions:
            where = f"{file.path}:{function.name}"
            if function.lines > MAX_FUNCTION_LINES:
                yield f"{where} has {function.lines} lines (at most {MAX_FUNCTION_LINES})"
            if function.parameters > MAX_PARAMETERS and where not in MANY_PARAMETERS:
                yield f"{where} has {function.parameters} parameters (at most {MAX_PARAMETERS})"
            if not function.annotated:
                yield f"{where} is not fully annotated"
        if file.prints and file.package != "cli":
            yield f"{file.path} prints; only `cli/` may"
    if core_lines(files) > MAX_CORE_LINES:
        yield f"floors 0-8 have {core_lines(files):,} lines (at most {MAX_CORE_LINES:,})"
    if knot := cycles(files, lazy=True):
        yield f"{len(knot)} modules are in import cycles: {', '.join(knot)}"


if __name__ == "__main__":
    sys.exit(main())
