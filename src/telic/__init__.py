"""telic: programming, not prompting, language models.

State what a program's steps take and give, measure it, and compile it toward the measure:

    import telic

    telic.configure(lm=telic.LM("openai/gpt-5-mini"))
    program = telic.ChainOfThought("question -> answer")
    better = telic.BootstrapFewShot(metric=metric).compile(program, trainset=trainset)

Names load when they are first used, so that the import itself costs milliseconds.
"""

from __future__ import annotations

import sys as _sys
from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

from telic import _names
from telic._text import did_you_mean as _did_you_mean
from telic._version import VERSION as _VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from telic import adapters as adapters
    from telic import budget as budget
    from telic import compat as compat
    from telic import data as data
    from telic import datasets as datasets
    from telic import errors as errors
    from telic import evaluate as evaluate
    from telic import execution as execution
    from telic import integrations as integrations
    from telic import journal as journal
    from telic import lm as lm
    from telic import modules as modules
    from telic import optimizers as optimizers
    from telic import protocols as protocols
    from telic import recipes as recipes
    from telic import retrieve as retrieve
    from telic import sandbox as sandbox
    from telic import signatures as signatures
    from telic import streaming as streaming
    from telic import testing as testing
    from telic import tracing as tracing
    from telic import training as training
    from telic import types as types
    from telic.adapters import Adapter as Adapter
    from telic.adapters import BAMLAdapter as BAMLAdapter
    from telic.adapters import ChatAdapter as ChatAdapter
    from telic.adapters import JSONAdapter as JSONAdapter
    from telic.adapters import TwoStepAdapter as TwoStepAdapter
    from telic.adapters import XMLAdapter as XMLAdapter
    from telic.budget import Budget as Budget
    from telic.context import configure as configure
    from telic.context import context as context
    from telic.context import copy_context as copy_context
    from telic.context import settings as settings
    from telic.data import AssertionCount as AssertionCount
    from telic.data import AssertionOutcome as AssertionOutcome
    from telic.data import Completions as Completions
    from telic.data import Example as Example
    from telic.data import Prediction as Prediction
    from telic.data import Score as Score
    from telic.data import Step as Step
    from telic.data import Usage as Usage
    from telic.errors import AdapterError as AdapterError
    from telic.errors import AdapterParseError as AdapterParseError
    from telic.errors import AssertionFailed as AssertionFailed
    from telic.errors import BudgetExceeded as BudgetExceeded
    from telic.errors import CacheMissError as CacheMissError
    from telic.errors import CodeExecutionError as CodeExecutionError
    from telic.errors import ConfigurationError as ConfigurationError
    from telic.errors import ContentFilterError as ContentFilterError
    from telic.errors import ContextWindowExceededError as ContextWindowExceededError
    from telic.errors import DatasetError as DatasetError
    from telic.errors import EvaluationError as EvaluationError
    from telic.errors import InputError as InputError
    from telic.errors import InterpreterError as InterpreterError
    from telic.errors import JournalError as JournalError
    from telic.errors import LMAuthError as LMAuthError
    from telic.errors import LMBillingError as LMBillingError
    from telic.errors import LMError as LMError
    from telic.errors import LMInvalidRequestError as LMInvalidRequestError
    from telic.errors import LMOutageError as LMOutageError
    from telic.errors import LMRateLimitError as LMRateLimitError
    from telic.errors import LMResponseError as LMResponseError
    from telic.errors import LMServerError as LMServerError
    from telic.errors import LMTimeoutError as LMTimeoutError
    from telic.errors import LMTransportError as LMTransportError
    from telic.errors import LMUnsupportedModelError as LMUnsupportedModelError
    from telic.errors import MediaError as MediaError
    from telic.errors import MediaNotFoundError as MediaNotFoundError
    from telic.errors import MetricError as MetricError
    from telic.errors import MissingExtraError as MissingExtraError
    from telic.errors import NotConfiguredError as NotConfiguredError
    from telic.errors import ProgramError as ProgramError
    from telic.errors import ProgramTimeoutError as ProgramTimeoutError
    from telic.errors import RequestsForbiddenError as RequestsForbiddenError
    from telic.errors import RetrievalError as RetrievalError
    from telic.errors import RetrievalTimeoutError as RetrievalTimeoutError
    from telic.errors import RunDivergedError as RunDivergedError
    from telic.errors import RunLockedError as RunLockedError
    from telic.errors import RunMismatchError as RunMismatchError
    from telic.errors import SignatureError as SignatureError
    from telic.errors import SignatureSyntaxError as SignatureSyntaxError
    from telic.errors import StateError as StateError
    from telic.errors import StateMismatchError as StateMismatchError
    from telic.errors import StateNotFoundError as StateNotFoundError
    from telic.errors import StateVersionError as StateVersionError
    from telic.errors import StoredIndexError as StoredIndexError
    from telic.errors import TelicError as TelicError
    from telic.errors import ToolError as ToolError
    from telic.errors import TrainingError as TrainingError
    from telic.errors import TruncatedReplyError as TruncatedReplyError
    from telic.errors import UnknownProviderError as UnknownProviderError
    from telic.evaluate import Evaluate as Evaluate
    from telic.evaluate import EvaluationResult as EvaluationResult
    from telic.integrations import mcp_tools as mcp_tools
    from telic.journal import Run as Run
    from telic.lm import LM as LM
    from telic.lm import BaseLM as BaseLM
    from telic.lm import configure_cache as configure_cache
    from telic.modules import KNN as KNN
    from telic.modules import RLM as RLM
    from telic.modules import Assert as Assert
    from telic.modules import BestOfN as BestOfN
    from telic.modules import ChainOfThought as ChainOfThought
    from telic.modules import CodeAct as CodeAct
    from telic.modules import Module as Module
    from telic.modules import MultiChainComparison as MultiChainComparison
    from telic.modules import Parallel as Parallel
    from telic.modules import Predict as Predict
    from telic.modules import ProgramOfThought as ProgramOfThought
    from telic.modules import ReAct as ReAct
    from telic.modules import Refine as Refine
    from telic.modules import Retrieve as Retrieve
    from telic.modules import SelfConsistency as SelfConsistency
    from telic.modules import Suggest as Suggest
    from telic.modules import asyncify as asyncify
    from telic.modules import load as load
    from telic.modules import majority as majority
    from telic.modules import syncify as syncify
    from telic.optimizers import COPRO as COPRO
    from telic.optimizers import GEPA as GEPA
    from telic.optimizers import GRPO as GRPO
    from telic.optimizers import SIMBA as SIMBA
    from telic.optimizers import BetterTogether as BetterTogether
    from telic.optimizers import BootstrapFewShot as BootstrapFewShot
    from telic.optimizers import BootstrapFewShotWithOptuna as BootstrapFewShotWithOptuna
    from telic.optimizers import BootstrapFewShotWithRandomSearch as BootstrapFewShotWithRandomSearch
    from telic.optimizers import BootstrapFewShotWithRandomSearch as BootstrapRS
    from telic.optimizers import BootstrapFinetune as BootstrapFinetune
    from telic.optimizers import Ensemble as Ensemble
    from telic.optimizers import Improve as Improve
    from telic.optimizers import InferRules as InferRules
    from telic.optimizers import KNNFewShot as KNNFewShot
    from telic.optimizers import LabeledFewShot as LabeledFewShot
    from telic.optimizers import MIPROv2 as MIPROv2
    from telic.optimizers import improve as improve
    from telic.retrieve import ColBERTv2 as ColBERTv2
    from telic.retrieve import Embedder as Embedder
    from telic.retrieve import Embeddings as Embeddings
    from telic.signatures import FieldInfo as FieldInfo
    from telic.signatures import InputField as InputField
    from telic.signatures import OutputField as OutputField
    from telic.signatures import Signature as Signature
    from telic.signatures import SignatureMeta as SignatureMeta
    from telic.signatures import ensure_signature as ensure_signature
    from telic.signatures import infer_prefix as infer_prefix
    from telic.signatures import make_signature as make_signature
    from telic.streaming._streamify import streamify as streamify
    from telic.tracing import inspect_history as inspect_history
    from telic.tracing import track_usage as track_usage
    from telic.types import Audio as Audio
    from telic.types import Citations as Citations
    from telic.types import Code as Code
    from telic.types import Document as Document
    from telic.types import File as File
    from telic.types import History as History
    from telic.types import Image as Image
    from telic.types import Reasoning as Reasoning
    from telic.types import Tool as Tool
    from telic.types import ToolCall as ToolCall
    from telic.types import ToolCalls as ToolCalls
    from telic.types._model import Type as Type

    cache: lm.Cache

__version__ = _VERSION

__all__ = [
    "COPRO", "GEPA", "GRPO", "KNN", "LM", "RLM", "SIMBA", "Adapter", "AdapterError", "AdapterParseError", "Assert",
    "AssertionCount", "AssertionFailed", "AssertionOutcome", "Audio", "BAMLAdapter", "BaseLM", "BestOfN",
    "BetterTogether", "BootstrapFewShot", "BootstrapFewShotWithOptuna", "BootstrapFewShotWithRandomSearch",
    "BootstrapFinetune", "BootstrapRS", "Budget", "BudgetExceeded", "CacheMissError", "ChainOfThought", "ChatAdapter",
    "Citations", "Code", "CodeAct", "CodeExecutionError", "ColBERTv2", "Completions", "ConfigurationError",
    "ContentFilterError", "ContextWindowExceededError", "DatasetError", "Document", "Embedder", "Embeddings",
    "Ensemble", "Evaluate", "EvaluationError", "EvaluationResult", "Example", "FieldInfo", "File", "History", "Image",
    "Improve", "InferRules", "InputError", "InputField", "InterpreterError", "JSONAdapter", "JournalError",
    "KNNFewShot", "LMAuthError", "LMBillingError", "LMError", "LMInvalidRequestError", "LMOutageError",
    "LMRateLimitError", "LMResponseError", "LMServerError", "LMTimeoutError", "LMTransportError",
    "LMUnsupportedModelError", "LabeledFewShot", "MIPROv2", "MediaError", "MediaNotFoundError", "MetricError",
    "MissingExtraError", "Module", "MultiChainComparison", "NotConfiguredError", "OutputField", "Parallel", "Predict",
    "Prediction", "ProgramError", "ProgramOfThought", "ProgramTimeoutError", "ReAct", "Reasoning", "Refine",
    "RequestsForbiddenError", "RetrievalError", "RetrievalTimeoutError", "Retrieve", "Run", "RunDivergedError",
    "RunLockedError", "RunMismatchError", "Score", "SelfConsistency", "Signature", "SignatureError", "SignatureMeta",
    "SignatureSyntaxError", "StateError", "StateMismatchError", "StateNotFoundError", "StateVersionError", "Step",
    "StoredIndexError", "Suggest", "TelicError", "Tool", "ToolCall", "ToolCalls", "ToolError", "TrainingError",
    "TruncatedReplyError", "TwoStepAdapter", "Type", "UnknownProviderError", "Usage", "XMLAdapter", "asyncify",
    "configure", "configure_cache", "context", "copy_context", "ensure_signature", "improve", "infer_prefix",
    "inspect_history", "load", "majority", "make_signature", "mcp_tools", "settings", "streamify", "syncify",
    "track_usage",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _names.HOMES:
        module, inner = _names.locate(name)
        value = getattr(_import_module(module), inner)
    elif name == "cache":  # the cache in force: `configure_cache` replaces it, so it is looked up each time
        return _import_module("telic.lm").cache()
    elif name in _names.PACKAGES or name in _names.OLD_PACKAGES:
        return _import_module(f"telic.{name}")
    else:
        raise AttributeError(f"module 'telic' has no attribute {name!r}{_did_you_mean(name, __all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_names.PACKAGES, "__version__", "cache"})


class _OldPaths:
    """Finds DSPy's module paths (`telic.teleprompt` …) where no file of that name is; see `telic.compat`."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith("telic.") or name.startswith("telic.compat"):
            return None
        return _import_module("telic.compat").find_old_path(name)


_sys.meta_path.append(_OldPaths)
