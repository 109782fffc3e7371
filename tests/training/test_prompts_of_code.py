"""The embedded LM learns the prompts of the module as it is."""

import pytest
from skills.code import prompts

from telic.modules import ProgramOfThought
from telic.signatures import ensure_signature


@pytest.mark.parametrize(
    "text", ["question -> answer", "numbers: list[int], question -> total: int, mean: float"]
)
@pytest.mark.parametrize("instructions", [None, "Compute it."])
def test_training_asks_what_the_module_asks(text, instructions):
    signature = ensure_signature(text) if instructions is None else ensure_signature(text, instructions)
    program = ProgramOfThought(signature)
    asked = [program.code_generate, program.code_regenerate, program.generate_output]

    for module, trained in zip(asked, prompts(signature), strict=True):
        own = module.predict.signature
        assert own.instructions == trained.instructions
        assert [(f.name, f.kind, f.annotation, f.desc) for f in own.fields.values()] == [
            (f.name, f.kind, f.annotation, f.desc) for f in trained.fields.values()
        ]
