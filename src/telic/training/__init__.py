"""Weights that change: models that can be trained, rows from traces, and finetuning (extra `train`).

Read `_trainable` first: all that a trainer knows of a model.
"""

from telic.training._open import check_trainable as check_trainable
from telic.training._open import is_trainable as is_trainable
from telic.training._open import open_trainable as open_trainable
from telic.training._trainable import Adaptation as Adaptation
from telic.training._trainable import Needs as Needs
from telic.training._trainable import TokenRow as TokenRow
from telic.training._trainable import Trainable as Trainable
