"""Rows to learn from and to measure by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telic._optional import later
from telic.datasets._check import Finding as Finding
from telic.datasets._check import check_examples as check_examples
from telic.datasets._dataloader import DataLoader as DataLoader
from telic.datasets._loaders import load_examples as load_examples
from telic.datasets._splits import check_splits as check_splits
from telic.datasets._splits import split as split
from telic.datasets._splits import without_overlap as without_overlap

if TYPE_CHECKING:
    from telic.datasets._dataset import Dataset as Dataset
    from telic.datasets._dataset import Origin as Origin
    from telic.datasets.classification import Banking77 as Banking77
    from telic.datasets.classification import TextClassification as TextClassification
    from telic.datasets.gsm8k import GSM8K as GSM8K
    from telic.datasets.hotpotqa import HotPotQA as HotPotQA
    from telic.datasets.math import MATH as MATH

_LATER = {
    "Banking77": "telic.datasets.classification",
    "Dataset": "telic.datasets._dataset",
    "GSM8K": "telic.datasets.gsm8k",
    "HotPotQA": "telic.datasets.hotpotqa",
    "MATH": "telic.datasets.math",
    "Origin": "telic.datasets._dataset",
    "TextClassification": "telic.datasets.classification",
}

__all__ = [
    "GSM8K",
    "MATH",
    "Banking77",
    "DataLoader",
    "Dataset",
    "Finding",
    "HotPotQA",
    "Origin",
    "TextClassification",
    "check_examples",
    "check_splits",
    "load_examples",
    "split",
    "without_overlap",
]

__getattr__ = later(__name__, _LATER)
