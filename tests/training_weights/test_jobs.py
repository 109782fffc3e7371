"""Finetuning by a provider, over real sockets: a server that keeps jobs and fails as real ones do."""

from __future__ import annotations

import json

import pytest

from telic.context import context
from telic.data import Example
from telic.errors import (
    ConfigurationError,
    LMAuthError,
    LMInvalidRequestError,
    LMResponseError,
    NotConfiguredError,
    RequestsForbiddenError,
    RunLockedError,
    RunMismatchError,
    TrainingError,
)
from telic.evaluate import Evaluate
from telic.journal import RunLock
from telic.lm import LM
from telic.modules import Predict
from telic.optimizers import BootstrapFinetune
from telic.testing import FaultServer, faults
from telic.training import ChatRow, JobSettings, finetune_by_job, read_job_settings

ROWS = [ChatRow(({"role": "user", "content": f"{n}+1?"},), str(n + 1)) for n in range(10)]
QUICK = JobSettings(epochs=2, poll_s=0.001)
OK = {"status": "succeeded", "fine_tuned_model": "ft:gpt-4o-mini:ours::1", "trained_tokens": 1234}


class Provider:
    """What the server knows: files and jobs. `statuses` are told one after the other."""

    def __init__(self, statuses=("validating_files", "queued", "running"), end=OK):
        self.files, self.jobs, self.statuses, self.end = [], [], list(statuses), end

    def answer(self, request):
        path = request.path.partition("?")[0].removeprefix("/v1")
        if path == "/files":
            self.files.append(request.body)
            return {"id": f"file-{len(self.files)}", "object": "file"}
        if path == "/fine_tuning/jobs" and request.method == "POST":
            self.jobs.append({"id": f"job-{len(self.jobs) + 1}", **request.body})
            return self.jobs[-1]
        if path == "/fine_tuning/jobs":
            return {"data": self.jobs}
        if path.startswith("/fine_tuning/jobs/"):
            told = {"status": self.statuses.pop(0)} if self.statuses else self.end
            return {"id": path.rpartition("/")[2], **told}
        return {"choices": [{"message": {"content": "[[ ## answer ## ]]\n2\n\n[[ ## completed ## ]]"}}]}


def served(provider, trouble=lambda request, number: None):
    """A server that answers from `provider`; `trouble` may name a fault for the nth request."""
    seen = []

    def act(request):
        seen.append(request)
        fault = trouble(request, len(seen))
        if fault is not None:
            return fault
        return faults.body(json.dumps(provider.answer(request)).encode())

    return FaultServer(faults=act)


def lm_at(server, **options):
    return LM("openai/gpt-4o-mini", base_url=server.url, api_key="sk-very-secret-key", cache=False, **options)


def test_rows_are_uploaded_a_job_is_begun_and_waited_for(tmp_path):
    provider, told = Provider(), []
    with served(provider) as server:
        job = finetune_by_job(
            lm_at(server), ROWS, tmp_path, QUICK._replace(seed=7, suffix="ours"), watch=told.append
        )

    assert job == ("openai/ft:gpt-4o-mini:ours::1", "job-1", "file-1", 1234)
    assert told == ["validating_files", "queued", "running", "succeeded"]
    assert provider.jobs[0] == {
        "id": "job-1", "model": "gpt-4o-mini", "training_file": "file-1", "seed": 7, "suffix": "ours",
        "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}},
    }  # fmt: skip
    upload = provider.files[0].decode()
    assert 'name="purpose"\r\n\r\nfine-tune' in upload
    lines = [json.loads(line) for line in upload.splitlines() if line.startswith("{")]
    assert [line["messages"][-1]["content"] for line in lines] == [row.reply for row in ROWS]
    assert all(set(line) == {"messages"} for line in lines)
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer sk-very-secret-key"}


@pytest.mark.parametrize(
    "fault",
    [
        faults.status(429, retry_after=0.01),
        faults.status(500),
        faults.half_body(),
        faults.close_before_answer(),
    ],
    ids=str,
)
def test_what_passes_is_tried_again_and_no_job_is_begun_twice(tmp_path, fault):
    provider = Provider()
    with served(provider, lambda request, number: fault if number in (1, 4, 7) else None) as server:
        job = finetune_by_job(lm_at(server), ROWS, tmp_path, QUICK)

    assert job.job == "job-1"
    assert len(provider.jobs) == 1


def test_a_job_whose_answer_got_lost_is_found_by_its_file(tmp_path):
    provider = Provider()

    def trouble(request, number):
        if request.method == "POST" and request.path.endswith("/jobs"):
            provider.answer(request)  # it was heard
            return faults.close_before_answer()
        return None

    with served(provider, trouble) as server:
        job = finetune_by_job(lm_at(server), ROWS, tmp_path, QUICK)

    assert job.job == "job-1"
    assert len(provider.jobs) == 1


@pytest.mark.parametrize(
    "known", [{"file": "file-1"}, {"file": "file-1", "job": "job-1"}], ids=["file", "job"]
)
def test_who_was_killed_goes_on_waiting_for_the_same_job(tmp_path, known):
    provider = Provider()
    with served(provider) as server:
        first = finetune_by_job(lm_at(server), ROWS, tmp_path, QUICK)
        state = json.loads((tmp_path / "job.json").read_bytes())
        (tmp_path / "job.json").write_text(json.dumps({"identity": state["identity"], **known}))

        again = finetune_by_job(lm_at(server), ROWS, tmp_path, QUICK)

    assert again == first
    assert len(provider.files) == len(provider.jobs) == 1


@pytest.mark.parametrize("end", [
    {"status": "failed", "error": {"message": "The training file has too few rows."}},
    {"status": "cancelled", "error": None},
    {"status": "succeeded", "fine_tuned_model": None},
])  # fmt: skip
def test_a_job_that_failed_is_an_error_with_the_servers_words(tmp_path, end):
    said = "too few rows" if end["status"] == "failed" else "without a word of the server"
    with (
        served(Provider((), end)) as server,
        pytest.raises(TrainingError, match=f"'job-1' .* {end['status']}.*{said}"),
    ):
        finetune_by_job(lm_at(server), ROWS, tmp_path, QUICK)


def test_a_job_that_takes_too_long_is_left_to_go_on(tmp_path):
    provider = Provider(["running"] * 10_000)
    with served(provider) as server:
        with pytest.raises(TrainingError, match="is 'running' after 0.05 s; it goes on at the provider"):
            finetune_by_job(lm_at(server), ROWS, tmp_path, QUICK._replace(timeout_s=0.05))
        provider.statuses.clear()

        assert finetune_by_job(lm_at(server), ROWS, tmp_path, QUICK).job == "job-1"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (faults.status(401), LMAuthError),
        (faults.status(400), LMInvalidRequestError),
        (faults.body(b"<html>", "text/html"), LMResponseError),
        (faults.body(b"[]"), LMResponseError),
        (faults.body(b"{}"), LMResponseError),
    ],
    ids=str,
)
def test_what_does_not_pass_is_told_at_once_without_the_key(tmp_path, fault, error):
    with served(Provider(), lambda request, number: fault) as server, pytest.raises(error) as caught:
        finetune_by_job(lm_at(server), ROWS, tmp_path, QUICK)

    assert len(server.requests) == 1
    assert "very-secret" not in str(caught.value)


def test_two_trainings_into_one_folder_are_refused(tmp_path):
    with served(Provider()) as server:
        lock = RunLock(tmp_path)
        with pytest.raises(RunLockedError):
            finetune_by_job(lm_at(server), ROWS, tmp_path, QUICK)
        lock.release()
        finetune_by_job(lm_at(server), ROWS, tmp_path, QUICK)
        with pytest.raises(RunMismatchError, match="holds another finetuning job"):
            finetune_by_job(lm_at(server), ROWS[1:], tmp_path, QUICK)


def test_requests_can_be_forbidden(tmp_path):
    with served(Provider()) as server, context(forbid_requests=True), pytest.raises(RequestsForbiddenError):
        finetune_by_job(lm_at(server), ROWS, tmp_path, QUICK)
    assert server.requests == []


@pytest.mark.parametrize("settings", [{"epoch": 1}, {"rank": 3}, {"poll_s": 0}, {"epochs": True}])
def test_settings_that_cannot_work_are_refused(settings):
    with pytest.raises(ConfigurationError):
        read_job_settings(settings)


def test_no_key_is_said_before_anything_is_paid_for(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    rows = [Example(question="1+1?", answer="2").with_inputs("question")]

    with context(lm=LM("openai/gpt-4o-mini")), pytest.raises(NotConfiguredError, match="needs a key"):
        BootstrapFinetune().compile(Predict("question -> answer"), trainset=rows, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_program_is_finetuned_by_its_provider(tmp_path):
    provider = Provider()
    rows = [Example(question=f"{n}: 1+1?", answer="2").with_inputs("question") for n in range(12)]
    metric = lambda example, prediction, trace=None: prediction.answer == example.answer  # noqa: E731
    with served(provider) as server, context(lm=lm_at(server, temperature=0.3)):
        compiled = BootstrapFinetune(metric, train_kwargs={"n_epochs": 2, "poll_s": 0.001}).compile(
            Predict("question -> answer"), trainset=rows, run_dir=tmp_path
        )
        score = Evaluate(devset=rows[:2], metric=metric)(compiled).score

    assert compiled.lm.model == "openai/ft:gpt-4o-mini:ours::1"
    assert (compiled.lm.base_url, compiled.lm.kwargs["temperature"]) == (server.url, 0.3)
    assert score == 100
    assert server.requests[-1].body["model"] == "ft:gpt-4o-mini:ours::1"
    assert any("1,234 tokens trained on" in note for note in compiled.report.notes)
