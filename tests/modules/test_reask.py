import pydantic
import pytest

from telic.modules import Predict
from telic.signatures import InputField, OutputField, Signature
from telic.testing import ScriptedLM


class Cited(Signature):
    """Answer from one of the passages."""

    passages: list[str] = InputField()
    source: int = OutputField()

    @pydantic.model_validator(mode="after")
    def known(self):
        if self.source >= len(self.passages):
            raise ValueError(f"there are only {len(self.passages)} passages")
        return self


@pytest.mark.parametrize("options", [{}, {"n": 2}])
def test_a_validator_sees_the_inputs_of_the_call_also_when_asked_again(options):
    lm = ScriptedLM([{"source": 7}] * options.get("n", 1) + [{"source": 3}] + [{"source": 1}] * 2)

    made = Predict(Cited, max_retries=2, **options)(passages=["a", "b"], lm=lm)

    assert made.source == 1
    assert "there are only 2 passages" in lm.requests[1].messages[-1]["content"]
