"""bench/concurrency.py: its table has a line for each optimizer, and the server saw more than one call at once."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"

pytestmark = pytest.mark.skipif(not BENCH.is_dir(), reason="the benchmarks lie in the repository alone")


def test_it_prints_a_line_for_each_optimizer(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCH))
    concurrency = importlib.import_module("concurrency")
    try:
        concurrency.main(["--quick", "--latency", "0.005", "--optimizers", "BootstrapFewShot", "GEPA"])
    finally:
        sys.modules.pop("concurrency", None)

    head, _, *lines = capsys.readouterr().out.splitlines()
    assert "5 ms, 16 at once" in head
    assert [line.split("|")[1].strip() for line in lines] == ["BootstrapFewShot", "GEPA"]
    assert all(int(line.split("|")[7]) > 1 for line in lines)
