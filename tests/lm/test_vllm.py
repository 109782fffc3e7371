"""vLLM for real, where it is installed: started, asked, and gone with all its processes."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import telic
from telic import LM
from telic.errors import ContextWindowExceededError, LMServerError

pytest.importorskip("vllm")
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

_spec = importlib.util.spec_from_file_location("small_models", Path(__file__).parent / "local/conftest.py")
_models = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_models)

# On a CPU, too, the option is a share of the machine's memory; float32, so that answers are those of this process.
OPTIONS = ["--gpu-memory-utilization", "0.1", "--enforce-eager", "--dtype", "float32"]
PROMPTS = [
    f"the {word} {at}" for at, word in enumerate(["fox", "dog", "red", "green", "Paris", "capital"] * 4)
]


def lm_of(folder, **options):
    return LM(f"local/{folder}", cache=False, temperature=0.0, **{"max_tokens": 12, **options})


def launched(folder, **options):
    return lm_of(folder, **options).launch(server="vllm", timeout_s=400, options=OPTIONS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Llama with heads of a size that vLLM knows, and answers that depend on the prompt."""
    place = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    tokenizer = _models.tokenizer_of(transformers, chat=True)
    config = transformers.LlamaConfig(
        hidden_size=128, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        max_position_embeddings=512, vocab_size=len(tokenizer), eos_token_id=1, pad_token_id=0, bos_token_id=None,
    )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4.0)
        model.lm_head.weight.normal_()
        model.lm_head.weight[1] *= 3  # replies end, some soon and some late
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def adapter(folder, tmp_path_factory):
    """LoRA of rank 12 over it, which vLLM has to be told as 16."""
    torch.manual_seed(1)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    config = peft.LoraConfig(
        r=12, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False
    )
    place = tmp_path_factory.mktemp("adapter")
    peft.get_peft_model(model, config).save_pretrained(place)
    return place


def processes():
    """The parent of every process that has not ended, by its number."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (place / "stat").read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            found[int(place.name)] = int(parent)
    return found


def below(pid):
    """The processes that one has started, and those that they have."""
    every, found = processes(), {pid}
    for _ in every:
        found |= {child for child, parent in every.items() if parent in found}
    return found - {pid}


def gone(pids):
    until = time.monotonic() + 30
    while pids & processes().keys() and time.monotonic() < until:
        time.sleep(0.05)
    return not pids & processes().keys()


@pytest.fixture(scope="module")
def served(folder):
    lm = launched(folder)
    yield lm
    started = below(os.getpid())
    lm.kill()
    assert len(started) >= 3  # the keeper, the server, its engine
    assert gone(started)


@pytest.fixture(scope="module")
def here(folder):
    lm = lm_of(folder)
    yield lm
    lm.close()


def answers(lm):
    """The answers to some prompts; a character of which only some bytes came is shown by one side, not by the other."""
    return [lm(prompt)[0].rstrip("\ufffd") for prompt in PROMPTS[:6]]


def test_it_answers_as_the_model_does_in_this_process(served, here):
    assert served._made.healthy
    assert answers(served) == answers(here)
    assert len(set(answers(served))) > 3


def test_many_calls_at_once_are_answered_each_as_if_it_were_alone(served):
    found = {}
    threads = [
        threading.Thread(target=lambda prompt=prompt: found.update({prompt: served(prompt)}))
        for prompt in PROMPTS
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == {prompt: served(prompt) for prompt in PROMPTS}


def test_options_reach_it(served, here):
    prompt = max(PROMPTS[:6], key=lambda prompt: len(served(prompt)[0]))
    (whole,) = served(prompt)
    middle = whole[len(whole) // 2 :][:3]
    assert served(prompt, stop=[middle]) == [whole[: whole.index(middle)]]

    drawn = served(prompt, temperature=1.0, n=3, seed=7)
    assert len(drawn) == 3
    assert drawn == served(prompt, temperature=1.0, n=3, seed=7)

    ours, theirs = (
        lm(prompt, logprobs=True, top_logprobs=2, max_tokens=3)[0]["logprobs"]["content"]
        for lm in (here, served)
    )
    assert [one["logprob"] for one in theirs] == pytest.approx([one["logprob"] for one in ours], abs=1e-3)
    assert all(len(one["top_logprobs"]) == 2 for one in theirs)


def test_a_prompt_that_is_too_long_is_named_as_such(served):
    with pytest.raises(ContextWindowExceededError, match="512"):
        served("fox " * 600)


def test_a_lora_folder_is_served_over_its_base(adapter, here):
    plain = lm_of(adapter)
    expected = answers(plain)
    plain.close()
    lm = launched(adapter)
    try:
        found = answers(lm)
    finally:
        lm.kill()

    assert found == expected
    assert found != answers(here)


def test_a_served_student_teaches_weights_that_are_served_in_their_turn(served, tmp_path):
    """The teacher's runs come from vLLM; what was learned is a LoRA folder that vLLM serves."""
    student = telic.Predict("question -> answer", max_tokens=200, temperature=1.0)
    student.lm = served
    rows = [telic.Example(question=prompt).with_inputs("question") for prompt in PROMPTS[:4]]
    optimizer = telic.BootstrapFinetune(
        lambda example, prediction, trace=None: 1.0,
        adapter=Plain(),
        train_kwargs={"steps": 30, "batch_size": 4, "learning_rate": 1e-2},
    )

    compiled = optimizer.compile(student, trainset=rows, run_dir=tmp_path / "run")

    assert served.launched
    compiled.lm.launch(server="vllm", timeout_s=400, options=OPTIONS)
    try:
        with telic.context(adapter=Plain()):
            assert isinstance(compiled(question=PROMPTS[0]).answer, str)
    finally:
        compiled.lm.kill()


class Plain(telic.Adapter):
    """The question as it stands, and the whole reply as the answer: this model knows no other format."""

    def format(self, signature, demos, inputs):
        return [{"role": "user", "content": inputs["question"]}]

    def parse(self, signature, completion):
        return {"answer": completion}

    def format_assistant_message_content(self, signature, outputs, missing_field_message=None):
        return outputs["answer"]


def test_what_it_died_of_is_told(tmp_path, folder):
    broken = tmp_path / "model"
    broken.mkdir()
    for path in folder.iterdir():
        if path.suffix == ".json":
            (broken / path.name).write_bytes(path.read_bytes())

    before, started, over = below(os.getpid()), set(), threading.Event()

    def watch():
        while not over.wait(0.1):
            started.update(below(os.getpid()) - before)

    watching = threading.Thread(target=watch)
    watching.start()
    with pytest.raises(
        LMServerError,
        match=r"ended with status 1 before it answered: RuntimeError: Cannot find any model weights",
    ):
        launched(broken)
    over.set()
    watching.join()

    assert len(started) >= 3
    assert gone(started)


PROGRAM = """
import sys
from telic import LM
lm = LM("local/" + sys.argv[1], cache=False, max_tokens=4)
lm.launch(server="vllm", timeout_s=400, options=sys.argv[2:])
print("up", flush=True)
sys.stdin.read()
"""


def test_nothing_of_it_is_left_when_its_python_is_killed(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), *OPTIONS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "up\n"
    started = below(process.pid)
    assert len(started) >= 3

    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    assert gone(started)
