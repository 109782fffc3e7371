"""The examples of docstrings run, module by module."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import telic

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(telic.__path__, "telic.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)

    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS)

    assert failed == 0
