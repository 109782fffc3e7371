"""The price table: what is known, what is unknown, what is free."""

import math

import pytest

from telic.errors import ConfigurationError
from telic.lm import Price, _prices, price_of, set_price


@pytest.fixture(autouse=True)
def own_prices(monkeypatch):
    monkeypatch.setattr(_prices, "_set", {})
    monkeypatch.setattr(_prices, "_known", {})


@pytest.mark.parametrize(
    ("model", "same_as"),
    [
        ("openai/gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini"),
        ("anthropic/claude-haiku-4-5-20251001", "anthropic/claude-haiku-4-5"),
        ("litellm/azure/gpt-4o", "openai/gpt-4o"),
        ("any-llm/openai/gpt-4o", "openai/gpt-4o"),
        ("openrouter/gpt-4o", "openai/gpt-4o"),
    ],
)
def test_dated_and_forwarded_names_cost_what_the_model_costs(model, same_as):
    assert price_of(model) == price_of(same_as) is not None


@pytest.mark.parametrize(
    "model", ["openai/my-own", "vllm/qwen3", "openai/gpt-4o-audio", "together_ai/openai/gpt-oss-20b", ""]
)
def test_what_is_not_known_is_unknown_and_never_free(model):
    assert price_of(model) is None


@pytest.mark.parametrize("model", ["telic/tiny", "ollama/qwen3"])
def test_models_on_the_users_own_machine_are_free(model):
    assert price_of(model) == Price(0.0, 0.0)


def test_a_price_that_was_set_stands_before_the_table_and_can_be_taken_back():
    set_price("openai/gpt-4o", input=1.0, output=2.0, cached_input=0.5)
    assert price_of("openai/gpt-4o") == Price(1.0, 2.0, 0.5)
    set_price("openai/my-own", input=0, output=0)
    assert price_of("openai/my-own") == Price(0, 0)
    set_price("openai/gpt-4o")
    assert price_of("openai/gpt-4o") is None


@pytest.mark.parametrize(
    "prices", [{"input": 1.0}, {"output": 1.0}, {"input": -1, "output": 1}, {"input": math.inf, "output": 1}]
)
def test_half_and_impossible_prices_are_refused(prices):
    with pytest.raises(ConfigurationError, match="set_price"):
        set_price("x/m", **prices)


def test_every_price_of_the_table_is_possible():
    for model, price in _prices._LIST.items():
        # What embeds texts gives out no tokens.
        least = 0 if "embedding" in model else price.input
        assert 0 < price.input < 1000 and least <= price.output < 1000, model
        assert price.cached_input is None or price.cached_input < price.input, model
