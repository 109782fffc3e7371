"""Programs and their building blocks.

Strategies load when they are first asked for, so that programs without them start sooner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from telic._optional import load as _import
from telic.modules._assert_retry import correction_fields as correction_fields
from telic.modules._chain_of_thought import ChainOfThought as ChainOfThought
from telic.modules._flow import Call as Call
from telic.modules._flow import Effect as Effect
from telic.modules._flow import Flow as Flow
from telic.modules._flow import Gather as Gather
from telic.modules._flow import UseTool as UseTool
from telic.modules._flow import adrive as adrive
from telic.modules._flow import drive as drive
from telic.modules._frame import watched as watched
from telic.modules._frozen import is_learnable as is_learnable
from telic.modules._load import load as load
from telic.modules._module import FlowModule as FlowModule
from telic.modules._module import Module as Module
from telic.modules._parallel import Parallel as Parallel
from telic.modules._predict import Predict as Predict
from telic.modules._tree import Leaf as Leaf
from telic.modules._tree import Node as Node
from telic.modules._tree import replace_at as replace_at
from telic.modules._tree import walk as walk
from telic.modules._wrappers import asyncify as asyncify
from telic.modules._wrappers import syncify as syncify

if TYPE_CHECKING:
    from telic.modules._aggregate import majority as majority
    from telic.modules._assert import Assert as Assert
    from telic.modules._assert import Suggest as Suggest
    from telic.modules._best_of_n import BestOfN as BestOfN
    from telic.modules._code_act import CodeAct as CodeAct
    from telic.modules._ensemble import Ensemble as Ensemble
    from telic.modules._knn import KNN as KNN
    from telic.modules._multi_chain import MultiChainComparison as MultiChainComparison
    from telic.modules._nearest_demos import NearestDemos as NearestDemos
    from telic.modules._nearest_demos import RowDemos as RowDemos
    from telic.modules._program_of_thought import ProgramOfThought as ProgramOfThought
    from telic.modules._react import ReAct as ReAct
    from telic.modules._refine import Refine as Refine
    from telic.modules._rerank import Rerank as Rerank
    from telic.modules._retrieve import Retrieve as Retrieve
    from telic.modules._rlm import RLM as RLM
    from telic.modules._self_consistency import SelfConsistency as SelfConsistency

_LATER = {
    "Assert": "telic.modules._assert",
    "BestOfN": "telic.modules._best_of_n",
    "CodeAct": "telic.modules._code_act",
    "Ensemble": "telic.modules._ensemble",
    "KNN": "telic.modules._knn",
    "MultiChainComparison": "telic.modules._multi_chain",
    "NearestDemos": "telic.modules._nearest_demos",
    "ProgramOfThought": "telic.modules._program_of_thought",
    "RLM": "telic.modules._rlm",
    "ReAct": "telic.modules._react",
    "Refine": "telic.modules._refine",
    "Rerank": "telic.modules._rerank",
    "Retrieve": "telic.modules._retrieve",
    "RowDemos": "telic.modules._nearest_demos",
    "Suggest": "telic.modules._assert",
    "SelfConsistency": "telic.modules._self_consistency",
    "majority": "telic.modules._aggregate",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'telic.modules' has no attribute {name!r}")
    value = getattr(_import(_LATER[name]), name)
    globals()[name] = value
    return value
