"""The training scripts import each other by name, as scripts do; their tests find them the same way."""

import sys
from pathlib import Path
from random import Random

import pytest

from telic.adapters import ChatAdapter, JSONAdapter, XMLAdapter
from telic.data import Completion
from telic.protocols import Capabilities

FOLDER = str(Path(__file__).parents[2] / "training/tiny")
if FOLDER not in sys.path:
    sys.path.append(FOLDER)


def _rows(skill, count=60, held_out=False, **options):
    """Yield (task, row) of many tasks of a skill."""
    rng = Random("rows")
    for _ in range(count):
        task = skill(rng, held_out, **options)
        for _ in range(3):
            yield task, task.draw(rng)


def _reads_back(task, row):
    """Every adapter renders the row's inputs, and reads the same outputs from what it writes."""
    for adapter in (ChatAdapter(), JSONAdapter(), XMLAdapter()):
        plan = adapter.plan(task.signature, (), Capabilities())
        assert plan.render(row.inputs)
        text = adapter.format_assistant_message_content(task.signature, row.outputs)
        assert plan.parse(Completion(text), row.inputs) == row.outputs
        assert set(row.inputs) == set(task.signature.input_fields)


@pytest.fixture
def rows():
    return _rows


@pytest.fixture
def reads_back():
    return _reads_back
