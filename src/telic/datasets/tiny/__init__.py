"""Tasks in the box: an invented micro-world, the one that the embedded LM `telic/tiny` was trained on."""

from telic.datasets.tiny._load import TASKS as TASKS
from telic.datasets.tiny._load import TinyDataset as TinyDataset
from telic.datasets.tiny._load import load as load
