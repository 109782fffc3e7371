import pytest
from arithmetic import examples

from telic.context import context
from telic.data import Example
from telic.errors import BudgetExceeded, ConfigurationError, LMInvalidRequestError, NotConfiguredError
from telic.modules import RLM, ChainOfThought, CodeAct, Module, Predict, ProgramOfThought, ReAct
from telic.optimizers import Compile, LabeledFewShot
from telic.optimizers._pool import Source, Standing, Task, run_pool
from telic.optimizers._propose import (
    Attempt,
    Judged,
    Wording,
    attempts_text,
    cleaned,
    described,
    examples_text,
    fields_text,
    instructions_of,
    judged_text,
    source_of,
    with_instructions,
    wordings_of,
)
from telic.optimizers._propose_asks import Asks, Together, check_prompt_model, check_temperature
from telic.signatures import make_signature
from telic.testing import FunctionLM
from telic.types import Image


class Two(Module):
    """Plans, then answers."""

    def __init__(self):
        self.plan = Predict("question -> plan")
        self.steps = [ChainOfThought("question, plan -> answer")]

    def forward(self, question):
        return self.steps[0](question=question, plan=self.plan(question=question).plan)


# Texts


def test_instructions_are_read_and_set_by_path_on_a_copy():
    program = Two()

    made = with_instructions(program, {"steps[0].predict": "Be brief.", "nowhere": "Never."})

    assert instructions_of(made)["steps[0].predict"] == "Be brief."
    assert instructions_of(made)["plan"] == instructions_of(program)["plan"]
    assert "Be brief." not in instructions_of(program).values()


def search(query: str) -> str:
    """Look it up."""
    return query


@pytest.mark.parametrize(
    ("module", "with_protocol"),
    [
        (lambda s: Predict(s), []),
        (lambda s: ChainOfThought(s), []),
        (lambda s: ReAct(s, tools=[search]), ["react"]),
        (lambda s: CodeAct(s, tools=[search]), ["codeact"]),
        (lambda s: ProgramOfThought(s), ["code_generate.predict", "code_regenerate.predict"]),
        (lambda s: RLM(s), ["generate_action", "extract"]),
    ],
)
def test_what_a_module_adds_to_the_task_stays_when_the_task_is_told_otherwise(
    module, with_protocol, tmp_path
):
    class Program(Module):
        def __init__(self):
            self.step = module("question -> answer")

    program = Program()
    wordings = wordings_of(program)

    assert [
        path.removeprefix("step.") for path, wording in wordings.items() if wording.protocol
    ] == with_protocol
    assert all(
        wording.whole(wording.task) == instructions_of(program)[path] for path, wording in wordings.items()
    )
    made = with_instructions(
        program, {path: wording.whole("New task.") for path, wording in wordings.items()}
    )
    for path, wording in wordings.items():
        assert wording.task_of(instructions_of(made)[path]) == "New task."


def test_an_agent_that_has_learned_still_knows_what_its_module_adds(tmp_path):
    program = ReAct("question -> answer", tools=[search])
    wording = wordings_of(program)["react"]
    learned = with_instructions(program, {"react": wording.whole("Find it out.\n\nSlowly.")})
    learned.save(tmp_path / "program.json")

    loaded = ReAct("question -> answer", tools=[search]).load(tmp_path / "program.json")

    assert wordings_of(loaded)["react"] == Wording("Find it out.\n\nSlowly.", wording.protocol)
    assert "`search`" in wording.protocol


def test_examples_are_lines_of_fields_with_a_blank_line_between():
    rows = [
        Example(question="1?", answer="one", note=None),
        {"question": "2?", "augmented": True, "answer": 2},
    ]

    assert examples_text(rows) == "question: 1?\nanswer: one\n\nquestion: 2?\nanswer: 2"
    assert examples_text(rows, ["answer", "note"]) == "answer: one\n\nanswer: 2"
    assert examples_text([]) == ""


def test_long_values_are_cut_and_pictures_are_named_alone():
    picture = Image("data:image/png;base64,iVBORw0KGgo=")

    text = fields_text({"text": "x" * 2000, "picture": picture, "both": [picture, "a"], "rows": {"a": [1]}})

    assert len(text) < 700
    assert "picture: <Image>" in text and 'both: ["<Image>", "a"]' in text and 'rows: {"a": [1]}' in text
    assert "base64" not in text


def test_values_that_json_has_no_words_for_are_shown_all_the_same():
    text = fields_text({"things": {"a": object(), "b": {1, 2}}, "lone": "\ud800", "n": float("nan")})

    assert text.startswith('things: {"a": "<object object')


def test_attempts_go_from_the_worst_to_the_best():
    text = attempts_text([Attempt("Good.", 90.4), Attempt("Bad.", 3.0), Attempt("Fair.", 50.0)])

    assert text.splitlines() == ["Bad. (score 3)", "Fair. (score 50)", "Good. (score 90)"]


def test_answers_are_followed_by_what_was_said_to_them():
    text = judged_text(
        [Judged({"question": "1?"}, {"answer": "two"}, "Wrong."), Judged({}, {"answer": "1"}, "Right.")]
    )

    assert text == "question: 1?\nanswer: two\nfeedback: Wrong.\n\nanswer: 1\nfeedback: Right."


def test_programs_are_described_by_their_steps():
    text = described(Two(), ["question"])

    assert text.splitlines() == [
        "A program of 2 steps that takes question:",
        "- plan takes question and gives plan.",
        "- steps[0].predict takes question, plan and gives reasoning, answer.",
    ]


def test_the_source_is_that_of_the_users_own_classes():
    assert "Plans, then answers." in source_of(Two())
    assert "class ChainOfThought" not in source_of(Two())
    assert source_of(ChainOfThought("question -> answer")) == ""


def test_a_class_whose_source_cannot_be_read_has_none():
    namespace = {"Module": Module, "Predict": Predict}
    exec("class Made(Module):\n    def __init__(self):\n        self.step = Predict('a -> b')\n", namespace)

    assert source_of(namespace["Made"]()) == ""


@pytest.mark.parametrize(
    ("proposal", "text"),
    [
        ('"Do it."', "Do it."),
        (" 'Do it.' ", "Do it."),
        ('"A" or "B"', '"A" or "B"'),
        ("", ""),
        ('"', '"'),
        (None, "None"),
    ],
)
def test_quotes_around_a_proposal_are_taken_off(proposal, text):
    assert cleaned(proposal) == text


# Questions


def asked(reply, put, *, threads=1, temperature=None, lm=None, **settings):
    """Run questions in a compile; return the asks and what `put` made."""
    model = FunctionLM(reply) if lm is None else lm
    with context(lm=model, **settings):
        optimizer = LabeledFewShot(k=1)
        with Compile(optimizer, Predict("question -> answer"), trainset=examples(1)) as run:
            asks = Asks(run, None, temperature)
            made = put(asks)
            run_pool(Together([asks]), threads)
            return asks, made, run.spent


def test_answers_come_back_and_may_ask_more():
    def put(asks):
        found = []

        def first(fields):
            found.append(fields["b"])
            asks.ask("second", "b -> c", {"b": fields["b"]}, lambda fields: found.append(fields["c"]))

        asks.ask("first", "a -> b", {"a": "x"}, first)
        return found

    _, found, spent = asked(
        lambda text: {"b": "1"} if "## a ##" in text else {"c": "2"}, _with_signatures(put)
    )

    assert found == ["1", "2"]
    assert spent.calls == 2


def _with_signatures(put):
    class Wrapped:
        def __init__(self, asks):
            self.asks = asks

        def ask(self, label, signature, inputs, answered, **options):
            made = make_signature(signature) if isinstance(signature, str) else signature
            self.asks.ask(label, made, inputs, answered, **options)

    return lambda asks: put(Wrapped(asks))


def test_a_question_that_fails_answers_none_and_is_told_in_the_order_of_labels():
    def reply(text):
        if "bad" in text:
            raise LMInvalidRequestError("refused", model="m")
        return {"b": "1"}

    def put(asks):
        found = {}
        for label in ("2 bad", "1 bad", "0 good"):
            asks.ask(label, "a -> b", {"a": label}, lambda fields, label=label: found.update({label: fields}))
        return found

    asks, found, _ = asked(reply, _with_signatures(put), threads=4)

    assert found == {"2 bad": None, "1 bad": None, "0 good": {"b": "1"}}
    assert [text.partition(":")[0] for text in asks.failures] == ["1 bad", "2 bad"]


def test_a_spent_budget_ends_the_pool():
    def reply(text):
        raise BudgetExceeded("spent")

    with pytest.raises(BudgetExceeded):
        asked(
            reply, _with_signatures(lambda asks: asks.ask("one", "a -> b", {"a": "x"}, lambda fields: None))
        )


def test_samples_temperature_and_role_reach_the_lm():
    lm = FunctionLM(lambda text: {"b": "1"})

    def put(asks):
        for sample in (3, 4):
            asks.ask(f"{sample}", "a -> b", {"a": "x"}, lambda fields: None, sample=sample)

    _, _, _ = asked(None, _with_signatures(put), temperature=1.4, lm=lm)

    assert [request.sample for request in lm.requests] == [3, 4]
    assert all(request.options["temperature"] == 1.4 for request in lm.requests)


class Listed(Source):
    """Work from a list."""

    def __init__(self, works):
        self.works, self.open, self.size = list(works), len(works), len(works)

    def take(self):
        if not self.works:
            return None
        work = self.works.pop(0)

        def done(value, error):
            self.open -= 1
            if error is not None:
                raise error

        return Task(work, done)

    @property
    def finished(self):
        return not self.open

    def standing(self):
        return Standing(self.size - self.open, self.size)


@pytest.mark.parametrize("threads", [1, 8])
def test_sources_run_together_the_first_ones_first(threads):
    order = []
    sources = [Listed([lambda k=k, n=n: order.append((k, n)) for n in range(5)]) for k in range(3)]

    run_pool(Together(sources), threads)

    assert sorted(order) == [(k, n) for k in range(3) for n in range(5)]
    if threads == 1:
        assert order == sorted(order)


@pytest.mark.parametrize("value", [-0.1, float("inf"), float("nan"), "hot", None, True])
def test_temperatures_that_are_none_are_refused(value):
    with pytest.raises(ConfigurationError, match="init_temperature"):
        check_temperature("init_temperature", value)


def test_somebody_must_be_there_to_write():
    with pytest.raises(NotConfiguredError, match="prompt_model"):
        check_prompt_model(None)
    with context(lm=FunctionLM(lambda text: "x")):
        check_prompt_model(None)
