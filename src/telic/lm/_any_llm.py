"""The factory behind "any-llm/provider/model": providers that any-llm knows, by the official packages of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from telic._optional import require
from telic.errors import LMError
from telic.lm._foreign import ForeignClient
from telic.protocols import Capabilities, Client

if TYPE_CHECKING:
    from collections.abc import Mapping

    from telic.lm._registry import ClientSpec


def any_llm_client(spec: ClientSpec) -> Client:
    """Return a client that calls any-llm.

    Raises:
        MissingExtraError: any-llm is not installed.
    """
    library = require("any_llm", extra="any-llm", purpose=f"the LM {spec.model!r}")
    return AnyLLMClient(spec, library, "any-llm")


@final
class AnyLLMClient(ForeignClient):
    """One model through any-llm; its name is "provider/model"."""

    @property
    def capabilities(self) -> Capabilities:
        """Nothing is assumed."""
        return Capabilities()

    def _named(self, options: Mapping[str, Any]) -> dict[str, Any]:
        provider, _, name = self._spec.name.partition("/")
        return {"model": name, "provider": provider, **options}

    def _typed(self, error: Exception) -> Exception:
        """Return an `LMError` that names the model; the provider's own is its cause."""
        if isinstance(error, LMError):
            return error
        return LMError(
            f"{self._spec.model!r}: {type(error).__name__}: {error}",
            model=self._spec.model,
            provider="any-llm",
        )
