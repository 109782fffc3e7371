import asyncio
import json

import pytest
from arithmetic import arithmetic_lm, examples, metric
from proposing import text_of

from telic.budget import Budget
from telic.context import context
from telic.data import Example
from telic.errors import ConfigurationError, InputError, StateError
from telic.modules import Module, NearestDemos, Predict
from telic.optimizers import KNNFewShot
from telic.testing import DummyVectorizer, FunctionLM

QA = "question -> answer"
WORDS = [("cats", "animal"), ("house", "thing"), ("dogs", "animal"), ("mouse", "animal"), ("horse", "animal")]


def words():
    return [Example(word=word, kind=kind).with_inputs("word") for word, kind in WORDS]


def compiled(student=None, rows=None, lm=None, compile_options=None, **options):
    settings = {"k": 2, "vectorizer": DummyVectorizer(), "num_threads": 4, **options}
    rows = words() if rows is None else rows
    with context(lm=teacher() if lm is None else lm):
        return KNNFewShot(trainset=rows, **settings).compile(
            Predict("word -> kind") if student is None else student, **(compile_options or {})
        )


def teacher():
    """Right but for houses."""
    return FunctionLM(lambda text: {"kind": "animal"})


def right(example, prediction, trace=None):
    return example.kind == prediction.kind


def ask(program, lm=None, **inputs):
    lm = teacher() if lm is None else lm
    with context(lm=lm):
        program(**inputs)
    return lm.requests[-1]


def test_a_call_is_shown_the_nearest_rows_the_nearest_last():
    request = ask(compiled(metric=right), word="cat")

    shown = [m["content"] for m in request.messages[1:-1] if m["role"] == "user"]
    assert len(shown) == 2
    assert "cats" in shown[-1]
    assert "cats" not in shown[0]


def test_rows_are_run_once_and_calls_run_nothing_more():
    lm = teacher()
    program = compiled(lm=lm, metric=right)
    assert len(lm.requests) == len(WORDS)

    for word in ("cat", "dog", "mice"):
        ask(program, lm, word=word)

    assert len(lm.requests) == len(WORDS) + 3


def test_rows_that_are_not_right_are_shown_with_their_labels():
    request = ask(compiled(metric=right), word="houses")

    shown = text_of(request)
    assert "house\n" in shown
    assert "thing" in shown


def test_limits_of_bootstrapped_and_of_all_demos_hold():
    program = compiled(metric=right, k=5, max_bootstrapped_demos=1, max_labeled_demos=2)

    request = ask(program, word="cat")

    assert sum(m["role"] == "user" for m in request.messages[1:-1]) == 2
    assert "thing" in text_of(request)  # the one labelled row


def test_no_bootstrap_means_no_call():
    lm = teacher()
    program = compiled(lm=lm, max_bootstrapped_demos=0)

    assert not lm.requests
    assert "cats" in text_of(ask(program, word="cat"))


def test_it_is_saved_and_loaded_and_shows_the_same(tmp_path):
    program = compiled(metric=right)
    program.save(tmp_path / "p.json")

    loaded = NearestDemos(Predict("word -> kind"), 1, DummyVectorizer()).load(tmp_path / "p.json")

    assert ask(loaded, word="cat").messages == ask(program, word="cat").messages


def test_typed_values_come_back_as_their_types(tmp_path):
    student = Predict("number: int, tags: list[str] -> half: float")
    rows = [Example(number=n, tags=[str(n)], half=n / 2).with_inputs("number", "tags") for n in range(3)]
    lm = FunctionLM(lambda text: {"half": 0.5})
    program = compiled(student, rows, lm, metric=lambda row, found, trace=None: row.half == found.half)
    program.save(tmp_path / "p.json")

    loaded = NearestDemos(Predict("number: int, tags: list[str] -> half: float"), 2, DummyVectorizer())
    loaded.load(tmp_path / "p.json")

    with context(lm=lm):
        program(number=7, tags=["7"])
        loaded(number=7, tags=["7"])
    assert lm.requests[-1].messages == lm.requests[-2].messages


class Two(Module):
    def __init__(self):
        self.first = Predict("word -> note")
        self.second = Predict("word, note -> kind")

    def forward(self, word):
        return self.second(word=word, note=self.first(word=word).note)


def test_every_step_gets_demos_of_its_own():
    lm = FunctionLM(
        lambda text: {"note": "n1"} if "with the field `[[ ## note" in text else {"kind": "animal"}
    )
    program = compiled(Two(), lm=lm, metric=right)
    lm.requests.clear()
    ask(program, lm, word="cat")

    first, second = lm.requests[-2:]
    assert sum(m["role"] == "user" for m in first.messages) == 3
    assert "n1" in second.messages[-2]["content"] or "n1" in second.messages[-3]["content"]


def test_the_program_itself_is_not_changed_by_calls():
    program = compiled(metric=right)
    before = program.dump_state()

    ask(program, word="cat")

    assert program.dump_state() == before


def test_it_is_awaited_too():
    lm = teacher()
    program = compiled(metric=right)

    async def main():
        with context(lm=lm):
            return await program.acall(word="cat")

    assert asyncio.run(main()).kind == "animal"
    assert "cats" in text_of(lm.requests[-1])


def test_copies_share_the_vectors_of_the_rows():
    calls = []
    vectorizer = DummyVectorizer()

    def counted(texts):
        calls.append(len(texts))
        return vectorizer(texts)

    program = compiled(metric=right, vectorizer=counted)
    ask(program, word="cat")
    ask(program.deepcopy(), word="dog")

    assert sorted(calls) == [1, 1, len(WORDS)]


def test_with_a_valset_the_report_has_both_scores():
    rows = examples(8)
    program = compiled(
        Predict(QA),
        rows,
        arithmetic_lm(),
        {"valset": examples(6, first=50)},
        metric=metric,
    )

    assert program.report.score is not None
    assert program.report.baseline is not None


def test_a_budget_that_ends_leaves_the_other_rows_with_their_labels():
    with context(lm=arithmetic_lm(right=1.0, reasoning="r")):
        optimizer = KNNFewShot(8, examples(8), DummyVectorizer(), metric, num_threads=1)
        program = optimizer.compile(Predict("question -> reasoning, answer"), budget=Budget(calls=5))

    demos = [row.demos["self"] for row in program.pool.shown.rows]
    assert program.report.stopped.startswith("budget")
    assert [demo.get("augmented", False) for demo in demos] == [True] * 5 + [False] * 3


def test_callers_may_give_other_rows_to_compile():
    optimizer = KNNFewShot(k=1, vectorizer=DummyVectorizer(), metric=right)
    with context(lm=teacher()):
        program = optimizer.compile(Predict("word -> kind"), trainset=words()[:2])

    assert len(program.pool.shown.rows) == 2


def test_a_missing_input_is_refused():
    with pytest.raises(InputError):
        ask(compiled(metric=right), words="cat")


@pytest.mark.parametrize(
    "options",
    [
        {"k": 0},
        {"k": True},
        {"vectorizer": None},
        {"vectorizer": "embed"},
        {"max_bootstrapped_demos": 0, "max_labeled_demos": 0},
        {"max_rounds": 0},
        {"teacher_settings": {"lmm": 1}},
    ],
)
def test_impossible_settings_are_refused(options):
    lm = teacher()
    with pytest.raises(ConfigurationError):
        compiled(lm=lm, **options)
    assert not lm.requests


def test_without_rows_it_says_where_to_pass_them():
    with pytest.raises(ConfigurationError, match="trainset="):
        KNNFewShot(k=1, vectorizer=DummyVectorizer()).compile(Predict(QA))


@pytest.mark.parametrize(
    "change",
    [
        lambda pool: pool.pop("rows"),
        lambda pool: pool.update(limits=[0, 1, 1]),
        lambda pool: pool.update(limits=[1, True, 1]),
        lambda pool: pool["rows"].append("text"),
        lambda pool: pool["rows"][0].update(demos={"other": {}}),
        lambda pool: pool["rows"][0].update(demos={"self": 5}),
    ],
)
def test_files_that_hold_something_else_are_refused_and_change_nothing(tmp_path, change):
    program = compiled(metric=right)
    program.save(tmp_path / "p.json")
    state = json.loads((tmp_path / "p.json").read_text())
    change(state["predictors"]["pool"])
    (tmp_path / "p.json").write_text(json.dumps(state))
    loaded = NearestDemos(Predict("word -> kind"), 1, DummyVectorizer())

    with pytest.raises(StateError):
        loaded.load(tmp_path / "p.json")
    assert loaded.pool.shown.rows == []


def test_a_reset_copy_forgets_the_rows():
    program = compiled(metric=right).reset_copy()

    assert len(ask(program, word="cat").messages) == 2


@pytest.mark.parametrize(
    "arguments", [{"k": 0}, {"program": print}, {"vectorizer": 3}, {"max_labeled_demos": -1}]
)
def test_a_module_that_cannot_work_is_refused(arguments):
    with pytest.raises(ConfigurationError):
        NearestDemos(**{"program": Predict(QA), "k": 1, "vectorizer": DummyVectorizer(), **arguments})
