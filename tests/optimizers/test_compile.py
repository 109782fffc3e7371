"""What holds for every compile: its folder, its budget, its endings."""

from __future__ import annotations

import logging
import os
import signal
import threading

import pytest

import telic
from telic import BootstrapFewShot, BootstrapFewShotWithRandomSearch, Budget, LabeledFewShot, Run
from telic.errors import (
    ConfigurationError,
    JournalError,
    LMTransportError,
    RunDivergedError,
    RunLockedError,
    RunMismatchError,
)
from telic.journal import list_runs
from telic.optimizers import Compile, CompileInterrupted, CompileStopped, Optimizer
from telic.testing import OptimizerConformance
from telic.testing._optimizer_programs import Nested
from telic.testing._optimizer_task import CountingLM, equal_answer, share, sums


def lm(**settings):
    return OptimizerConformance().lm(**settings)


def search(**settings):
    options = {
        "max_bootstrapped_demos": 2,
        "max_labeled_demos": 2,
        "num_candidate_programs": 2,
        "num_threads": 1,
    }
    return BootstrapFewShotWithRandomSearch(equal_answer, **{**options, **settings})


def compiled(optimizer=None, asked=None, program=None, rows=8, **options):
    with telic.context(lm=lm() if asked is None else asked):
        return (search() if optimizer is None else optimizer).compile(
            telic.Predict("question -> answer") if program is None else program,
            **{"trainset": sums(rows), "valset": sums(6, 50), **options},
        )


class Kill(BaseException):
    pass


def tap_at(number):
    left = [number]

    def tap(event):
        left[0] -= 1
        if left[0] < 0:
            raise Kill

    return tap


# Folders


def test_without_a_folder_the_run_is_kept_among_the_users_and_named(caplog):
    with caplog.at_level(logging.INFO, logger="telic.optimizers"):
        made = compiled()

    assert made.report.run_dir == str(list_runs()[0])
    assert made.report.run_dir in caplog.text
    assert made.report.run_dir in str(made.report)


def test_the_same_compile_again_is_a_new_run_unless_it_was_killed():
    asked = lm()
    compiled(asked=asked)
    compiled(asked=asked)
    assert len(list_runs()) == 2

    with telic.context(journal_tap=tap_at(12)), pytest.raises(Kill):
        compiled(asked=asked)
    before = asked.calls
    compiled(asked=asked)

    assert [Run(path).status for path in list_runs()] == ["finished"] * 3
    assert asked.calls - before < before // 2


def test_a_home_that_cannot_be_written_is_told_and_does_not_stop_it(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TELIC_DATA_DIR", str(tmp_path / "file"))

    made = compiled()

    assert made.report.run_dir is None
    assert "cannot be resumed" in caplog.text
    assert made.report.score is not None


def test_a_given_folder_that_cannot_be_used_is_refused_before_any_call(tmp_path):
    (tmp_path / "file").write_text("")
    asked = lm()

    with pytest.raises(JournalError, match="cannot be used"):
        compiled(asked=asked, run_dir=tmp_path / "file")

    assert asked.calls == 0


def test_what_changed_is_named_before_any_call(tmp_path):
    compiled(run_dir=tmp_path / "run")

    def other_metric(example, prediction, trace=None):
        return example.answer in prediction.answer

    asked = lm()
    changed = {
        "program": {"program": telic.Predict("question -> answer", instructions="Add.") if False else Nested()},
        "trainset": {"rows": 7},
        "valset": {"valset": sums(5)},
        "settings": {"optimizer": search(seed=1)},
        "metric": {"optimizer": BootstrapFewShotWithRandomSearch(
            other_metric, max_bootstrapped_demos=2, max_labeled_demos=2, num_candidate_programs=2
        )},
        "optimizer": {"optimizer": BootstrapFewShot(equal_answer)},
        "options": {"restrict": [-3, -2]},
        "lm": {"asked": lm(name="another")},
    }  # fmt: skip
    for name, options in changed.items():
        with pytest.raises(RunMismatchError) as caught:
            compiled(**{"asked": asked, **options}, run_dir=tmp_path / "run")
        assert name in caught.value.changed, name
    assert asked.calls == 0
    compiled(
        search(num_threads=8, display_progress=False), run_dir=tmp_path / "run"
    )  # threads decide nothing


def test_two_compiles_do_not_share_a_folder(tmp_path):
    inside = threading.Event()
    go_on = threading.Event()

    def reply(text, wanted):
        inside.set()
        assert go_on.wait(20)
        return dict.fromkeys(wanted, "1")

    asked = CountingLM(reply)
    thread = threading.Thread(target=lambda: compiled(asked=asked, run_dir=tmp_path / "run"))
    thread.start()
    assert inside.wait(20)
    try:
        with pytest.raises(RunLockedError) as caught:
            compiled(asked=asked, run_dir=tmp_path / "run")
        assert caught.value.pid == os.getpid()
        assert Run(tmp_path / "run").status == "running"
    finally:
        go_on.set()
        thread.join(30)


def test_candidates_can_be_loaded_while_it_runs(tmp_path):
    seen = []

    def watch(event):
        if event == "candidate" and Run(tmp_path / "run").candidates:
            run = Run(tmp_path / "run")
            seen.append((run.best.score, run.load(telic.Predict("question -> answer")).demos))

    with telic.context(journal_tap=watch):
        compiled(run_dir=tmp_path / "run")

    assert len(seen) >= 2


def test_a_metric_that_draws_lots_is_found_out(tmp_path):
    lots = iter([0.0, 1.0] * 1000)

    class Odd(Exception):
        pass

    def metric(example, prediction, trace=None):
        return next(lots)

    class Deciding(Optimizer):
        def compile(self, student, *, trainset, teacher=None, valset=None, run_dir=None, budget=None):
            with Compile(self, student, trainset=trainset, run_dir=run_dir, budget=budget) as run:
                run.decide("lot", metric(None, None))
                return run.guarded(lambda: None, lambda stopped: student.deepcopy())

    compiled(Deciding(), valset=None, run_dir=tmp_path / "run")
    with pytest.raises(RunDivergedError, match="'lot'"):
        compiled(Deciding(), valset=None, run_dir=tmp_path / "run")


def test_a_compile_inside_of_a_run_belongs_to_it(tmp_path):
    class Twice(Optimizer):
        def compile(self, student, *, trainset, teacher=None, valset=None, run_dir=None, budget=None):
            with Compile(self, student, trainset=trainset, run_dir=run_dir, budget=budget) as run:
                once = search().compile(student, trainset=trainset, valset=valset)
                twice = search().compile(once, trainset=trainset, valset=valset)

                def best(stopped):
                    made = twice.deepcopy()
                    made.report = run.report(stopped=stopped)
                    return made

                return run.guarded(lambda: None, best)

    asked = lm()
    first = compiled(Twice(), asked=asked, run_dir=tmp_path / "run")
    calls = asked.calls
    again = compiled(Twice(), asked=asked, run_dir=tmp_path / "run")

    assert asked.calls == calls
    assert first.demos == again.demos
    assert list_runs() == []
    labels = [candidate.label for candidate in Run(tmp_path / "run").candidates]
    assert any(label.startswith("BootstrapFewShotWithRandomSearch 1/") for label in labels)
    assert any(label.startswith("BootstrapFewShotWithRandomSearch 2/") for label in labels)


def test_a_full_disk_ends_it_with_the_best_so_far(tmp_path):
    count = [0]

    def full(event):
        count[0] += 1
        if count[0] > 80:
            raise JournalError("no space left on device", folder="x")

    with telic.context(journal_tap=full), pytest.raises(CompileStopped, match="no space left") as caught:
        compiled(run_dir=tmp_path / "run")

    assert caught.value.program.report.candidates
    assert "no space left" in caught.value.program.report.stopped
    whole = compiled(run_dir=tmp_path / "other")
    assert compiled(run_dir=tmp_path / "run").demos == whole.demos


# Budgets


@pytest.mark.parametrize("budget", [{"calls": 0}, {"usd": 0}, {"tokens": 0}, {"seconds": 0}])
def test_a_budget_of_nothing_is_refused(budget, tmp_path):
    with pytest.raises(ConfigurationError, match="allows no call"):
        compiled(budget=Budget(**budget), run_dir=tmp_path / "run")


def test_a_budget_that_does_not_hold_the_first_program_is_refused():
    asked = lm()
    with pytest.raises(ConfigurationError, match=r"calls=5.* less than the 6 calls.*plan: "):
        compiled(asked=asked, budget=Budget(calls=5))
    assert asked.calls == 0


def test_at_the_limit_the_best_so_far_comes_back_and_a_larger_budget_goes_on(tmp_path):
    asked = lm()
    stopped = compiled(asked=asked, budget=Budget(calls=25), run_dir=tmp_path / "run")
    assert (asked.calls, stopped.report.total_spend.calls) == (25, 25)
    assert "budget of 25 calls" in stopped.report.stopped
    assert Run(tmp_path / "run").status == "stopped"

    more = compiled(asked=asked, budget=Budget(calls=500), run_dir=tmp_path / "run")

    whole = lm()
    assert more.demos == compiled(asked=whole, run_dir=tmp_path / "whole").demos
    assert asked.calls == whole.calls


def test_a_used_up_budget_given_again_costs_nothing(tmp_path):
    asked = lm()
    for _ in range(2):
        made = compiled(asked=asked, budget=Budget(calls=25), run_dir=tmp_path / "run")
        assert "budget" in made.report.stopped
    assert asked.calls == 25


def test_the_budget_around_it_is_charged_and_holds(tmp_path):
    asked = lm()
    session, own = Budget(calls=20), Budget(calls=1000)
    with telic.context(budget=session):
        made = compiled(asked=asked, budget=own, run_dir=tmp_path / "run")

    assert "budget of 20 calls" in made.report.stopped
    assert asked.calls == session.used.calls == own.used.calls == 20
    assert own.parent is None


def test_one_budget_holds_over_two_compiles(tmp_path):
    asked = lm()
    budget = Budget(calls=40)
    for name in ("a", "b"):
        made = compiled(asked=asked, budget=budget, run_dir=tmp_path / name)
    assert asked.calls == 40
    assert made.report.stopped is not None


def test_seconds_count_on_over_a_resume(tmp_path):
    with telic.context(journal_tap=tap_at(12)), pytest.raises(Kill):
        compiled(run_dir=tmp_path / "run")
    journal = tmp_path / "run" / "journal.jsonl"
    from telic.journal._lines import encode

    with journal.open("ab") as file:
        file.write(encode({"e": "note", "text": "an hour later", "at": 3600.0}))
    asked = lm()

    made = compiled(asked=asked, budget=Budget(seconds=1800), run_dir=tmp_path / "run")

    assert "1800 s" in made.report.stopped
    assert asked.calls == 0


def test_labelled_demos_need_no_budget():
    made = compiled(LabeledFewShot(k=2), valset=None, budget=Budget(calls=1))
    assert made.report.stopped is None


# Endings


def test_ctrl_c_brings_out_the_best_and_the_way_on(tmp_path):
    count = [0]

    def reply(text, wanted):
        count[0] += 1
        if count[0] == 30:
            signal.raise_signal(signal.SIGINT)
        return OptimizerConformance().reply(text, wanted)

    asked = CountingLM(reply)
    with pytest.raises(CompileInterrupted, match=r"best program so far is in `.program`; run_dir=") as caught:
        compiled(asked=asked, run_dir=tmp_path / "run")
    assert caught.value.program.report.stopped == "interrupted"
    assert Run(tmp_path / "run").status == "interrupted"

    calls = asked.calls
    whole = lm()
    made = compiled(asked=asked, run_dir=tmp_path / "run")
    assert made.demos == compiled(asked=whole, run_dir=tmp_path / "whole").demos
    assert asked.calls - calls <= whole.calls - calls + 1


def test_an_lm_that_comes_back_is_waited_for():
    away = [3]

    def reply(text, wanted):
        if away[0] and share(text) < 0.5:
            away[0] -= 1
            raise LMTransportError("connection refused", model="counting")
        return OptimizerConformance().reply(text, wanted)

    made = compiled(asked=CountingLM(reply))

    assert made.report.stopped is None
    assert not made.report.failures
    assert made.report.failed_calls == 3


def test_an_error_of_ours_is_written_down_as_a_failure(tmp_path):
    class Broken(Optimizer):
        def compile(self, student, *, trainset, teacher=None, valset=None, run_dir=None, budget=None):
            with Compile(self, student, trainset=trainset, run_dir=run_dir, budget=budget):
                raise ZeroDivisionError("oh")

    with pytest.raises(ZeroDivisionError):
        compiled(Broken(), valset=None, run_dir=tmp_path / "run")

    assert (Run(tmp_path / "run").status, Run(tmp_path / "run").why) == ("failed", "ZeroDivisionError: oh")


def test_an_optimizer_without_a_plan_says_so():
    class Mine(Optimizer):
        def compile(self, student, **data):
            raise NotImplementedError

    with pytest.raises(ConfigurationError, match="Mine does not say what it will do"):
        Mine().plan(telic.Predict("a -> b"), trainset=sums(2))


class Swallowing(telic.Module):
    def __init__(self):
        super().__init__()
        self.step = telic.Predict("question -> answer")

    def forward(self, question):
        try:
            return self.step(question=question)
        except Exception:
            return telic.Prediction(answer="I do not know")


def test_a_program_that_swallows_errors_is_not_scored_while_the_lm_is_away(tmp_path):
    asked = lm()
    asked.lives = 20
    with telic.context(outage_patience=0.0):
        stopped = compiled(asked=asked, program=Swallowing(), run_dir=tmp_path / "run")
    assert "LM away" in stopped.report.stopped

    asked.lives = None
    made = compiled(asked=asked, program=Swallowing(), run_dir=tmp_path / "run")

    whole = compiled(program=Swallowing(), run_dir=tmp_path / "whole")
    assert [c.score for c in made.report.candidates] == [c.score for c in whole.report.candidates]
