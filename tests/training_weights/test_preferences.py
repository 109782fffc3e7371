"""DPO: its arithmetic beside TRL's, and that the better of two replies becomes more probable, whatever comes between."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from telic.errors import ConfigurationError, DatasetError
from telic.training import (
    ChatRow,
    PreferencePair,
    SFTSettings,
    finetune,
    open_trainable,
    plan_finetune,
    preference_losses,
    read_pairs,
    write_pairs,
)

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("default")

WORDS = ["red", "green", "blue", "one", "two", "three", "dog", "fox"]
PAIRS = [
    PreferencePair(({"role": "user", "content": f"the {word}"},), WORDS[-at - 1], WORDS[at], 1.0)
    for at, word in enumerate(WORDS)
]
QUICK = SFTSettings(loss="dpo", steps=12, batch_size=4, rank=4, learning_rate=3e-3, checkpoint_every=2)


def margins(name, pairs=PAIRS):
    """By how much the better reply is more probable, as a logarithm."""
    network = open_trainable(name)
    with torch.no_grad():
        found = [
            network.logprobs([network.encode(pair.messages, reply)]).sum().item()
            for pair in pairs
            for reply in (pair.chosen, pair.rejected)
        ]
    return [a - b for a, b in zip(found[::2], found[1::2], strict=True)]


def digests(folder):
    return [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(Path(folder).glob("*.safetensors"))
    ]


def test_a_pair_by_hand():
    values = torch.tensor([[math.log(0.5), math.log(0.5)], [math.log(0.25), 0.0]])

    (loss,) = preference_losses(values, torch.tensor([math.log(2.0)]), 1.0).tolist()

    assert loss == pytest.approx(-math.log(1 / (1 + 2.0)))  # the better reply lost half of its odds


@pytest.mark.parity
@pytest.mark.parametrize("beta", [0.1, 1.0])
def test_loss_and_gradient_are_those_of_trl(beta):
    trl = pytest.importorskip("trl")
    random = torch.Generator().manual_seed(0)
    sizes = torch.tensor([5, 2, 3, 4])  # chosen, rejected, chosen, rejected
    mask = (torch.arange(5)[None] < sizes[:, None]).double()
    new = -torch.rand(4, 5, generator=random, dtype=torch.float64) * mask
    old = -torch.rand(4, 5, generator=random, dtype=torch.float64) * mask
    ours, theirs = new.clone().requires_grad_(), new.clone().requires_grad_()
    sums = old.sum(1)

    loss = preference_losses(ours, sums[0::2] - sums[1::2], beta).mean()
    loss.backward()
    same = trl_loss(trl, theirs, old, mask, beta)
    same.backward()

    assert loss.item() == pytest.approx(same.item(), rel=1e-12)
    assert torch.allclose(ours.grad, theirs.grad, rtol=1e-10, atol=1e-14)


def trl_loss(trl, new, old, mask, beta):
    """TRL's loss of the same batch: first all chosen, then all rejected, a token of a prompt before each."""
    order = [0, 2, 1, 3]

    def model(**inputs):
        return SimpleNamespace(
            log_probs=new[order], entropy=torch.zeros(4, 5), mean_logits=torch.zeros(4, 5),
            is_top1=torch.zeros(4, 5, dtype=torch.bool), label_mask=mask[order].bool(),
        )  # fmt: skip

    def gather(value):
        return value

    sums = old.sum(1)
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True),
        accelerator=SimpleNamespace(device="cpu", gather=gather, gather_for_metrics=gather),
        aux_loss_enabled=False,
        ld_alpha=None,
        precompute_ref_logps=True,
        f_divergence_type="reverse_kl",
        loss_types=["sigmoid"],
        loss_weights=[1.0],
        label_smoothing=0.0,
        use_weighting=False,
        beta=beta,
        args=SimpleNamespace(),
        _total_train_tokens=0,
        _tp_size=1,
        _metrics={"train": _Anything()},
    )
    whole = torch.cat((torch.zeros(4, 1), mask[order]), dim=1)
    inputs = {
        "input_ids": torch.zeros(4, 6, dtype=torch.long),
        "attention_mask": torch.ones(4, 6),
        "completion_mask": whole.long(),
        "ref_chosen_logps": sums[0::2],
        "ref_rejected_logps": sums[1::2],
    }
    return trl.DPOTrainer._compute_loss(trainer, model, inputs, False)


class _Anything(dict):
    def __missing__(self, name):
        return self.setdefault(name, [])


@pytest.mark.parametrize(
    ("model", "method"), [("tiny", "lora"), ("tiny", "full"), ("causal", "lora"), ("t5", "full")]
)
def test_the_better_reply_becomes_the_more_probable(model, method, request, tmp_path):
    name = request.getfixturevalue(model)
    rate = 3e-3 if method == "lora" else 3e-4
    before = margins(name)

    made = finetune(
        name, PAIRS, tmp_path, QUICK._replace(method=method, steps=25, batch_size=8, learning_rate=rate)
    )

    after = margins(f"local/{made.weights}")
    assert made.losses[0] == pytest.approx(math.log(2.0), abs=1e-3)  # nothing is preferred yet to what was
    assert made.losses[-1] < 0.5
    assert sum(a > b for a, b in zip(after, before, strict=True)) >= 7
    assert made.rows == 8


def test_the_first_weights_are_remembered_by_a_training_that_was_interrupted(tiny, tmp_path):
    whole = finetune(tiny, PAIRS, tmp_path / "whole", QUICK)

    def stop(told):
        if told.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(tiny, PAIRS, tmp_path / "cut", QUICK, watch=stop)
    made = finetune(tiny, PAIRS, tmp_path / "cut", QUICK)

    assert made.resumed_at == 4
    assert made.losses == whole.losses
    assert digests(made.weights) == digests(whole.weights)


def test_small_pieces_come_to_the_same_but_for_rounding(tiny, tmp_path):
    whole = finetune(tiny, PAIRS, tmp_path / "whole", QUICK)
    pieces = finetune(tiny, PAIRS, tmp_path / "pieces", QUICK._replace(rows_at_once=1))

    assert pieces.losses == pytest.approx(whole.losses, rel=1e-2, abs=1e-2)


def test_two_processes_learn_what_one_does(tiny, tmp_path):
    pytest.importorskip("accelerate")
    settings = QUICK._replace(steps=3)
    whole = finetune(tiny, PAIRS, tmp_path / "one", settings)
    both = finetune(tiny, PAIRS, tmp_path / "two", settings._replace(processes=2))

    assert both.losses == pytest.approx(whole.losses, rel=1e-3)


def test_a_larger_beta_stays_nearer_to_the_first_weights(tiny, tmp_path):
    def moved(beta):
        made = finetune(tiny, PAIRS, tmp_path / str(beta), QUICK._replace(beta=beta, steps=40))
        return sum(margins(f"local/{made.weights}")) - sum(margins(tiny))

    assert 0 < moved(3.0) < moved(0.03)


def test_a_pair_is_left_out_as_a_whole_when_one_of_its_replies_is_too_long(tiny, tmp_path):
    long = PAIRS[0]._replace(rejected="dog " * 30)
    limit = max(plan_finetune(tiny, [pair], QUICK, measure=False).longest for pair in PAIRS)

    made = finetune(tiny, [*PAIRS, long], tmp_path, QUICK._replace(steps=2, max_length=limit))

    assert (made.rows, made.dropped) == (8, 1)


def test_a_plan_counts_pairs_and_both_their_replies(tiny):
    plan = plan_finetune(tiny, PAIRS, QUICK._replace(steps=None, epochs=2))

    replies = [ChatRow(pair.messages, reply) for pair in PAIRS for reply in (pair.chosen, pair.rejected)]
    rows = plan_finetune(tiny, replies, QUICK._replace(loss="sft", batch_size=8), measure=False)
    assert (plan.rows, plan.steps) == (8, 4)
    assert plan.tokens == rows.tokens
    assert plan.memory_bytes == rows.memory_bytes  # 4 pairs at once are 8 rows
    assert plan.seconds > 0


@pytest.mark.parametrize(
    ("rows", "loss", "message"),
    [
        (PAIRS, "sft", "loss='sft' learns from chat rows .*, and training row 0 is a PreferencePair"),
        ([PAIRS[0], ChatRow((), "x")], "dpo", "loss='dpo' learns from preference pairs .*, and training row 1 is a Chat"),
        ([], "dpo", "there are no training rows"),
    ],
)  # fmt: skip
def test_rows_of_the_other_kind_are_refused_before_anything_is_loaded(rows, loss, message, tmp_path):
    with pytest.raises(ConfigurationError, match=message):
        finetune("local/nowhere", rows, tmp_path, SFTSettings(loss=loss))


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ConfigurationError, match="loss='dpoo'; did you mean 'dpo'"):
        SFTSettings(loss="dpoo").checked()
    with pytest.raises(ConfigurationError, match="beta=0: a number from"):
        SFTSettings(loss="dpo", beta=0).checked()


def test_pairs_are_written_and_read(tmp_path):
    pairs = [PAIRS[0]._replace(predictor="step", example=3, margin=0.5), PAIRS[1]]
    write_pairs(tmp_path / "pairs.jsonl", pairs)

    assert read_pairs(tmp_path / "pairs.jsonl") == pairs


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        '{"prompt": [], "chosen": "yes", "rejected": "no"}',
        '{"prompt": [{"content": "x"}], "chosen": [], "rejected": []}',
        json.dumps({"prompt": [], "chosen": [{"role": "user", "content": "a"}], "rejected": []}),
    ],
)
def test_a_line_that_is_no_pair_is_named(line, tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n" + line)
    with pytest.raises(DatasetError, match=r"line 2 of .*pairs\.jsonl' is no preference pair"):
        read_pairs(path)
