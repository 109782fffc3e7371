"""What the shipped weights can do, as bands: BLAS differs between CPUs, so no single answer is asserted."""

import pytest

import telic
from telic.adapters import ChatAdapter
from telic.data import Request
from telic.datasets import tiny
from telic.lm.tiny import TinyClient
from telic.signatures import Signature


def score(task, demos, count=40, signature: type[Signature] | None = None):
    data = tiny.load(task, n_train=16, n_val=0, n_test=count)
    signature = data.signature if signature is None else signature
    adapter, client, right = ChatAdapter(), TinyClient(), 0
    for example in data.testset:
        messages = adapter.format(signature, data.trainset[:demos], example.inputs().toDict())
        text = client.complete(Request(messages, {"max_tokens": 60})).text
        _, _, tail = text.rpartition(f"[[ ## {next(reversed(signature.output_fields))} ## ]]\n")
        answer = tail.partition("\n\n[[ ## completed ## ]]")[0]
        right += answer == next(iter(example.labels().toDict().values()))
    return right / count


@pytest.mark.parametrize("task", ["hidden_labels", "hidden_labels4", "hidden_sentiment"])
def test_labels_that_only_demos_tell_are_learned_from_them(task):
    assert score(task, demos=0) <= 0.1
    assert score(task, demos=12) >= 0.7


def test_the_same_demos_with_other_labels_give_the_other_labels():
    first, second = (tiny.load("hidden_sentiment", n_train=8, n_val=0, n_test=20, seed=s) for s in (0, 1))
    adapter, client = ChatAdapter(), TinyClient()
    names = sorted({e.label for e in second.trainset})
    renamed = dict(zip(sorted({e.label for e in first.trainset}), names, strict=True))
    demos = [e.copy(label=renamed[e.label]) for e in first.trainset]
    right = 0
    for example in first.testset:
        text = client.complete(
            Request(adapter.format(first.signature, demos, example.inputs().toDict()))
        ).text
        right += renamed[example.label] in text
    assert right >= 15


def test_an_instruction_changes_the_answers():
    data = tiny.load("hidden_sentiment", n_train=0, n_val=0, n_test=40)
    names = sorted({e.label for e in data.testset})
    good = next(
        e
        for e in data.testset
        if any(w in e.text for w in ("great", "lovely", "perfect", "good", "nice", "superb"))
    )
    bad = next(n for n in names if n != good.label)
    told = data.signature.with_instructions(
        f"Classify the text. Use {good.label} for positive, use {bad} for negative."
    )
    assert score("hidden_sentiment", 0, signature=told) >= 0.75 > score("hidden_sentiment", 0)


def test_known_classes_need_no_demos():
    assert score("sentiment", demos=0) >= 0.85


def test_the_weak_model_is_weaker():
    weak, strong = (telic.LM(f"telic/{name}", temperature=0.0, cache=False) for name in ("tiny-weak", "tiny"))
    data = tiny.load("arithmetic", n_train=0, n_val=0, n_test=40)
    program = telic.ChainOfThought(data.signature)
    scores: list[float] = []
    for lm in (weak, strong):
        with telic.context(lm=lm):
            scores.append(
                telic.Evaluate(devset=data.testset, metric=data.metric, num_threads=8)(program).mean
            )
    assert 0.2 <= scores[0] <= scores[1] - 0.15


@pytest.mark.parametrize(
    ("task", "strategy", "least"),
    [
        ("arithmetic", lambda d: telic.ChainOfThought(d.signature), 0.85),
        ("arithmetic", lambda d: telic.ProgramOfThought(d.signature), 0.85),
        ("agent_sums", lambda d: telic.ReAct(d.signature, d.tools, max_iters=5), 0.8),
        ("agent_facts", lambda d: telic.ReAct(d.signature, d.tools, max_iters=5), 0.45),
    ],
)
def test_strategies_win_where_plain_predict_cannot(task, strategy, least):
    data = tiny.load(task, n_train=0, n_val=0, n_test=24)
    with telic.context(lm=telic.LM("telic/tiny", temperature=0.0, cache=False, max_tokens=200)):
        evaluate = telic.Evaluate(devset=data.testset, metric=data.metric, num_threads=8)
        plain, clever = evaluate(telic.Predict(data.signature)), evaluate(strategy(data))
    assert clever.mean >= least
    assert clever.mean >= plain.mean + 0.3
