"""An LM in the box: a small transformer of our own training, run by NumPy.

Its answers truly depend on instructions, demos and reasoning, inside the small invented world that it was trained on
(`telic.datasets.tiny`). It knows no English beyond that world. How it was trained: `training/tiny` in the repository.
"""

from telic.lm.tiny._client import TinyClient as TinyClient
