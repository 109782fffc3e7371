"""Programs of the kinds that people run with DSPy, as they are written for it; only the import names telic."""

from __future__ import annotations

import asyncio
import copy
import enum
import io
import json
from types import SimpleNamespace
from typing import Any, Literal

import pydantic
import pytest
from telic.teleprompt import BootstrapFewShot, BootstrapFewShotWithRandomSearch, LabeledFewShot
from telic.utils import DummyLM

import telic as dspy
from telic.evaluate import Evaluate, SemanticF1, answer_exact_match
from telic.testing import FaultServer

TRAINSET = [
    dspy.Example(question=f"q{n}", answer="A" if n % 3 else "B").with_inputs("question") for n in range(12)
]


def exact(example, pred, trace=None):
    return example.answer == pred.answer


def always(**fields):
    return DummyLM([fields] * 500)


def markers(lm, call=-1):
    """The roles of a call's messages, with the fields that each shows."""
    return [
        (
            message["role"],
            [line[6:-6] for line in message["content"].split("\n") if line.startswith("[[ ## ")],
        )
        for message in lm.history[call]["messages"]
    ]


# Steps


def test_question_answering_shows_its_prompt_and_history():
    lm = always(answer="Paris")
    dspy.settings.configure(lm=lm)
    qa = dspy.Predict("question -> answer")

    pred = qa(question="What is the capital of France?")

    assert (pred.answer, pred["answer"], pred.get("nope", 3), list(pred.keys())) == (
        "Paris",
        "Paris",
        3,
        ["answer"],
    )
    assert markers(lm) == [("system", ["question", "answer", "completed"]), ("user", ["question"])]
    assert {
        "prompt",
        "messages",
        "kwargs",
        "response",
        "outputs",
        "usage",
        "cost",
        "timestamp",
        "uuid",
        "model",
    } <= set(lm.history[-1])
    out = io.StringIO()
    dspy.inspect_history(n=1, file=out)
    assert "[[ ## answer ## ]]" in out.getvalue()


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Item(pydantic.BaseModel):
    name: str
    price: float = 0.0


class Extract(dspy.Signature):
    """Extract what the text says."""

    text: str = dspy.InputField(desc="the text")
    sentiment: Literal["pos", "neg"] = dspy.OutputField()
    ok: bool = dspy.OutputField()
    tags: list[str] = dspy.OutputField()
    counts: dict[str, int] = dspy.OutputField(desc="how often")
    item: Item = dspy.OutputField()
    items: list[Item] = dspy.OutputField()
    maybe: int | None = dspy.OutputField()
    color: Color = dspy.OutputField()
    any: Any = dspy.OutputField()


def test_typed_outputs_arrive_as_their_types():
    reply = {
        "sentiment": "pos",
        "ok": "True",
        "tags": '["a", "b"]',
        "counts": '{"a": 1}',
        "item": '{"name": "x", "price": 2}',
        "items": '[{"name": "y"}]',
        "maybe": "None",
        "color": "BLUE",
        "any": '{"k": [1]}',
    }
    with dspy.context(lm=DummyLM([reply])):
        pred = dspy.Predict(Extract)(text="hello")

    assert dict(pred) == {
        "sentiment": "pos",
        "ok": True,
        "tags": ["a", "b"],
        "counts": {"a": 1},
        "item": Item(name="x", price=2.0),
        "items": [Item(name="y")],
        "maybe": None,
        "color": Color.BLUE,
        "any": {"k": [1]},
    }


def test_signatures_are_edited_as_they_always_were():
    edited = Extract.append("why", dspy.OutputField(desc="d"), type_=str).prepend(
        "context", dspy.InputField()
    )

    assert list(edited.input_fields) == ["context", "text"]
    assert list(edited.output_fields)[-1] == "why"
    assert list(Extract.delete("ok").output_fields)[:2] == ["sentiment", "tags"]
    assert (
        Extract.with_updated_fields("text", desc="new").input_fields["text"].json_schema_extra["desc"]
        == "new"
    )
    assert Extract.insert(0, "first", dspy.InputField()).signature.startswith("first, text -> ")
    assert (
        dspy.Signature("text -> item: Item", custom_types={"Item": Item}).output_fields["item"].annotation
        is Item
    )
    assert (
        dspy.Signature({"q": (str, dspy.InputField()), "a": (int, dspy.OutputField())}, "Do it.").instructions
        == "Do it."
    )


def test_demos_and_instructions_are_assigned():
    lm = always(answer="x")
    qa = dspy.Predict("question -> answer")
    qa.demos = [{"question": "a", "answer": "b"}, dspy.Example(question="c", answer="d")]
    qa.signature = qa.signature.with_instructions("Be short.")

    with dspy.context(lm=lm):
        qa(question="e")

    assert [role for role, _ in markers(lm)] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert lm.history[-1]["messages"][0]["content"].endswith("Be short.")


def test_several_completions_and_options_of_a_call():
    lm = always(answer="x")
    with dspy.context(lm=lm):
        pred = dspy.Predict("question -> answer", n=3, temperature=0.7)(question="q")
        assert pred.completions.answer == ["x", "x", "x"]
        assert (len(pred.completions), pred.completions[1].answer) == (3, "x")
        dspy.ChainOfThought("question -> answer", temperature=0.5)
        again = dspy.Predict("question -> answer")(question="q", config={"rollout_id": 1, "temperature": 1.0})

    assert again.answer == "x"
    assert lm.history[-1]["kwargs"]["temperature"] == 1.0


# Programs


def deduplicate(passages):
    seen = set()
    return [passage for passage in passages if not (passage in seen or seen.add(passage))]


class Baleen(dspy.Module):
    def __init__(self, passages_per_hop=2, max_hops=2):
        super().__init__()
        self.generate_query = [dspy.ChainOfThought("context, question -> query") for _ in range(max_hops)]
        self.retrieve = lambda query: dspy.Prediction(
            passages=[f"{query} {n}" for n in range(passages_per_hop)]
        )
        self.generate_answer = dspy.ChainOfThought("context, question -> answer")
        self.max_hops = max_hops

    def forward(self, question):
        context = []
        for hop in range(self.max_hops):
            query = self.generate_query[hop](context=context, question=question).query
            context = deduplicate(context + self.retrieve(query).passages)
        pred = self.generate_answer(context=context, question=question)
        return dspy.Prediction(context=context, answer=pred.answer)


def hops_are_short(example, pred, trace=None):
    if example.answer != pred.answer:
        return False
    hops = [example.question] + [outputs.query for *_, outputs in trace if "query" in outputs]
    return max(len(hop) for hop in hops) < 100


def test_a_multi_hop_program_compiles_with_a_metric_that_reads_the_trace():
    hop = {"reasoning": "r", "query": "x"}
    dspy.configure(lm=DummyLM([hop, {**hop, "query": "y"}, {"reasoning": "z", "answer": "A"}] * 99))
    optimizer = BootstrapFewShot(
        metric=hops_are_short, max_labeled_demos=0, max_bootstrapped_demos=2, num_threads=1
    )

    compiled = optimizer.compile(Baleen(), teacher=Baleen(passages_per_hop=3), trainset=TRAINSET[1:3])

    assert {name: len(predictor.demos) for name, predictor in compiled.named_predictors()} == {
        "generate_query[0].predict": 2,
        "generate_query[1].predict": 2,
        "generate_answer.predict": 2,
    }
    assert compiled.predictors()[1].demos[0].context == ["x 0", "x 1", "x 2"]


class Vote(dspy.Module):
    def __init__(self, k=3):
        self.steps = [dspy.ChainOfThought("question -> answer") for _ in range(k)]

    def forward(self, question):
        answers = [
            step(question=question, config={"temperature": 0.7 + n}).answer
            for n, step in enumerate(self.steps)
        ]
        return dspy.Prediction(answer=max(set(answers), key=answers.count), answers=answers)


def test_programs_are_copied_and_given_lms():
    vote = Vote()
    vote.set_lm(DummyLM([{"reasoning": "r", "answer": a} for a in "122122"]))
    assert vote(question="q").toDict() == {"answer": "2", "answers": ["1", "2", "2"]}
    vote.steps[0].predict.demos.append(dspy.Example(question="a", answer="b"))

    copies = copy.deepcopy(vote), vote.deepcopy(), vote.reset_copy()
    copies[0].steps[0].predict.demos.clear()

    assert [len(program.predictors()[0].demos) for program in (vote, *copies)] == [1, 0, 1, 0]
    assert vote.get_lm() is vote.steps[1].predict.lm
    assert vote(question="q").answer == "2"


def test_compiled_programs_are_saved_or_compiled_on_the_first_run(tmp_path):
    path = tmp_path / "vote.json"
    program = Vote()
    try:
        program.load(path)
    except FileNotFoundError:
        program = LabeledFewShot(k=2).compile(student=Vote(), trainset=TRAINSET)
        program.save(path)

    again = Vote()
    again.load(path=str(path), allow_pickle=False)

    assert [p.demos for p in again.predictors()] == [p.demos for p in program.predictors()]
    again.load_state(program.dump_state(json_mode=True), allow_unsafe_lm_state=False)
    with pytest.raises(dspy.StateError, match="allow_unsafe_lm_state=True"):
        again.load_state(program.dump_state(), allow_unsafe_lm_state=True)


# Optimizers and evaluation


def test_a_teacher_with_its_own_lm_makes_the_demos():
    dspy.configure(lm=always(reasoning="student", answer="C"))
    optimizer = BootstrapFewShot(
        metric=exact,
        max_bootstrapped_demos=2,
        max_labeled_demos=3,
        teacher_settings={"lm": always(reasoning="teacher", answer="A")},
    )

    compiled = optimizer.compile(dspy.ChainOfThought("question -> answer"), trainset=TRAINSET)

    demos = compiled.predict.demos
    assert [demo.get("reasoning") for demo in demos] == ["teacher", "teacher", None]
    assert compiled.predict.lm is None


def test_random_search_keeps_its_candidates():
    dspy.configure(lm=always(reasoning="r", answer="A"))
    config = {"max_bootstrapped_demos": 2, "max_labeled_demos": 3, "num_candidate_programs": 2}

    optimizer = BootstrapFewShotWithRandomSearch(metric=exact, teacher_settings={}, num_threads=2, **config)
    compiled = optimizer.compile(
        dspy.ChainOfThought("question -> answer"), trainset=TRAINSET[:8], valset=TRAINSET[8:]
    )

    assert sorted(candidate["seed"] for candidate in compiled.candidate_programs) == [-3, -2, -1, 0, 1]
    assert set(compiled.candidate_programs[0]) >= {"score", "subscores", "seed", "program"}


class Assess(dspy.Signature):
    """Assess the quality of an answer along the specified dimension."""

    assessed_text = dspy.InputField()
    assessment_question = dspy.InputField()
    assessment_answer: bool = dspy.OutputField()


def judged(gold, pred, trace=None):
    good = dspy.Predict(Assess)(
        assessed_text=pred.answer, assessment_question="Is it short?"
    ).assessment_answer
    score = good + (gold.answer == pred.answer)
    return score >= 2 if trace is not None else score / 2.0


def test_a_metric_may_ask_an_lm_and_be_stricter_in_compiling():
    lm = DummyLM({"assessed_text": {"assessment_answer": "True"}, "question": {"answer": "A"}})
    dspy.configure(lm=lm)

    result = Evaluate(devset=TRAINSET[:3], metric=judged, num_threads=1, display_progress=False)(
        dspy.Predict("question -> answer")
    )
    compiled = BootstrapFewShot(metric=judged, max_labeled_demos=0).compile(
        dspy.Predict("question -> answer"), trainset=TRAINSET[:3]
    )

    assert [score for _, _, score in result.results] == [0.5, 1.0, 1.0]
    assert (result.score, float(result), result > 80) == (83.33, 83.33, True)
    assert [demo.question for demo in compiled.demos] == ["q1", "q2"]


def test_evaluate_takes_all_that_is_passed_to_it(tmp_path, capsys):
    dspy.configure(lm=always(answer="A"))
    evaluate = Evaluate(
        devset=TRAINSET,
        metric=answer_exact_match,
        num_threads=4,
        display_progress=False,
        display_table=2,
        max_errors=3,
        provide_traceback=True,
        failure_score=0.0,
        save_as_csv=str(tmp_path / "rows.csv"),
        save_as_json=str(tmp_path / "rows.json"),
    )

    result = evaluate(dspy.Predict("question -> answer"), callback_metadata={"metric_key": "eval_full"})

    assert result.score == 66.67
    assert "question" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "rows.json").read_text())) == 12
    with dspy.context(lm=always(reasoning="r", precision="0.5", recall="1.0")):
        score = SemanticF1()(dspy.Example(question="q", response="r"), dspy.Prediction(response="p"))
    assert float(score) == pytest.approx(2 / 3)


# LMs, adapters, many at once


class OwnLM(dspy.BaseLM):
    def __init__(self, model="my-model", **kwargs):
        super().__init__(model=model, **kwargs)
        self.calls = []

    def forward(self, prompt=None, messages=None, **kwargs):
        self.calls.append((messages or [{"role": "user", "content": prompt}], kwargs))
        message = SimpleNamespace(content="[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]", tool_calls=None)
        return SimpleNamespace(
            choices=[SimpleNamespace(message=message, finish_reason="stop")],
            usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
            model=self.model,
        )

    async def aforward(self, prompt=None, messages=None, **kwargs):
        return self.forward(prompt, messages, **kwargs)


class Shouting(dspy.ChatAdapter):
    def format(self, signature, demos, inputs):
        messages = super().format(signature, demos, inputs)
        messages[0]["content"] += "\nEXTRA"
        return messages

    def parse(self, signature, completion):
        return {name: value.upper() for name, value in super().parse(signature, completion).items()}


def test_an_lm_and_an_adapter_of_the_users_own():
    lm = OwnLM(temperature=0.2, max_tokens=50)
    dspy.configure(lm=lm, track_usage=True)
    qa = dspy.Predict("question -> answer")

    pred = qa(question="q")
    assert pred.answer == "yes"
    assert pred.get_lm_usage()["my-model"]["total_tokens"] == 5
    assert asyncio.run(qa.acall(question="q")).answer == "yes"
    assert lm("hello") == ["[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]"]
    with dspy.context(adapter=Shouting()), dspy.track_usage() as usage:
        assert qa(question="q").answer == "YES"
    assert lm.calls[-1][0][0]["content"].endswith("\nEXTRA")
    assert usage.get_total_tokens()["my-model"]["prompt_tokens"] == 3


def test_an_lm_behind_a_server(tmp_path):
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=True)
    with FaultServer(lambda request: "plain") as server:
        lm = dspy.LM(
            "openai/gpt-4o-mini",
            api_base=server.url,
            api_key="k",
            temperature=0.0,
            max_tokens=100,
            model_type="chat",
            use_developer_role=False,
            launch_kwargs=None,
            engine="auto",
        )
        assert lm("say hi") == lm("say hi") == ["plain"]
        assert lm(messages=[{"role": "user", "content": "hi"}], temperature=0.7) == ["plain"]
        body = server.requests[0].body

    assert len(server.requests) == 2
    assert body == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "say hi"}],
        "temperature": 0.0,
        "max_tokens": 100,
    }
    assert lm.copy(temperature=0.9).kwargs["temperature"] == 0.9
    assert lm.history[-1]["usage"]["total_tokens"] > 0


def test_programs_run_over_many_rows():
    dspy.configure(lm=always(answer="A"))
    qa = dspy.Predict("question -> answer")

    assert [pred.answer for pred in qa.batch(TRAINSET, num_threads=3, disable_progress_bar=True)] == [
        "A"
    ] * 12
    assert (
        len(dspy.Parallel(num_threads=2)([(qa, row) for row in TRAINSET[:3]] + [(qa, {"question": "z"})]))
        == 4
    )

    async def main():
        wrapped = dspy.asyncify(qa)
        return [await wrapped(question="x"), *await asyncio.gather(*(qa.acall(question=q) for q in "abc"))]

    assert [pred.answer for pred in asyncio.run(main())] == ["A"] * 4


def test_examples_behave_like_rows():
    row = dspy.Example(question="q", answer="a", meta={"x": [1]}).with_inputs("question")

    assert (row.inputs().toDict(), list(row.labels().keys())) == ({"question": "q"}, ["answer", "meta"])
    assert (row.copy(answer="b").answer, row.answer, "meta" in row.without("meta")) == ("b", "a", False)
    assert dict(**row.inputs()) == {"question": "q"}
    assert [ex.question for ex in TRAINSET[2:4]] == ["q2", "q3"]
    assert json.loads(json.dumps(row.toDict())) == row.toDict()
    with pytest.raises(ValueError, match="with_inputs"):
        dspy.Example(question="q").inputs()
