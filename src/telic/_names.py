"""Which module holds each public name: the table behind `import telic` and behind the old module paths.

Only strings: reading it imports nothing. A name stands here when it exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def _homes(**modules: str) -> dict[str, str]:
    return {name: f"telic.{module}" for module, names in modules.items() for name in names.split()}


HOMES: Final[Mapping[str, str]] = {
    **_homes(
        data="AssertionCount AssertionOutcome Completions Example Prediction Score Step Usage",
        types="Audio Citations Code Document File History Image Reasoning Tool ToolCall ToolCalls",
        signatures="FieldInfo InputField OutputField Signature SignatureMeta ensure_signature infer_prefix "
        "make_signature",
        context="configure copy_context settings",
        budget="Budget",
        journal="Run",
        tracing="inspect_history track_usage",
        adapters="Adapter BAMLAdapter ChatAdapter JSONAdapter TwoStepAdapter XMLAdapter",
        lm="LM BaseLM configure_cache",
        modules="Assert BestOfN ChainOfThought CodeAct KNN Module MultiChainComparison Parallel Predict "
        "ProgramOfThought RLM ReAct Refine Retrieve SelfConsistency Suggest asyncify load majority syncify",
        retrieve="ColBERTv2 Embedder Embeddings",
        evaluate="Evaluate EvaluationResult",
        integrations="mcp_tools",
        optimizers="BetterTogether BootstrapFewShot BootstrapFewShotWithOptuna BootstrapFewShotWithRandomSearch "
        "BootstrapFinetune COPRO Ensemble GEPA GRPO Improve InferRules KNNFewShot LabeledFewShot MIPROv2 SIMBA improve",
        errors="AdapterError AdapterParseError AssertionFailed BudgetExceeded CacheMissError CodeExecutionError "
        "ConfigurationError ContentFilterError ContextWindowExceededError DatasetError EvaluationError InputError "
        "InterpreterError JournalError LMOutageError RunDivergedError RunLockedError RunMismatchError "
        "LMAuthError LMBillingError LMError LMInvalidRequestError "
        "LMRateLimitError LMResponseError LMServerError LMTimeoutError LMTransportError "
        "LMUnsupportedModelError MediaError MediaNotFoundError MetricError MissingExtraError NotConfiguredError "
        "ProgramError ProgramTimeoutError "
        "RetrievalError RetrievalTimeoutError StoredIndexError "
        "RequestsForbiddenError SignatureError SignatureSyntaxError StateError StateMismatchError "
        "StateNotFoundError StateVersionError TelicError ToolError TrainingError TruncatedReplyError "
        "UnknownProviderError",
    ),
    "Type": "telic.types._model:Type",
    "streamify": "telic.streaming._streamify:streamify",  # DSPy has a module of that name in the package
    "BootstrapRS": "telic.optimizers:BootstrapFewShotWithRandomSearch",
}
"""Name -> module, or "module:name" where it is called otherwise there."""

PACKAGES: Final = (
    "adapters", "budget", "compat", "context", "data", "datasets", "errors", "evaluate", "execution", "integrations",
    "journal", "lm", "modules", "optimizers", "protocols", "recipes", "retrieve", "sandbox", "signatures", "streaming",
    "testing", "tracing", "training", "types",
)  # fmt: skip
"""Submodules that `telic.<name>` reaches without an import of their own."""

OLD_PACKAGES: Final = ("clients", "dsp", "predict", "primitives", "retrievers", "teleprompt", "utils")
"""The same, of the module paths that `telic.compat` serves."""


def locate(name: str) -> tuple[str, str]:
    """Return the module that holds a public name, and what it is called there."""
    module, _, inner = HOMES[name].partition(":")
    return module, inner or name
