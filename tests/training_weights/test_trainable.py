"""Networks whose weights can be changed: the same numbers as the LMs that answer, with gradients."""

from __future__ import annotations

import math

import pytest

from telic.data import Request
from telic.errors import ConfigurationError
from telic.lm import LM
from telic.training import Adaptation, TokenRow, check_trainable, open_trainable

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("default")

MESSAGES = [
    {"role": "system", "content": "Input fields:\n1. `question` (str)"},
    {"role": "user", "content": "[[ ## question ## ]]\nWhat is 2 + 3?"},
]
ASKED = Request(messages=tuple(MESSAGES), options={"logprobs": True, "max_tokens": 12, "temperature": 0.0})
FULL, LORA = Adaptation("full"), Adaptation("lora", rank=4)


@pytest.fixture(params=["tiny", "causal", "gpt2", "t5"])
def name(request):
    return request.getfixturevalue(request.param)


def rows_of(network):
    texts = [
        "[[ ## answer ## ]]\n5\n\n[[ ## completed ## ]]",
        "five",
        "a much longer answer than that, in words",
    ]
    rows = [network.encode(MESSAGES[at % 2 :], text) for at, text in enumerate(texts)]
    return [*rows, TokenRow(rows[0].prompt, rows[1].reply)]


def learn(network, rows, steps=20, rate=1e-2):
    adam = torch.optim.AdamW(network.parameters().values(), lr=rate, weight_decay=0.0)
    losses = []
    for _ in range(steps):
        adam.zero_grad()
        loss = -network.logprobs(rows).sum() / sum(len(row.reply) for row in rows)
        loss.backward()
        adam.step()
        losses.append(float(loss.detach()))
    return losses


def test_rows_in_one_batch_have_the_numbers_that_each_has_alone(name):
    network = open_trainable(name, LORA)
    rows = rows_of(network)

    with torch.no_grad():
        together = network.logprobs(rows)
        alone = [network.logprobs([row])[0] for row in rows]

    assert together.shape == (4, max(len(row.reply) for row in rows))
    for values, row, own in zip(together, rows, alone, strict=True):
        torch.testing.assert_close(values[: len(row.reply)], own, atol=2e-4, rtol=1e-4)
        assert (values[len(row.reply) :] == 0).all()


def test_the_probabilities_are_those_that_the_lm_itself_reports(name):
    network = open_trainable(name, LORA)
    learn(network, [network.encode(MESSAGES, "five")], steps=80)

    reply = LM(name, client=network.client(), cache=False).complete(ASKED).completions[0]

    assert reply.text == "five"
    reported = [entry["logprob"] for entry in reply.logprobs["content"]]
    with torch.no_grad():
        values = network.logprobs([network.encode(MESSAGES, "five")])[0].tolist()
    assert values[: len(reported)] == pytest.approx(reported, abs=1e-3)


@pytest.mark.parametrize("adaptation", [FULL, LORA], ids=["full", "lora"])
def test_only_what_is_trained_changes_and_the_reference_stays(name, adaptation):
    network = open_trainable(name, adaptation)
    rows = rows_of(network)
    with torch.no_grad():
        before = network.logprobs(rows)

    losses = learn(network, rows[1:2])

    assert losses[-1] < losses[0] / 2
    if adaptation is FULL:
        with pytest.raises(ConfigurationError, match="open it a second time"), network.reference():
            pass
        return
    with torch.no_grad(), network.reference():
        torch.testing.assert_close(network.logprobs(rows), before)
    with torch.no_grad():
        assert not torch.allclose(network.logprobs(rows), before)


@pytest.mark.parametrize("adaptation", [FULL, LORA], ids=["full", "lora"])
def test_saved_weights_answer_as_the_network_in_training_does(name, adaptation, tmp_path):
    network = open_trainable(name, adaptation)
    learn(network, [network.encode(MESSAGES, "five")])

    network.save(tmp_path / "trained")
    lm = LM(f"local/{tmp_path / 'trained'}", cache=False, max_tokens=8)
    now = LM(name, client=network.client(), cache=False, max_tokens=8)

    assert lm(messages=MESSAGES) == now(messages=MESSAGES)
    assert lm(messages=MESSAGES)[0].startswith("five")
    lm.close()


def test_a_client_keeps_the_weights_of_its_moment_apart_in_caches(name):
    network = open_trainable(name, LORA)
    first, again = network.client(), network.client()
    learn(network, rows_of(network)[:1], steps=2)

    assert first.endpoint == again.endpoint != network.client().endpoint


def test_a_state_that_was_taken_can_be_given_back(name):
    network = open_trainable(name, LORA)
    rows = rows_of(network)
    learn(network, rows, steps=2)
    state = network.state()
    with torch.no_grad():
        before = network.logprobs(rows)
    learn(network, rows, steps=2)

    network.load_state(state)

    with torch.no_grad():
        assert torch.equal(network.logprobs(rows), before)
    other = open_trainable(name, LORA)
    other.load_state(state)
    assert all(torch.equal(a, b) for a, b in zip(other.state().values(), state.values(), strict=True))


def test_a_state_of_another_rank_is_refused(name):
    state = open_trainable(name, LORA).state()

    with pytest.raises(ConfigurationError, match="it belongs to another model, method or rank"):
        open_trainable(name, Adaptation("lora", rank=2)).load_state(state)


def test_its_needs_are_counted(name):
    full, lora = open_trainable(name, FULL).needs(), open_trainable(name, LORA).needs()

    assert full.trained == full.parameters
    assert 0 < lora.trained < full.trained
    assert full.weight_bytes == 4 * full.parameters
    assert full.token_bytes > 0


def test_a_prompt_of_the_embedded_lm_has_one_likeliest_reply_in_numpy_and_torch():
    network = open_trainable("telic/tiny", LORA)
    rows = rows_of(network)
    numpy_network = network.client()._given.network
    from telic.lm.tiny._network import Cache

    for row in rows:
        tokens = [*row.prompt, *row.reply]
        cache = Cache(numpy_network.shape, numpy_network.shape.context)
        logits, _ = numpy_network.read(tokens[:-1], cache)
        wide = logits[: len(network._tokenizer)].astype("float64")
        expected = wide[tokens[-1]] - wide.max() - math.log(math.fsum(map(math.exp, wide - wide.max())))
        with torch.no_grad():
            assert float(network.logprobs([row])[0, -1]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("adaptation", "message"),
    [
        (Adaptation("qlora"), "method='qlora' is unknown"),
        (Adaptation(rank=0), "rank=0: a whole number"),
        (Adaptation(alpha=0), "alpha=0: a number above 0"),
        (Adaptation(dropout=1), "dropout=1: a share"),
    ],
)
def test_adaptations_that_cannot_work_are_refused(adaptation, message):
    with pytest.raises(ConfigurationError, match=message):
        open_trainable("telic/tiny", adaptation)


@pytest.mark.parametrize("lm", ["openai/gpt-5-mini", "anthropic/claude-haiku-4-5"])
def test_an_lm_whose_weights_are_elsewhere_is_named(lm):
    with pytest.raises(
        ConfigurationError, match=f"{lm}' cannot be trained here: its weights are not on this machine"
    ):
        check_trainable(LM(lm))
