"""What a source needs to be installed, read from its imports."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from telic._optional import load
from telic.errors import ConfigurationError


def requirements_of(source: str) -> list[str]:
    """Return what `pip` must install for a source, telic first, other packages as they are installed here."""
    names = {name.partition(".")[0] for name in _imported(source)}
    metadata = load("importlib.metadata")
    extra = "[retrieve]" if "BM25" in source or "telic.retrieve" in source else ""
    version: str = metadata.version("telic")
    major, minor = version.split(".")[:2]
    found = [f"telic{extra}>={version},<{major}.{int(minor) + 1}"]
    packages: dict[str, list[str]] = metadata.packages_distributions()
    for name in sorted(names - set(sys.stdlib_module_names) - {"telic"}):
        found += [f"{one}=={metadata.version(one)}" for one in sorted(set(packages.get(name, [])))]
    return found


def check_imports(source: str, place: str) -> None:
    """Refuse a source that imports what stands beside it: one file is exported.

    Raises:
        ConfigurationError: It does.
    """
    here = Path(place).parent
    for name in _imported(source):
        top = name.partition(".")[0]
        beside = (here / f"{top}.py").is_file() or (here / top / "__init__.py").is_file()
        if name.startswith(".") or (place and top != "telic" and beside):
            raise ConfigurationError(
                f"{place!r} imports {name!r} from its own folder, which would not come along; move what the program "
                "needs into one file, or install it as a package of its own"
            )


def _imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")
