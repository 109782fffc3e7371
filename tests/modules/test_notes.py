from telic.modules import ChainOfThought, Module, Predict


class Report:
    spend = ()
    candidates = ()

    def to_dict(self):
        return {"score": 1.0}


class Writer(Module):
    """A program that has attributes of its own by the names of the library's notes."""

    def __init__(self):
        self.report = ChainOfThought("data -> report")
        self.history = ["a turn"]


def test_a_program_may_have_a_report_and_a_history_of_its_own(tmp_path):
    program = Writer()

    assert [path for path, _ in program.named_predictors()] == ["report.predict"]
    assert program.history == ["a turn"]
    program.report = Report()
    assert isinstance(program.report, ChainOfThought)
    program.save(tmp_path / "p.json")
    assert Writer().load(tmp_path / "p.json").__dict__["_telic_report"].score == 1.0


def test_without_one_both_are_the_librarys():
    predict, report = Predict("question -> answer"), Report()

    assert predict.report is None
    assert predict.history == []
    predict.report = report
    assert predict.report is report
    assert predict.deepcopy().report is not None
    del predict.report
    assert predict.report is None
