import pytest
from arithmetic import demos_of, examples

from telic.data import Example
from telic.errors import ConfigurationError, DatasetError
from telic.modules import ChainOfThought, Module, Predict
from telic.optimizers import LabeledFewShot
from telic.optimizers._demos import labelled_demos, spread


class TwoSteps(Module):
    def __init__(self):
        self.first = Predict("question -> answer")
        self.second = Predict("question, answer -> verdict")

    def forward(self, question):
        return self.second(question=question, answer=self.first(question=question).answer)


def test_each_predictor_gets_labelled_demos_that_have_its_fields():
    student = TwoSteps()

    compiled = LabeledFewShot(k=4).compile(student, trainset=examples(30))

    assert [len(demos) for demos in demos_of(compiled).values()] == [4, 0]
    assert demos_of(student) == {"first": [], "second": []}
    assert not compiled._compiled and not student._compiled  # another optimizer may go on from here


def test_the_draw_is_seeded_and_can_be_left_out():
    rows = examples(30)
    student = ChainOfThought("question -> answer")

    first = demos_of(LabeledFewShot(k=4).compile(student, trainset=rows))

    assert first == demos_of(LabeledFewShot(k=4).compile(student, trainset=rows))
    assert first != demos_of(LabeledFewShot(k=4, seed=1).compile(student, trainset=rows))
    plain = LabeledFewShot(k=4).compile(student, trainset=rows, sample=False)
    assert plain.predict.demos == rows[:4]


def test_nothing_is_paid_for_and_the_report_says_so():
    compiled = LabeledFewShot().compile(Predict("question -> answer"), trainset=examples(3))

    assert compiled.report.total_spend.calls == 0
    assert compiled.report.stopped is None
    assert len(compiled.demos) == 3


def test_rows_need_not_say_which_of_their_fields_are_inputs():
    row = Example(question="q", answer="a")

    assert LabeledFewShot().compile(Predict("question -> answer"), trainset=[row]).demos == [row]


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"trainset": []}, DatasetError),
        ({"trainset": [{"question": "q", "answer": "a"}]}, DatasetError),
        ({"trainset": examples(2), "teacher": Predict("question -> answer")}, ConfigurationError),
        ({"trainset": examples(2), "valset": examples(2)}, ConfigurationError),
    ],
)
def test_what_cannot_work_is_refused(arguments, kind):
    with pytest.raises(kind):
        LabeledFewShot().compile(Predict("question -> answer"), **arguments)


@pytest.mark.parametrize("k", [-1, 2.5, None, True])
def test_impossible_sizes_are_refused(k):
    with pytest.raises(ConfigurationError, match="k must be"):
        LabeledFewShot(k=k)


def test_a_student_without_predictors_is_refused():
    class Empty(Module):
        def forward(self, question):
            return question

    for student in (Empty(), lambda question: question):
        with pytest.raises(ConfigurationError, match="student"):
            LabeledFewShot().compile(student, trainset=examples(2))


def classes(kinds):
    return [Example(text=f"text {n}", kind=kind).with_inputs("text") for n, kind in enumerate(kinds)]


@pytest.mark.parametrize("seed", range(5))
def test_demos_show_each_class_as_often_as_the_others(seed):
    rows = classes("aaaaaaaaaaaaaaaaaaaaaaaabbbc")

    few = LabeledFewShot(k=3, seed=seed).compile(Predict("text -> kind"), trainset=rows)
    more = LabeledFewShot(k=8, seed=seed).compile(Predict("text -> kind"), trainset=rows)

    assert sorted(demo.kind for demo in few.demos) == ["a", "b", "c"]
    assert sorted(demo.kind for demo in more.demos) == list("aaaabbbc")
    assert more.demos[:3] == few.demos


def test_demos_are_a_plain_draw_where_no_two_answers_are_the_same():
    rows = examples(30)
    drawn = LabeledFewShot(k=30).compile(Predict("question -> answer"), trainset=rows).demos

    assert spread(drawn) == drawn and drawn != rows


def test_labelled_rows_fill_up_with_the_classes_that_are_not_shown_yet():
    rows = classes("abcabc")
    predictor = Predict("text -> reasoning, kind")
    made = [Example(text="x", reasoning="so", kind="a", augmented=True)]

    filled = labelled_demos(rows, predictor, "self", 2, beside=made)

    assert sorted(demo.kind for demo in filled) == ["b", "c"]


def test_rows_without_answers_keep_their_order():
    rows = [Example(text=str(n)).with_inputs("text") for n in range(4)]
    assert spread(rows) == rows
    assert spread(rows, ["kind"]) == rows
    assert spread([]) == []


def test_a_predictor_that_no_row_fits_is_told_of():
    compiled = LabeledFewShot(k=4).compile(TwoSteps(), trainset=examples(30))

    assert any("second" in note and "no demonstrations" in note for note in compiled.report.notes)
