"""The public face: three lists and reality agree, the import is light, and missing names are told honestly."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import telic
from telic import _names

INIT = Path(telic.__file__)
HEAVY = (
    "pydantic",
    "asyncio",
    "orjson",
    "ssl",
    "sqlite3",
    "typer",
    "rich",
    "numpy",
    "httptools",
    "json_repair",
)


def type_checking_imports() -> dict[str, str]:
    """Name -> "module:name" of the explicit imports that type checkers see."""
    tree = ast.parse(INIT.read_text(encoding="utf-8"))
    block = next(
        node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    )
    found = {}
    for node in block.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found[alias.asname] = f"{node.module}:{alias.name}"
    return found


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_all_is_sorted_and_is_the_table():
    assert set(telic.__all__) == {*_names.HOMES, "context"}
    assert len(telic.__all__) == len(set(telic.__all__))


def test_type_checkers_see_what_is_there():
    explicit = type_checking_imports()
    table = {name: ":".join(_names.locate(name)) for name in _names.HOMES}
    packages = {name: f"telic:{name}" for name in _names.PACKAGES if name != "context"}

    seen = {
        name: home
        for name, home in explicit.items()
        if name not in {"Sequence", "ModuleSpec", "ModuleType", None}
    }

    assert seen == {**table, **packages, "context": "telic.context:context"}


@pytest.mark.parametrize("name", sorted(telic.__all__))
def test_every_public_name_resolves(name):
    value = getattr(telic, name)

    assert value is not None
    if isinstance(value, type):
        assert value.__module__.startswith("telic.")


@pytest.mark.parametrize("name", [*_names.PACKAGES, *_names.OLD_PACKAGES])
def test_submodules_are_reached_without_an_import_of_their_own(name):
    assert run_python(f"import telic; print(telic.{name}.__name__)") == f"telic.{name}"


def test_every_name_is_listed_by_dir():
    assert set(telic.__all__) <= set(dir(telic))


def test_the_import_loads_few_modules_and_none_that_is_heavy():
    code = (
        "import sys; before = set(sys.modules); import telic; new = set(sys.modules) - before;"
        f"print(len(new), *(name for name in {HEAVY!r} if name in sys.modules))"
    )

    count, *heavy = run_python(code).split()

    assert int(count) < 60
    assert heavy == []


def test_a_misspelt_name_has_a_suggestion():
    with pytest.raises(AttributeError, match="did you mean 'ChainOfThought'"):
        _ = telic.ChainOfThougt


def test_context_is_both_a_module_and_a_function():
    with telic.context(num_threads=3):
        assert telic.settings.num_threads == 3
        assert telic.context.get("num_threads") == 3


def test_the_cache_in_force_is_reached():
    assert telic.cache is telic.lm.cache()


def test_the_version_is_that_of_the_package():
    from importlib.metadata import version

    assert telic.__version__ == version("telic")
