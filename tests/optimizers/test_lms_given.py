"""What is given as an LM and is none is refused by every optimizer when it is made, before another LM is paid."""

from __future__ import annotations

from typing import Any

import pytest

import telic
from telic.errors import ConfigurationError


def metric(example: Any, prediction: Any, trace: Any = None) -> float:
    return 1.0


def judged(gold: Any, pred: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None) -> float:
    return 1.0


MAKERS = {
    "prompt_model of MIPROv2": lambda lm: telic.MIPROv2(metric, prompt_model=lm),
    "task_model of MIPROv2": lambda lm: telic.MIPROv2(metric, task_model=lm),
    "prompt_model of COPRO": lambda lm: telic.COPRO(metric=metric, prompt_model=lm),
    "prompt_model of SIMBA": lambda lm: telic.SIMBA(metric=metric, prompt_model=lm),
    "prompt_model of InferRules": lambda lm: telic.InferRules(metric=metric, prompt_model=lm),
    "prompt_model of Improve": lambda lm: telic.Improve(metric, prompt_model=lm),
    "reflection_lm of GEPA": lambda lm: telic.GEPA(judged, auto="light", reflection_lm=lm),
    "teacher_settings of BootstrapFewShot": lambda lm: telic.BootstrapFewShot(
        metric, teacher_settings={"lm": lm}
    ),
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("lm", ["openai/gpt-5-mini", 3, telic.LM], ids=["name", "number", "class"])
def test_what_is_no_lm_is_refused(name, lm):
    with pytest.raises(ConfigurationError, match=f"^{name.partition(' ')[0]}.* is no LM"):
        MAKERS[name](lm)


@pytest.mark.parametrize("name", MAKERS)
def test_an_lm_and_a_function_are_taken(name):
    assert MAKERS[name](telic.LM("openai/gpt-5-mini", api_key="none"))
    assert MAKERS[name](lambda messages: "yes")


def test_a_class_is_no_lm_of_a_predictor():
    program = telic.Predict("question -> answer")
    program.lm = telic.LM
    with pytest.raises(ConfigurationError, match="it is a class"):
        program(question="2 + 2?")


def test_a_proposer_that_takes_other_arguments_is_refused():
    with pytest.raises(
        ConfigurationError, match="instruction_proposer is called with candidate=.* unexpected"
    ):
        telic.GEPA(judged, auto="light", instruction_proposer=lambda candidate: {})
