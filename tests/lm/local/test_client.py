"""A model on this machine behind the door of every other LM."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from telic.data import Request
from telic.errors import (
    ConfigurationError,
    ContextWindowExceededError,
    LMInvalidRequestError,
    LMUnsupportedModelError,
)
from telic.lm import LM

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("default")


def lm_of(folder, **options):
    return LM(f"local/{folder}", cache=False, **{"max_tokens": 12, **options})


def asked(lm, prompts):
    with ThreadPoolExecutor(len(prompts)) as pool:
        return list(pool.map(lambda p: lm(p)[0], prompts))


PROMPTS = [f"{'The quick brown fox ' * (i % 4)}question {i}?" for i in range(12)]


@pytest.fixture(params=["causal", "gpt2", "t5"])
def folder(request):
    return request.getfixturevalue(request.param)


def reference(folder, prompt, count=12):
    """What transformers' own `generate` says."""
    import torch

    config = transformers.AutoConfig.from_pretrained(folder)
    kind = (
        transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    )
    model, tokenizer = kind.from_pretrained(folder), transformers.AutoTokenizer.from_pretrained(folder)
    if tokenizer.chat_template:
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
        )
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")
    else:
        ids = tokenizer(prompt if config.is_encoder_decoder else f"{prompt}\n\n", return_tensors="pt")
    ids.pop("token_type_ids", None)
    with torch.inference_mode():
        out = model.generate(**ids, max_new_tokens=count, do_sample=False)[0]
    start = 1 if config.is_encoder_decoder else ids["input_ids"].shape[1]
    return tokenizer.decode(out[start:], skip_special_tokens=True, clean_up_tokenization_spaces=False)


def test_greedy_answers_are_those_of_generate(folder):
    lm = lm_of(folder)
    for prompt in PROMPTS[:3]:
        assert lm(prompt)[0] == reference(folder, prompt)


def test_answers_together_are_the_answers_one_by_one(folder):
    alone = [lm_of(folder)(p)[0] for p in PROMPTS]
    assert len(set(alone)) > 3
    assert asked(lm_of(folder), PROMPTS) == alone


def test_tasks_are_answered_together_too(folder):
    lm = lm_of(folder)
    alone = [lm(p)[0] for p in PROMPTS[:4]]

    async def main():
        return await asyncio.gather(*(lm.acall(p) for p in PROMPTS[:4]))

    assert [a[0] for a in asyncio.run(main())] == alone


def test_the_beginning_of_a_predictors_prompts_is_computed_once(causal):
    system = {"role": "system", "content": "Your input fields are: `question`. " * 4}
    lm = lm_of(causal)
    lm.close()

    def answer(text):
        return lm.complete(Request([system, {"role": "user", "content": text}], prefix=1))

    first, second = answer("What is one?"), answer("What is two?")
    assert first.usage.cached_input_tokens == 0
    assert second.usage.cached_input_tokens > 30
    lm._client()._engine._heads.clear()
    assert answer("What is two?").text == second.text


def test_a_seed_makes_draws_repeatable_and_samples_differ(folder):
    lm = lm_of(folder, temperature=1.5)
    drawn = lm("question?", seed=7, n=3)
    assert lm("question?", seed=7, n=3) == drawn
    assert len(set(drawn)) > 1
    assert lm("question?", rollout_id=1) != lm("question?", rollout_id=2)
    assert lm("question?", rollout_id=1) == lm("question?", rollout_id=1)


def test_top_p_near_zero_is_greedy(causal):
    assert lm_of(causal, temperature=2.0, top_p=1e-9)("one?") == lm_of(causal)("one?")


def test_stop_strings_end_the_text_and_are_not_part_of_it(causal):
    whole = lm_of(causal)("one?")[0]
    stop = whole[len(whole) // 2 : len(whole) // 2 + 2]
    response = lm_of(causal, stop=[stop]).complete(Request([{"role": "user", "content": "one?"}]))
    assert response.text == whole[: whole.find(stop)]
    assert response.completions[0].finish_reason == "stop"


def test_logprobs_are_those_of_the_chosen_tokens(causal):
    lm = lm_of(causal, logprobs=True, top_logprobs=2)
    response = lm.complete(Request([{"role": "user", "content": "one?"}]))
    content = response.completions[0].logprobs["content"]
    assert "".join(entry["token"] for entry in content) == response.text
    for entry in content:
        assert entry["logprob"] == pytest.approx(entry["top_logprobs"][0]["logprob"])
        assert entry["top_logprobs"][0]["logprob"] >= entry["top_logprobs"][1]["logprob"]


def test_a_stream_brings_the_text_of_the_call_in_pieces(folder):
    lm = lm_of(folder)
    whole = lm("one?")[0]
    *pieces, last = list(lm.stream(Request([{"role": "user", "content": "one?"}])))
    assert "".join(p.text for p in pieces) == whole == last.response.text
    assert len(pieces) > 1

    async def main():
        return [d async for d in lm.astream(Request([{"role": "user", "content": "one?"}]))]

    assert "".join(d.text for d in asyncio.run(main())) == whole


def test_a_closed_lm_lets_go_of_its_weights_and_loads_them_again(causal):
    import gc
    import weakref

    lm = lm_of(causal)
    before = lm("one?")
    engine = lm._client()._engine
    model = weakref.ref(engine.opened().model)
    lm.close()
    gc.collect()
    assert model() is None
    assert not engine.loaded
    assert lm("one?") == before


def test_a_cancelled_task_stops_its_work(causal):
    lm = lm_of(causal, max_tokens=400)

    async def main():
        task = asyncio.ensure_future(lm.acall("The quick brown fox"))
        while not lm._client()._engine._open:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert lm("one?", max_tokens=3)  # and the engine goes on


def test_a_prompt_that_does_not_fit_is_refused_with_numbers(causal):
    with pytest.raises(ContextWindowExceededError, match=r"has \d{4} tokens, and the context of .* is 512"):
        lm_of(causal)("fox jumps " * 2000)


def test_a_reply_ends_at_the_context(causal):
    lm = lm_of(causal, max_tokens=10_000)
    response = lm.complete(Request([{"role": "user", "content": "fox " * 400}]))
    assert response.usage.input_tokens + response.usage.output_tokens <= 512


def test_unknown_options_and_sizes_are_refused(causal):
    lm = lm_of(causal)
    with pytest.raises(LMInvalidRequestError, match="does not know the option 'frequency_penalty'"):
        lm("one?", frequency_penalty=1)
    with pytest.raises(ConfigurationError, match="top_p"):
        lm("one?", top_p=7.0)
    with pytest.raises(LMInvalidRequestError, match="image_url"):
        lm(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}])


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(LMUnsupportedModelError, match="there is no folder"):
        lm_of(tmp_path / "nowhere")("one?")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LMUnsupportedModelError, match="cannot be loaded"):
        lm_of(tmp_path / "empty")("one?")


def test_damaged_weights_are_a_typed_error(causal, tmp_path):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(causal, broken)
    data = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(LMUnsupportedModelError, match="cannot be loaded"):
        lm_of(broken)("one?")


def test_a_model_that_does_not_fit_is_refused_before_it_is_read(causal, tmp_path):
    import json
    import shutil

    huge = tmp_path / "huge"
    shutil.copytree(causal, huge)
    config = json.loads((huge / "config.json").read_text())
    config.update(hidden_size=16384, intermediate_size=53248, num_hidden_layers=126, num_attention_heads=128)
    (huge / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigurationError, match=r"thousand million parameters, .* GB, and 'cpu' has"):
        lm_of(huge)("one?")


def test_weights_that_the_file_lacks_are_not_made_up(causal, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    partial = tmp_path / "partial"
    shutil.copytree(causal, partial)
    tensors = load_file(partial / "model.safetensors")
    tensors.pop("model.layers.1.mlp.down_proj.weight")
    save_file(tensors, partial / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LMUnsupportedModelError, match="lacks 1 of its weights"):
        lm_of(partial)("one?")


def test_other_weights_are_other_answers_in_the_cache(causal, gpt2):
    one, two = LM(f"local/{causal}"), LM(f"local/{gpt2}")
    assert one._client().endpoint != two._client().endpoint
    assert one._client().endpoint == LM(f"local/{causal}")._client().endpoint


def test_an_endpoint_is_refused(causal):
    with pytest.raises(ConfigurationError, match="runs in the process"):
        LM(f"local/{causal}", base_url="http://localhost:1")("one?")


def test_many_threads_and_more_calls_than_places(causal):
    lm = lm_of(causal, max_tokens=5)
    answers = asked(lm, PROMPTS * 5)
    assert answers[:12] == answers[12:24] == answers[48:]
    assert threading.active_count() < 80


def test_a_template_without_a_system_role_gets_its_text_in_the_users_turn(causal, tmp_path):
    import shutil

    from telic.lm.local._prompt import prompt_text

    folder = tmp_path / "gemma-like"
    shutil.copytree(causal, folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
        + tokenizer.chat_template
    )
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "one?"}]
    assert prompt_text(tokenizer, turns) == "<|user|>Be brief.\n\none?</s><|assistant|>"
