"""Rows to learn from and to measure by."""

from telic.datasets._loaders import DataLoader as DataLoader
from telic.datasets._loaders import load_examples as load_examples
from telic.datasets._loaders import split as split

__all__ = ["DataLoader", "load_examples", "split"]
