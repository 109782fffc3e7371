"""Which names each of DSPy's module paths offers, and what its old names are called now.

A path stands here when telic has something to put behind it; so does a name. `tests/test_compat.py` resolves them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

OLD_NAMES: Final[Mapping[str, tuple[str, str]]] = {
    "ACTIVE_CALL_ID": ("telic.tracing", "ACTIVE_CALL_ID"),
    "BaseCallback": ("telic.tracing", "BaseCallback"),
    "BaseModule": ("telic.modules", "Module"),
    "Cache": ("telic.lm", "Cache"),
    "CodeInterpreter": ("telic.protocols", "Interpreter"),
    "CodeInterpreterError": ("telic.errors", "InterpreterError"),
    "CompleteAndGrounded": ("telic.evaluate", "CompleteAndGrounded"),
    "DSPyAssertionError": ("telic.errors", "AssertionFailed"),
    "DSPyError": ("telic.errors", "TelicError"),
    "DSPySuggestionError": ("telic.compat._assertions", "DSPySuggestionError"),
    "DataLoader": ("telic.datasets", "DataLoader"),
    "Dataset": ("telic.datasets", "Dataset"),
    "DummyLM": ("telic.testing", "DummyLM"),
    "DummyVectorizer": ("telic.testing", "DummyVectorizer"),
    "EM": ("telic.evaluate", "EM"),
    "EmbeddingsWithScores": ("telic.retrieve", "Embeddings"),
    "F1": ("telic.evaluate", "F1"),
    "HotPotF1": ("telic.evaluate", "HotPotF1"),
    "LMConfigurationError": ("telic.errors", "ConfigurationError"),
    "LMNotConfiguredError": ("telic.errors", "NotConfiguredError"),
    "LMProviderError": ("telic.errors", "LMError"),
    "LocalInterpreter": ("telic.sandbox", "SubprocessInterpreter"),
    "PythonInterpreter": ("telic.sandbox", "MontyInterpreter"),
    "ReActV2": ("telic.compat._react_v2", "ReActV2"),
    "SemanticF1": ("telic.evaluate", "SemanticF1"),
    "StatusMessage": ("telic.streaming", "StatusMessage"),
    "StatusMessageProvider": ("telic.streaming", "StatusMessageProvider"),
    "StreamListener": ("telic.streaming", "StreamListener"),
    "StreamResponse": ("telic.streaming", "StreamResponse"),
    "Retry": ("telic.compat._assertions", "retry"),
    "Teleprompter": ("telic.optimizers", "Optimizer"),
    "UsageTracker": ("telic.tracing", "UsageTracker"),
    "answer_exact_match": ("telic.evaluate", "answer_exact_match"),
    "answer_passage_match": ("telic.evaluate", "answer_passage_match"),
    "apply_sync_streaming": ("telic.streaming", "apply_sync_streaming"),
    "assert_transform_module": ("telic.compat._assertions", "assert_transform_module"),
    "backtrack_handler": ("telic.compat._assertions", "backtrack_handler"),
    "bypass_assert_handler": ("telic.compat._assertions", "bypass_assert_handler"),
    "bypass_suggest_handler": ("telic.compat._assertions", "bypass_suggest_handler"),
    "convert_langchain_tool": ("telic.integrations", "langchain_tool"),
    "convert_mcp_tool": ("telic.integrations", "mcp_tool"),
    "deduplicate": ("telic.compat._small", "deduplicate"),
    "default_assertion_handler": ("telic.compat._assertions", "default_assertion_handler"),
    "disable_litellm_logging": ("telic.compat._small", "disable_litellm_logging"),
    "disable_logging": ("telic.compat._small", "disable_logging"),
    "dotdict": ("telic.compat._small", "dotdict"),
    "dummy_rm": ("telic.testing", "dummy_rm"),
    "em_score": ("telic.evaluate", "em_score"),
    "enable_litellm_logging": ("telic.compat._small", "enable_litellm_logging"),
    "enable_logging": ("telic.compat._small", "enable_logging"),
    "f1_score": ("telic.evaluate", "f1_score"),
    "hotpot_f1_score": ("telic.evaluate", "hotpot_f1_score"),
    "noop_handler": ("telic.compat._assertions", "noop_handler"),
    "normalize_text": ("telic.evaluate", "normalize_text"),
    "precision_score": ("telic.evaluate", "precision_score"),
    "suggest_backtrack_handler": ("telic.compat._assertions", "suggest_backtrack_handler"),
    "streaming_response": ("telic.streaming", "streaming_response"),
    "with_callbacks": ("telic.compat._small", "with_callbacks"),
    "pretty_print_history": ("telic.tracing", "inspect_history"),
}
"""Names that are not telic's own: where each lives, and under which name."""

_ERRORS = (
    "AdapterParseError ContextWindowExceededError DSPyError LMAuthError LMBillingError LMConfigurationError LMError "
    "LMInvalidRequestError LMNotConfiguredError LMProviderError LMRateLimitError LMServerError LMTimeoutError "
    "LMTransportError LMUnsupportedModelError"
)
_METRICS = (
    "EM F1 HotPotF1 answer_exact_match answer_passage_match em_score f1_score hotpot_f1_score normalize_text "
    "precision_score"
)

_PATHS = {
    "adapters.baml_adapter": "BAMLAdapter",
    "adapters.base": "Adapter",
    "adapters.chat_adapter": "ChatAdapter",
    "adapters.json_adapter": "JSONAdapter",
    "adapters.two_step_adapter": "TwoStepAdapter",
    "adapters.types": "Audio Code File History Image Reasoning Tool ToolCalls Type",
    "adapters.types.audio": "Audio",
    "adapters.types.base_type": "Type",
    "adapters.types.citation": "Citations",
    "adapters.types.code": "Code",
    "adapters.types.document": "Document",
    "adapters.types.file": "File",
    "adapters.types.history": "History",
    "adapters.types.image": "Image",
    "adapters.types.reasoning": "Reasoning",
    "adapters.types.tool": "Tool ToolCalls",
    "adapters.xml_adapter": "XMLAdapter",
    "clients": "BaseLM Cache Embedder LM configure_cache inspect_history",
    "clients.base_lm": "BaseLM inspect_history",
    "clients.cache": "Cache",
    "clients.embedding": "Embedder",
    "clients.lm": "LM",
    "datasets.dataloader": "DataLoader",
    "datasets.dataset": "Dataset",
    "dsp": "",
    "dsp.colbertv2": "ColBERTv2",
    "dsp.utils": "deduplicate dotdict settings",
    "dsp.utils.settings": "settings",
    "dsp.utils.utils": "deduplicate dotdict",
    "experimental": "Citations Document",
    "evaluate.auto_evaluation": "CompleteAndGrounded SemanticF1",
    "evaluate.evaluate": "Evaluate EvaluationResult",
    "evaluate.metrics": _METRICS,
    "predict": "BestOfN ChainOfThought CodeAct KNN MultiChainComparison Parallel Predict ProgramOfThought RLM ReAct "
    "ReActV2 Refine Retry majority",
    "predict.aggregation": "majority",
    "predict.best_of_n": "BestOfN",
    "predict.chain_of_thought": "ChainOfThought",
    "predict.code_act": "CodeAct",
    "predict.knn": "KNN",
    "predict.multi_chain_comparison": "MultiChainComparison",
    "predict.parallel": "Parallel",
    "predict.predict": "Predict",
    "predict.program_of_thought": "ProgramOfThought",
    "predict.react": "ReAct Tool",
    "predict.react_v2": "ReActV2",
    "predict.refine": "Refine",
    "predict.retry": "Retry",
    "predict.rlm": "RLM",
    "primitives": "Assert BaseModule CodeInterpreter CodeInterpreterError Completions DSPyAssertionError "
    "DSPySuggestionError Example LocalInterpreter Module Prediction PythonInterpreter Suggest assert_transform_module",
    "primitives.assertions": "Assert DSPyAssertionError DSPySuggestionError Suggest assert_transform_module "
    "backtrack_handler bypass_assert_handler bypass_suggest_handler default_assertion_handler noop_handler "
    "suggest_backtrack_handler",
    "primitives.base_module": "BaseModule",
    "primitives.code_interpreter": "CodeInterpreter CodeInterpreterError",
    "primitives.example": "Example",
    "primitives.module": "Module",
    "primitives.prediction": "Completions Prediction",
    "primitives.python_interpreter": "PythonInterpreter",
    "retrieve.retrieve": "Retrieve",
    "retrievers": "Embeddings EmbeddingsWithScores Retrieve",
    "retrievers.embeddings": "Embeddings EmbeddingsWithScores",
    "retrievers.retrieve": "Retrieve",
    "signatures.field": "InputField OutputField",
    "signatures.signature": "Signature SignatureMeta ensure_signature infer_prefix make_signature",
    "streaming.messages": "StatusMessage StatusMessageProvider StreamResponse",
    "streaming.streamify": "apply_sync_streaming streamify streaming_response",
    "streaming.streaming_listener": "StreamListener",
    "teleprompt": "BootstrapFewShot BootstrapFewShotWithOptuna BootstrapFewShotWithRandomSearch BootstrapRS "
    "COPRO LabeledFewShot MIPROv2 Teleprompter",
    "teleprompt.bootstrap": "BootstrapFewShot",
    "teleprompt.copro_optimizer": "COPRO",
    "teleprompt.mipro_optimizer_v2": "MIPROv2",
    "teleprompt.teleprompt_optuna": "BootstrapFewShotWithOptuna",
    "teleprompt.random_search": "BootstrapFewShotWithRandomSearch",
    "teleprompt.teleprompt": "Teleprompter",
    "teleprompt.vanilla": "LabeledFewShot",
    "utils": "BaseCallback DummyLM DummyVectorizer dummy_rm inspect_history pretty_print_history "
    "track_usage " + _ERRORS,
    "utils.asyncify": "asyncify",
    "utils.callback": "ACTIVE_CALL_ID BaseCallback with_callbacks",
    "utils.dummies": "DummyLM DummyVectorizer dummy_rm",
    "utils.exceptions": _ERRORS,
    "utils.inspect_history": "pretty_print_history",
    "utils.langchain_tool": "convert_langchain_tool",
    "utils.logging_utils": "disable_logging enable_logging",
    "utils.mcp": "convert_mcp_tool",
    "utils.saving": "load",
    "utils.syncify": "syncify",
    "utils.usage_tracker": "UsageTracker track_usage",
}

PATHS: Final[Mapping[str, tuple[str, ...]]] = {path: tuple(names.split()) for path, names in _PATHS.items()}
"""Path below `dspy` (and below `telic`) -> the names that it offers."""
