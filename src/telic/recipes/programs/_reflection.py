"""Several chains of thought, then one look at all of them.

The whole program is on this page: copy it, and change what you like.
"""

from __future__ import annotations

from typing import Any

from telic.data import Prediction
from telic.modules import ChainOfThought, Module, MultiChainComparison


class ThoughtReflection(Module):
    """Draw several attempts and let the LM compare them.

    Args:
        signature: The task.
        num_attempts: How many attempts are drawn, of one request where the LM can do that.
        temperature: Of the attempts.

    Calling it takes the inputs of the signature by name.

    Cost: two LM calls, the first with `num_attempts` completions.
    Source: the "reflection" program for GSM8K of Khattab et al. 2023 (arXiv 2310.03714), after Yoran et al. 2023
    (arXiv 2304.13007).

    Example:
        >>> from telic.testing import FunctionLM
        >>> program = ThoughtReflection("question -> answer: int", num_attempts=3)
        >>> program.set_lm(FunctionLM(lambda text: {"reasoning": "2 + 2", "rationale": "All agree.", "answer": 4}))
        >>> program(question="2 + 2?").answer
        4
    """

    def __init__(
        self, signature: Any = "question -> answer", num_attempts: int = 5, temperature: float = 0.7
    ) -> None:
        super().__init__()
        self.compare = MultiChainComparison(signature, M=num_attempts)
        self.attempt = ChainOfThought(signature, n=num_attempts, temperature=temperature)

    def forward(self, **inputs: Any) -> Prediction:
        """Attempt, then compare."""
        drawn = self.attempt(**inputs).completions
        # An attempt that cannot be read is not among them, and was paid for with the others: these stand in for it.
        attempts = [drawn[place % len(drawn)] for place in range(self.compare.M)]
        return self.compare(completions=attempts, **inputs)
