"""Rows on a real Ray cluster of two processes on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import telic
from telic._cancel import Cancelled, CancelScope
from telic.errors import ConfigurationError, EvaluationError, MissingExtraError, WorkerLostError
from telic.integrations import Ray
from telic.testing import FaultServer

try:
    import ray
except ImportError:
    ray = None

needs_ray = pytest.mark.skipif(ray is None, reason="Ray is not installed")
TEXT = "[[ ## answer ## ]]\nParis"
REPLY = {
    "choices": [{"message": {"content": TEXT}}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3},
}
ROWS = [telic.Example(question=f"q{n}", answer="Paris").with_inputs("question") for n in range(12)]


@pytest.fixture(scope="module")
def cluster():
    tests = str(Path(__file__).parents[2])
    yield Ray(
        workers=2, runtime_env={"env_vars": {"PYTHONPATH": f"{tests}:{os.environ.get('PYTHONPATH', '')}"}}
    )
    ray.shutdown()


def pid_metric(row, found, trace=None):
    return telic.Prediction(score=row.answer == found.answer, feedback=str(os.getpid()))


class Fragile(telic.Module):
    """Kills its process on one question: the first time, or always."""

    def __init__(self, flag=None):
        super().__init__()
        self.flag = flag
        self.ask = telic.Predict("question -> answer")

    def forward(self, question):
        found = self.ask(question=question)
        if question == "q5" and (self.flag is None or not Path(self.flag).exists()):
            if self.flag is not None:
                Path(self.flag).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return found


@needs_ray
def test_rows_are_spread_over_the_workers(cluster):
    with FaultServer(REPLY, latency_s=0.05) as server:
        lm = telic.LM("openai/m", api_base=server.url, api_key="k", cache=False)
        with telic.context(lm=lm, executor=cluster, num_threads=4):
            result = telic.Evaluate(devset=ROWS, metric=pid_metric)(telic.Predict("question -> answer"))

    pids = {row.feedback for row in result.rows}
    assert result.score == 100.0 and result.spend.calls == len(server.requests) == 12
    assert len(pids) == 2 and str(os.getpid()) not in pids


@needs_ray
def test_the_row_of_a_killed_worker_is_done_by_another(cluster, tmp_path):
    with FaultServer(REPLY) as server:
        lm = telic.LM("openai/m", api_base=server.url, api_key="k", cache=False)
        with telic.context(lm=lm, executor=cluster, num_threads=4):
            program = Fragile(str(tmp_path / "died"))
            result = telic.Evaluate(devset=ROWS, metric=pid_metric)(program)

    assert (tmp_path / "died").exists()
    assert result.score == 100.0 and not result.failures
    assert len(server.requests) == 13


@needs_ray
def test_a_row_that_kills_every_worker_fails_and_says_so(cluster):
    with FaultServer(REPLY) as server:
        lm = telic.LM("openai/m", api_base=server.url, api_key="k", cache=False)
        once = Ray(retries=0)
        with telic.context(lm=lm, executor=once, num_threads=1):
            result = telic.Evaluate(devset=ROWS[4:7], metric=pid_metric, max_errors=3)(Fragile())

    assert [row.score for row in result.rows] == [1.0, 0.0, 1.0]
    assert isinstance(result.rows[1].error.__cause__, WorkerLostError)
    assert "died (WorkerCrashedError), 1 time in all" in str(result.rows[1].error)


@needs_ray
def test_an_optimizer_runs_its_rows_there_and_finds_the_same(cluster):
    def answer(body):
        messages = body["messages"]
        right = len(messages) > 3 or "q1" in messages[-1]["content"]
        return {
            **REPLY,
            "choices": [{"message": {"content": TEXT if right else TEXT.replace("Paris", "Rome")}}],
        }

    def compiled(server, executor):
        lm = telic.LM("openai/m", api_base=server.url, api_key="k", cache=False)
        with telic.context(lm=lm, executor=executor, num_threads=4):
            optimizer = telic.BootstrapFewShotWithRandomSearch(
                exact, num_candidate_programs=2, max_bootstrapped_demos=2, max_labeled_demos=2
            )
            return optimizer.compile(telic.Predict("question -> answer"), trainset=ROWS[:6], valset=ROWS[6:])

    with FaultServer(answer) as server:
        here, there = compiled(server, None), compiled(server, cluster)

    assert there.report.score == here.report.score
    assert there.demos == here.demos
    assert [c.score for c in there.report.candidates] == [c.score for c in here.report.candidates]


def exact(row, found, trace=None):
    return row.answer == found.answer


@needs_ray
def test_teachers_attempts_run_there_also_where_a_worker_is_killed(cluster, tmp_path):
    def answer(body):
        messages = body["messages"]
        right = "q1" in messages[-1]["content"] or "q5" in messages[-1]["content"]
        return {
            **REPLY,
            "choices": [{"message": {"content": TEXT if right else TEXT.replace("Paris", "Rome")}}],
        }

    def compiled(server, executor, flag):
        lm = telic.LM("openai/m", api_base=server.url, api_key="k", cache=False)
        with telic.context(lm=lm, executor=executor, num_threads=4):
            optimizer = telic.BootstrapFewShot(exact, max_bootstrapped_demos=4, max_labeled_demos=0)
            program = Fragile(str(tmp_path / flag))
            return optimizer.compile(program, trainset=ROWS, run_dir=tmp_path / f"run-{flag}")

    (tmp_path / "here").touch()
    with FaultServer(answer) as server:
        here = compiled(server, None, "here")
        asked = len(server.requests)
        there = compiled(server, cluster, "there")
        paid = len(server.requests) - asked

    assert (tmp_path / "there").exists()
    assert there.ask.demos == here.ask.demos
    assert len(there.ask.demos) == 4
    assert not there.report.failures
    assert there.report.spend["teacher"].calls == paid - 1, "the call of the one that died is not known here"


def fragile_reward(row, found, trace=None):
    """Ends its process once, at a row that names a file."""
    if row.get("flag") and not Path(row.flag).exists():
        Path(row.flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return min(1.0, len(found.answer) / 40)


def weights(run):
    return [path.read_bytes() for path in sorted(run.glob("weights/*/checkpoint-000002/*.safetensors"))]


@needs_ray
@pytest.mark.filterwarnings("default")
def test_grpo_comes_to_the_same_weights_also_where_a_worker_is_killed(cluster, tmp_path):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)

    def trained(executor, name, budget=None):
        rows = [
            telic.Example(question=f"q{n}", flag=str(tmp_path / "died") if n == 1 else "").with_inputs(
                "question"
            )
            for n in range(4)
        ]
        optimizer = telic.GRPO(
            fragile_reward, num_train_steps=2, num_dspy_examples_per_grpo_step=2, num_rollouts_per_grpo_step=4,
            num_steps_for_val=2, num_threads=4, train_kwargs={"rank": 4, "checkpoint_every": 1},
        )  # fmt: skip
        lm = telic.LM("telic/tiny", max_tokens=40, cache=False)
        with telic.context(lm=lm, executor=executor):
            return optimizer.compile(
                telic.Predict("question -> answer"), trainset=rows, valset=rows[2:],
                run_dir=tmp_path / name, budget=budget,
            )  # fmt: skip

    there = trained(cluster, "there")
    assert (tmp_path / "died").exists()
    here = trained(None, "here")
    trained(cluster, "parts", telic.Budget(calls=12))
    trained(cluster, "parts")

    assert weights(tmp_path / "there") == weights(tmp_path / "here") == weights(tmp_path / "parts") != []
    assert there.report.score == here.report.score
    assert there.report.total_spend.calls == here.report.total_spend.calls == 2 * 2 * 4 + 2 * 2


SCRIPT = """
import sys
import torch
torch.set_num_threads(1)
import telic
from telic.integrations import Ray

def reward(row, found, trace=None):
    return min(1.0, len(found.answer) / 40)

rows = [telic.Example(question=f"q{n}").with_inputs("question") for n in range(4)]
optimizer = telic.GRPO(
    reward, num_train_steps=2, num_dspy_examples_per_grpo_step=2, num_rollouts_per_grpo_step=4, num_threads=2,
    train_kwargs={"rank": 4, "checkpoint_every": 1},
)
executor = Ray(sys.argv[2]) if len(sys.argv) > 2 else None
with telic.context(lm=telic.LM("telic/tiny", max_tokens=40, cache=False), executor=executor):
    optimizer.compile(telic.Predict("question -> answer"), trainset=rows, run_dir=sys.argv[1])
"""


@needs_ray
def test_killed_in_the_middle_and_run_again_it_has_the_weights_of_one_without_an_executor(cluster, tmp_path):
    pytest.importorskip("torch")
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    address = ray.get_runtime_context().gcs_address

    def start(*arguments):
        return subprocess.Popen([sys.executable, str(script), *arguments], stderr=subprocess.DEVNULL)

    away = start(str(tmp_path / "killed"), address)
    journal = tmp_path / "killed" / "journal.jsonl"
    while away.poll() is None and (not journal.exists() or journal.read_text().count('"e":"step"') < 11):
        time.sleep(0.01)
    assert away.poll() is None, "it ended by itself"
    os.kill(away.pid, signal.SIGKILL)
    away.wait()
    asked = (tmp_path / "killed" / "replies.jsonl").read_text().count('"v"')
    again, whole = start(str(tmp_path / "killed"), address), start(str(tmp_path / "whole"))

    assert again.wait() == whole.wait() == 0
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole") != []
    assert 11 <= asked < 16
    assert (tmp_path / "killed" / "replies.jsonl").read_text().count('"v"') == 16


@needs_ray
def test_what_cannot_be_sent_back_is_a_failed_row(cluster):
    class Locked(telic.Module):
        def forward(self, question):
            return telic.Prediction(answer=threading.Lock())

    with (
        telic.context(executor=cluster, num_threads=1),
        pytest.raises(EvaluationError, match="must be picklable"),
    ):
        telic.Evaluate(devset=ROWS, metric=lambda row, found: 1.0, max_errors=1)(Locked())


@needs_ray
def test_what_cannot_be_sent_is_refused_before_anything_is_paid_for(cluster):
    program = telic.Predict("question -> answer")
    program.handle = threading.Lock()
    with FaultServer(REPLY) as server:
        lm = telic.LM("openai/m", api_base=server.url, api_key="k", cache=False)
        with (
            telic.context(lm=lm, executor=cluster),
            pytest.raises((ConfigurationError, EvaluationError), match="cannot be sent to other processes"),
        ):
            telic.Evaluate(devset=ROWS, metric=pid_metric)(program)

    assert server.requests == []


def wait_long(path):
    Path(path).touch()
    for _ in range(600):
        time.sleep(0.1)


@needs_ray
def test_work_that_is_called_off_ends_there(cluster, tmp_path):
    scope, ended = CancelScope(), []

    def wait():
        with telic.context(cancel_scope=scope):
            try:
                cluster.run(wait_long, str(tmp_path / "began"))
            except Cancelled as error:
                ended.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    while not (tmp_path / "began").exists():
        time.sleep(0.01)
    scope.cancel()
    waiting.join(30)

    assert len(ended) == 1
    assert cluster.run(os.getpid)


@pytest.mark.skipif(ray is not None, reason="Ray is installed")
def test_without_ray_the_extra_is_named():
    with pytest.raises(MissingExtraError, match=r"pip install 'telic\[ray\]'"):
        Ray()


@needs_ray
@pytest.mark.parametrize(
    "options", [{"workers": 0}, {"workers": 2, "address": "auto"}, {"retries": -1}, {"cpus": 0}]
)
def test_options_that_cannot_work_are_refused(options):
    with pytest.raises(ConfigurationError):
        Ray(**options)
