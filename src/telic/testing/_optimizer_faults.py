"""What can go wrong while an optimizer works, one behaviour each: kills, limits, outages, full disks, other folders."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from telic.budget import Budget
from telic.context import context
from telic.errors import (
    ConfigurationError,
    JournalError,
    LMInvalidRequestError,
    LMTransportError,
    RunLockedError,
    RunMismatchError,
)
from telic.journal import LiveRun, Run
from telic.modules import Predict
from telic.optimizers import CompileStopped
from telic.testing._optimizer_programs import PROGRAMS, Nested
from telic.testing._optimizer_suite import OptimizerSuite, refused, scores_of, spread
from telic.testing._optimizer_task import Killed, Killer, always_right, equal_answer, share, sums

MOST_KILLS = 60


class FaultBehaviours(OptimizerSuite):
    """Behaviours of an optimizer where something goes wrong."""

    def test_killed_at_any_event_and_resumed_it_is_as_never_killed(self, tmp_path: Path) -> None:
        """The same result, and no reply that had been written down is paid for again."""
        whole = self.lm()
        expected = self.found(self.compile(whole, tmp_path / "whole"))
        events = Run(tmp_path / "whole").events + whole.calls
        for number in spread(events, MOST_KILLS):
            lm, folder = self.lm(), tmp_path / f"killed-{number}"
            killed = Killer(number)
            try:
                with context(journal_tap=killed):
                    self.compile(lm, folder)
            except Killed:
                pass
            assert self.found(self.compile(lm, folder)) == expected, f"killed at event {number}"
            lost = killed.event == "reply"  # it had come, and could not be written down any more
            assert lm.calls <= whole.calls + lost, f"killed at event {number}, a {killed.event}"

    def test_killed_again_as_it_resumes_it_is_as_never_killed(self, tmp_path: Path) -> None:
        """Also while the run is opened again, and without another process for it."""
        expected = self.found(self.compile(self.lm(), tmp_path / "whole"))
        half = Run(tmp_path / "whole").events // 2
        for number in range(5):
            lm, folder = self.lm(), tmp_path / str(number)
            for left in (half, number):
                with suppress(Killed), context(journal_tap=Killer(left)):
                    self.compile(lm, folder)
            assert self.found(self.compile(lm, folder)) == expected, (
                f"killed at event {number} of the second time"
            )

    def test_killed_with_many_threads_at_work_it_is_as_never_killed(self, tmp_path: Path) -> None:
        """The same result, whatever was under way; programs of more than one step too."""
        for name in ("nested", "looping", "asserting"):
            whole, make = self.lm(), PROGRAMS[name]
            expected = self.found(self.compile(whole, tmp_path / name, make(), threads=8))
            for number in spread(Run(tmp_path / name).events + whole.calls, 4):
                folder = tmp_path / f"{name}-{number}"
                try:
                    with context(journal_tap=Killer(number)):
                        self.compile(self.lm(), folder, make(), threads=8)
                except Killed:
                    pass
                assert self.found(self.compile(self.lm(), folder, make(), threads=8)) == expected, (
                    name,
                    number,
                )

    def test_no_budget_of_calls_is_overrun(self, tmp_path: Path) -> None:
        """Whatever the limit and the threads: refused at the door, or kept, with the best so far."""
        free = self.lm()
        self.compile(free, tmp_path / "free")
        for limit in spread(free.calls + 1, 8):
            lm = self.lm()
            try:
                compiled = self.compile(lm, tmp_path / f"b{limit}", threads=8, budget=Budget(calls=limit))
            except ConfigurationError:
                assert lm.calls == 0
            else:
                assert lm.calls <= limit
                assert compiled.report.stopped is None or "budget" in compiled.report.stopped

    def test_a_budget_holds_over_a_resume(self, tmp_path: Path) -> None:
        """What was spent before the kill counts."""
        free = self.lm()
        self.compile(free, tmp_path / "free")
        limit = free.calls - 1
        lm = self.lm()
        for kill in (free.calls // 2, 10**9):
            try:
                with context(journal_tap=Killer(kill)):
                    self.compile(lm, tmp_path / "run", budget=Budget(calls=limit))
            except (Killed, ConfigurationError):
                pass
        assert lm.calls <= max(limit, 0) + 1  # the reply that the kill lost

    def test_failures_are_counted(self, tmp_path: Path) -> None:
        """Rows that fail are in the report, and the rest goes on."""
        if not self.calls_lms:
            return

        def reply(text: str, wanted: list[str]) -> dict[str, str]:
            if share(text[-60:]) > 0.5:
                raise LMInvalidRequestError("refused", model="counting")
            return self.reply(text, wanted)

        compiled = self.compile(self.lm(reply), tmp_path / "run")

        assert compiled.report.failures
        assert compiled.report.failed_calls

    def test_an_lm_that_goes_away_stops_it_and_no_row_is_scored_for_that(self, tmp_path: Path) -> None:
        """What is there is kept; with the LM back, the run goes on to the same result."""
        if not self.calls_lms:
            return
        whole = self.lm()
        expected = self.found(self.compile(whole, tmp_path / "whole"))
        for number, after in enumerate(spread(whole.calls, 6)):
            lm, threads = self.lm(), 1 if number % 2 else 8
            lm.lives, lm.unrest = after, "away"
            with context(outage_patience=0.0):
                stopped = self.compile(lm, tmp_path / f"away-{after}", threads=threads)
            scores = {(c.seed, c.label): c.score for c in stopped.report.candidates}
            assert stopped.report.stopped is not None
            assert not stopped.report.failures
            assert all(score == scores.get(name, score) for name, score in scores_of(expected))
            assert self.found(self.compile(self.lm(), tmp_path / f"away-{after}")) == expected

    def test_all_scores_equal_and_three_examples_are_no_trouble(self, tmp_path: Path) -> None:
        """Nothing to choose by, and hardly anything to learn from."""
        optimizer = self.make_optimizer(always_right, num_threads=2, max_errors=50)
        with context(lm=self.lm()):
            compiled = optimizer.compile(
                Predict("question -> answer"), trainset=sums(3), run_dir=tmp_path / "run"
            )
        assert compiled.report.stopped is None

    def test_an_lm_that_comes_back_is_waited_for(self, tmp_path: Path) -> None:
        """The run pauses, and comes to the same result."""
        expected = self.found(self.compile(self.lm(), tmp_path / "whole"))
        away = [2]

        def reply(text: str, wanted: list[str]) -> dict[str, str]:
            if away[0] and share(text) < 0.5:
                away[0] -= 1
                raise LMTransportError("connection refused", model="counting")
            return self.reply(text, wanted)

        compiled = self.compile(self.lm(reply), tmp_path / "run")

        assert self.found(compiled) == expected
        assert compiled.report.failed_calls == (2 if self.calls_lms else 0)

    def test_a_metric_that_raises_on_some_rows_fails_these_alone(self, tmp_path: Path) -> None:
        """They are counted and told with what was raised, and the rest goes on."""

        def picky(example: Any, prediction: Any, trace: Any = None) -> bool:
            if share(example.question) < 0.4:
                raise ZeroDivisionError("not this one")
            return equal_answer(example, prediction)

        compiled = self.compile(self.lm(), tmp_path / "run", metric=picky)

        told = [text for text in compiled.report.failures if "not this one" in text]
        assert bool(told) == self.calls_lms
        assert compiled.report.stopped is None

    def test_a_full_disk_ends_it_with_the_best_so_far_and_room_lets_it_go_on(self, tmp_path: Path) -> None:
        """Nothing that was written down is lost, whenever the disk was full."""
        whole = self.lm()
        expected = self.found(self.compile(whole, tmp_path / "whole"))
        for number in spread(Run(tmp_path / "whole").events + whole.calls, 8):
            lm, folder, left = self.lm(), tmp_path / f"full-{number}", [number]

            def full(event: str, left: list[int] = left) -> None:
                left[0] -= 1
                if left[0] < 0:
                    raise JournalError("no space left on device", folder="run")

            with context(journal_tap=full):
                error = refused((CompileStopped, JournalError), partial(self.compile, lm, folder))
            assert "no space left" in str(error)
            best = getattr(error, "program", None)
            assert best is None or "no space left" in best.report.stopped
            assert self.found(self.compile(lm, folder)) == expected, f"full at event {number}"
            assert lm.calls <= whole.calls + 1

    def test_a_folder_of_another_run_is_refused_before_any_call(self, tmp_path: Path) -> None:
        """Another program, other data, another metric, another version of telic: the error names which."""
        folder = tmp_path / "run"
        self.compile(self.lm(), folder)
        lm = self.lm()
        others: dict[str, dict[str, Any]] = {
            "program": {"program": Nested()},
            "trainset": {"trainset": sums(7)},
        }
        if self.calls_lms:
            others |= {"metric": {"metric": always_right}, "valset": {"valset": sums(5, 50)}}
        for name, other in others.items():
            error = refused(RunMismatchError, partial(self.compile, lm, folder, **other))
            assert name in error.changed
        run = Run(folder)
        identity = {**run.identity, "version": "0.0.0"}
        LiveRun(tmp_path / "older", kind=run.kind, name=run.name, identity=identity).close()
        error = refused(RunMismatchError, lambda: self.compile(lm, tmp_path / "older"))
        assert list(error.changed) == ["version"]
        assert lm.calls == 0

    def test_a_folder_in_use_is_refused_before_any_call(self, tmp_path: Path) -> None:
        """One run, one process: the error names who has it."""
        folder = tmp_path / "run"
        self.compile(self.lm(), folder)
        run, lm = Run(folder), self.lm()
        held = LiveRun(folder, kind=run.kind, name=run.name, identity=run.identity)
        try:
            error = refused(RunLockedError, lambda: self.compile(lm, folder))
        finally:
            held.close()
        assert error.pid == os.getpid()
        assert lm.calls == 0

    def test_a_budget_of_nothing_is_refused_and_one_call_is_kept_to(self, tmp_path: Path) -> None:
        """Before any call, whatever it is a budget of."""
        lm = self.lm()
        for number, budget in enumerate(
            (Budget(usd=0), Budget(calls=0), Budget(tokens=0), Budget(seconds=0)), 1
        ):
            folder = tmp_path / str(number)
            error = refused(ConfigurationError, partial(self.compile, lm, folder, budget=budget))
            assert "=0) allows no call" in str(error)
        assert lm.calls == 0
        with suppress(ConfigurationError):
            self.compile(lm, tmp_path / "one", budget=Budget(calls=1))
        assert lm.calls <= 1
