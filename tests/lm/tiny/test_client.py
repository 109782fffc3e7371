import asyncio
import math
import os
import subprocess
import sys
import threading

import pytest

from telic.data import Request
from telic.errors import ContextWindowExceededError, LMInvalidRequestError, LMUnsupportedModelError
from telic.lm.tiny import TinyClient
from telic.lm.tiny._engine import Engine
from telic.lm.tiny._load import shipped_engine
from telic.protocols import Client


@pytest.fixture
def client(engine):
    return TinyClient(engine=engine)


def ask(text="the dog", **options):
    return Request([{"role": "user", "content": text}], {"max_tokens": 12} | options)


def test_it_is_a_client(client):
    checked: Client = client
    assert checked.capabilities.response_schema is False


def test_greedy_answers_repeat_and_say_what_they_used(client):
    first, second = client.complete(ask()), client.complete(ask())
    assert first.text == second.text
    assert first.usage.input_tokens == 4
    assert 1 <= first.usage.output_tokens <= 12
    assert first.model == "telic/tiny"


def test_a_cut_reply_says_length(client):
    completion = client.complete(ask(max_tokens=1)).completions[0]
    assert completion.finish_reason == "length"


@pytest.mark.parametrize("options", [{"max_tokens": 0}, {"max_tokens": True}, {"n": 0}, {"max_tokens": "5"}])
def test_sizes_that_cannot_be_are_refused(client, options):
    with pytest.raises(LMInvalidRequestError, match=next(iter(options))):
        client.complete(ask(**options))


def test_samples_differ_and_each_repeats(client):
    hot = ask(temperature=1.5, n=4)
    texts = [c.text for c in client.complete(hot).completions]
    assert len(set(texts)) > 1
    assert [c.text for c in client.complete(hot).completions] == texts
    other = Request(hot.messages, hot.options, sample=1)
    assert [c.text for c in client.complete(other).completions] != texts


def test_a_seed_decides_the_draws(client):
    one, same, other = (client.complete(ask(temperature=1.5, seed=s)).text for s in (1, 1, 2))
    assert one == same
    assert one != other


def test_a_narrow_top_p_is_greedy(client):
    assert client.complete(ask(temperature=1.0, top_p=1e-9)).text == client.complete(ask()).text


def test_a_stop_string_ends_the_text_before_it(client):
    whole = client.complete(ask(max_tokens=30)).text
    stop = whole[len(whole) // 2 :][:3]
    response = client.complete(ask(max_tokens=30, stop=[stop]))
    assert response.text == whole[: whole.index(stop)]
    assert response.completions[0].finish_reason == "stop"


def test_a_prompt_beyond_the_context_is_refused(client):
    with pytest.raises(ContextWindowExceededError, match="128"):
        client.complete(ask("the dog " * 100))
    with pytest.raises(ContextWindowExceededError):
        client.complete(ask("x" * 1_000_000))


def test_generation_ends_where_the_context_ends(client):
    response = client.complete(ask("the " * 120, max_tokens=500, temperature=2.0))
    assert response.usage.input_tokens + response.usage.output_tokens <= 129


@pytest.mark.parametrize(
    "text", ["", "\x00\x01", "日本語 😀", "\ud800", "zzqx", "[[ ## completed ## ]]", " \n\t "]
)
def test_any_text_gets_an_answer(client, text):
    assert client.complete(ask(text)).completions[0].finish_reason in {"stop", "length"}


def test_text_parts_are_joined_and_others_refused(client):
    parts = [{"type": "text", "text": "the "}, {"type": "text", "text": "dog"}]
    joined = client.complete(Request([{"role": "user", "content": parts}], {"max_tokens": 12}))
    assert joined.text == client.complete(ask()).text
    with pytest.raises(LMInvalidRequestError, match="image_url"):
        client.complete(Request([{"role": "user", "content": [{"type": "image_url"}]}]))


def test_unknown_options_and_models_are_refused(client):
    with pytest.raises(LMInvalidRequestError, match="'logit_bias'"):
        client.complete(ask(logit_bias={}))
    with pytest.raises(LMUnsupportedModelError, match="telic/tiny"):
        TinyClient("huge")


def test_threads_get_the_answers_they_would_get_alone(client):
    words = [f"the {w}" for w in ["dog", "cat", "house", "red", "Paris", "zorba", "12", "x"]] * 4
    alone = [client.complete(ask(w)).text for w in words]
    together: list[str] = [""] * len(words)

    def work(i):
        together[i] = client.complete(ask(words[i])).text

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(words))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_tasks_get_the_same_answers(client):
    async def all_at_once():
        return await asyncio.gather(*(client.acomplete(ask(f"the {i}")) for i in range(8)))

    assert [r.text for r in asyncio.run(all_at_once())] == [
        client.complete(ask(f"the {i}")).text for i in range(8)
    ]


def test_a_streamed_reply_adds_up_to_the_whole_one(client):
    pieces = list(client.stream(ask(max_tokens=30)))
    assert pieces[-1].response == client.complete(ask(max_tokens=30))._replace(
        usage=pieces[-1].response.usage
    )
    assert "".join(p.text for p in pieces) == pieces[-1].response.text
    assert len(pieces) > 2


def test_a_stream_that_is_left_frees_the_engine(client):
    source = client.stream(ask(max_tokens=100))
    next(source)
    source.close()
    assert client.complete(ask()).text


def test_an_async_stream_adds_up(client):
    async def collect():
        return [p async for p in client.astream(ask(max_tokens=20))]

    pieces = asyncio.run(collect())
    assert (
        "".join(p.text for p in pieces)
        == pieces[-1].response.text
        == client.complete(ask(max_tokens=20)).text
    )


def test_a_failing_job_stops_nobody_else(engine, client):
    real = engine.network.read

    def read(tokens, cache):
        if len(tokens) > 20:
            raise RuntimeError("broken")
        return real(tokens, cache)

    engine.network.read = read
    with pytest.raises(RuntimeError, match="broken"):
        client.complete(ask("dog cat horse " * 12))
    assert client.complete(ask()).text is not None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_answers_though_its_parent_was_busy(engine, client):
    expected = client.complete(ask()).text
    engine._leading = True  # as if another thread of the parent were generating at the moment of the fork
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, client.complete(ask()).text.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read().decode() == expected
    os.waitpid(child, 0)
    engine._leading = False


def test_an_interrupted_leader_costs_the_others_nothing(engine, client):
    words = ["the dog", "the cat", "a horse"]
    alone = [client.complete(ask(w, max_tokens=40)).text for w in words]
    real, calls, interrupted, answers = engine.network.step, [], [], {}
    together = threading.Barrier(len(words))

    def step(tokens, caches):
        logits = real(tokens, caches)
        calls.append(len(tokens))
        if len(tokens) == 3 and not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt
        return logits

    def work(i):
        together.wait()
        try:
            answers[i] = client.complete(ask(words[i], max_tokens=40)).text
        except KeyboardInterrupt:
            answers[i] = "interrupted"

    engine.network.step = step
    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(answers[i] in {alone[i], "interrupted"} for i in range(3))
    assert list(answers.values()).count("interrupted") == len(interrupted)


def test_kept_answers_belong_to_the_weights_that_gave_them():
    shipped = TinyClient("tiny")
    engine = shipped_engine("tiny")
    other = TinyClient("tiny", engine=Engine(engine.network, engine.tokenizer, identity="other"))

    assert len(engine.identity) == 64
    assert shipped.endpoint == f"weights:{engine.identity}"
    assert other.endpoint != shipped.endpoint


def test_log_probabilities_stand_beside_the_tokens(client):
    completion = client.complete(ask(max_tokens=10, logprobs=True, top_logprobs=3)).completions[0]
    entries = completion.logprobs["content"]
    assert "".join(e["token"] for e in entries) == completion.text
    for entry in entries:
        likely = [t["logprob"] for t in entry["top_logprobs"]]
        assert likely == sorted(likely, reverse=True)
        assert entry["logprob"] == likely[0]  # greedy
        assert sum(math.exp(p) for p in likely) <= 1.0
    assert client.complete(ask(max_tokens=10)).completions[0].logprobs is None


def test_tasks_and_threads_share_one_batch(client):
    words = [f"the dog {n}" for n in range(40)]
    alone = [client.complete(ask(w)).text for w in words]

    async def together():
        return await asyncio.gather(*(client.acomplete(ask(w)) for w in words))

    from_threads = {}

    def work(i):
        from_threads[i] = client.complete(ask(words[i])).text

    threads = [threading.Thread(target=work, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    assert [r.text for r in asyncio.run(together())] == alone
    for thread in threads:
        thread.join()
    assert [from_threads[i] for i in range(20)] == alone[:20]


def test_a_cancelled_task_frees_its_place(engine, client):
    async def leave():
        task = asyncio.create_task(client.acomplete(ask(max_tokens=100)))
        while not engine._open:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await client.acomplete(ask())

    assert asyncio.run(leave()).text == client.complete(ask()).text
    assert not engine._open or all(j.done for j in engine._open)


def test_work_in_flight_does_not_hold_up_the_end_of_a_program():
    code = """
import asyncio, sys
from telic.data import Request
from telic.lm.tiny import TinyClient
async def main():
    client = TinyClient()
    asked = Request([{"role": "user", "content": "the dog " * 100}], {"max_tokens": 900, "temperature": 5.0})
    stream = client.astream(asked)
    await anext(stream)
    print("begun", flush=True)
    sys.exit(7)
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (7, "begun\n"), done.stderr


def test_the_size_of_the_context_is_declared_without_loading_the_weights():
    shipped = TinyClient("tiny")

    assert shipped.capabilities.context_tokens == shipped._engine().network.shape.context
