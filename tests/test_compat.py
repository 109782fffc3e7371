"""Programs as people write them for DSPy, unchanged: under `import telic as dspy`, and under `import dspy` itself."""

from __future__ import annotations

import asyncio
import importlib
import json
import subprocess
import sys
import textwrap
from typing import Literal

import pytest

import telic
import telic as dspy
from telic.compat._table import OLD_NAMES, PATHS
from telic.testing import DummyLM, FunctionLM

FACTS = {
    "Where was Ada born?": ["Ada was born in London.", "Charles liked trains."],
    "What river flows through London?": ["The Thames flows through London."],
}


def retriever(query, *, k=3, **kwargs):
    return [passage for key, passages in FACTS.items() if query in key for passage in passages][:k]


# Programs


class GenerateAnswer(dspy.Signature):
    """Answer questions with short factoid answers."""

    context = dspy.InputField(desc="may contain relevant facts")
    question = dspy.InputField()
    answer = dspy.OutputField(desc="often between 1 and 5 words")


class RAG(dspy.Module):
    def __init__(self, num_passages=3):
        super().__init__()
        self.num_passages = num_passages
        self.generate_answer = dspy.ChainOfThought(GenerateAnswer)

    def forward(self, question):
        context = dspy.settings.rm(question, k=self.num_passages)
        prediction = self.generate_answer(context=context, question=question)
        return dspy.Prediction(context=context, answer=prediction.answer)


class GenerateSearchQuery(dspy.Signature):
    """Write a simple search query that will help answer a complex question."""

    context = dspy.InputField(desc="may contain relevant facts")
    question = dspy.InputField()
    query = dspy.OutputField()


class SimplifiedBaleen(dspy.Module):
    def __init__(self, passages_per_hop=3, max_hops=2):
        super().__init__()
        self.generate_query = [dspy.ChainOfThought(GenerateSearchQuery) for _ in range(max_hops)]
        self.generate_answer = dspy.ChainOfThought(GenerateAnswer)
        self.passages_per_hop = passages_per_hop
        self.max_hops = max_hops

    def forward(self, question):
        context = []
        for hop in range(self.max_hops):
            query = self.generate_query[hop](context=context, question=question).query
            if not query or query.lower() == "none":
                break
            for passage in dspy.settings.rm(query, k=self.passages_per_hop):
                if passage not in context:
                    context.append(passage)
        prediction = self.generate_answer(context=context, question=question)
        return dspy.Prediction(context=context, answer=prediction.answer)


def answer_for(request):
    """An LM that reads what it is asked, as far as these tests need it."""
    text = request.messages[-1]["content"]
    if "`[[ ## query ## ]]`" in text:
        query = "What river flows through London?" if "Ada was born" in text else "Where was Ada born?"
        return {"reasoning": "step by step", "query": query}
    answer = "Thames" if "The Thames" in text else "London" if "born in London" in text else "I do not know"
    return {"reasoning": "step by step", "answer": answer}


@pytest.fixture
def lm():
    lm = FunctionLM(answer_for)
    dspy.settings.configure(lm=lm, rm=retriever)
    return lm


TRAINSET = [
    dspy.Example(question="Where was Ada born?", answer="London").with_inputs("question"),
    dspy.Example(question="What river flows through London?", answer="Thames").with_inputs("question"),
    dspy.Example(question="Who knows?", answer="Nobody").with_inputs("question"),
]


def validate_context_and_answer(example, pred, trace=None):
    answer_EM = dspy.evaluate.answer_exact_match(example, pred)
    answer_PM = dspy.evaluate.answer_passage_match(example, pred)
    return answer_EM and answer_PM


def test_retrieval_augmented_generation_runs(lm):
    prediction = RAG()("Where was Ada born?")

    assert prediction.answer == "London"
    assert prediction.context == ["Ada was born in London.", "Charles liked trains."]


def test_rag_compiles_with_bootstrap_few_shot(lm):
    from telic.teleprompt import BootstrapFewShot

    rag = RAG()
    compiled = BootstrapFewShot(metric=validate_context_and_answer).compile(rag, trainset=TRAINSET)

    demos = compiled.generate_answer.predict.demos
    assert sum("augmented" in demo and demo.augmented for demo in demos) == 2
    assert rag.generate_answer.predict.demos == []
    assert compiled("Where was Ada born?").answer == "London"


def test_the_multi_hop_loop_runs_and_compiles(lm):
    baleen = SimplifiedBaleen()
    question = "What river flows through the birthplace of Ada?"

    prediction = baleen(question=question)

    assert prediction.answer == "Thames"
    assert len(prediction.context) == 3
    assert [name for name, _ in baleen.named_predictors()] == [
        "generate_query[0].predict",
        "generate_query[1].predict",
        "generate_answer.predict",
    ]
    trainset = [dspy.Example(question=question, answer="Thames").with_inputs("question")]
    compiled = dspy.BootstrapFewShot(metric=validate_context_and_answer, max_labeled_demos=0).compile(
        SimplifiedBaleen(), teacher=SimplifiedBaleen(passages_per_hop=2), trainset=trainset
    )
    assert [len(predictor.demos) for predictor in compiled.predictors()] == [1, 1, 1]


def test_a_conditional_chooses_the_path():
    class Router(dspy.Module):
        def __init__(self):
            self.classify = dspy.Predict("text -> kind: Literal['question', 'statement']")
            self.answer = dspy.ChainOfThought("question -> answer")
            self.echo = dspy.Predict("statement -> reply")

        def forward(self, text):
            if self.classify(text=text).kind == "question":
                return self.answer(question=text)
            return self.echo(statement=text)

    lm = DummyLM(
        [
            {"kind": "statement"},
            {"reply": "so it is"},
            {"kind": "question"},
            {"reasoning": "r", "answer": "42"},
        ]
    )
    with dspy.context(lm=lm):
        assert Router()(text="It rains.").reply == "so it is"
        assert Router()(text="Why?").answer == "42"


def test_class_signatures_with_types_and_docstrings():
    class Emotion(dspy.Signature):
        """Classify emotion."""

        sentence: str = dspy.InputField()
        sentiment: Literal["sadness", "joy"] = dspy.OutputField()
        confidence: float = dspy.OutputField()

    classify = dspy.Predict(Emotion)
    with dspy.context(lm=DummyLM([{"sentiment": "joy", "confidence": 0.9}])):
        prediction = classify(sentence="what a day")

    assert (prediction.sentiment, prediction.confidence) == ("joy", 0.9)
    assert Emotion.instructions == "Classify emotion."
    assert list(Emotion.with_instructions("Say.").output_fields) == ["sentiment", "confidence"]


def test_evaluate_prints_a_percentage_as_everybody_reads_it(lm):
    from telic.evaluate import Evaluate

    evaluate = Evaluate(
        devset=TRAINSET[:2], metric=validate_context_and_answer, num_threads=2, display_progress=False
    )

    result = evaluate(RAG())

    assert float(result) == result.score == 100.0
    assert [score for _, _, score in result.results] == [1.0, 1.0]


def test_random_search_takes_the_names_that_are_passed_today(lm):
    optimizer = telic.teleprompt.BootstrapFewShotWithRandomSearch(
        metric=validate_context_and_answer,
        max_bootstrapped_demos=2,
        max_labeled_demos=1,
        num_candidate_programs=2,
        num_threads=2,
    )

    compiled = optimizer.compile(RAG(), trainset=TRAINSET, valset=TRAINSET)

    assert compiled.candidate_programs[0]["score"] >= compiled.candidate_programs[-1]["score"]


def test_programs_are_saved_and_loaded(lm, tmp_path):
    compiled = dspy.LabeledFewShot(k=2).compile(RAG(), trainset=TRAINSET)
    compiled.save(str(tmp_path / "rag.json"))

    loaded = RAG()
    loaded.load(str(tmp_path / "rag.json"))

    assert [demo.toDict() for demo in loaded.generate_answer.predict.demos] == [
        demo.toDict() for demo in compiled.generate_answer.predict.demos
    ]


def test_a_program_saved_by_dspy_loads(tmp_path):
    state = {
        "generate_answer.predict": {
            "traces": [],
            "train": [],
            "demos": [
                {"augmented": True, "question": "q", "context": ["c"], "reasoning": "r", "answer": "a"}
            ],
            "signature": {
                "instructions": "Answer well.",
                "fields": [
                    {"prefix": "Context:", "description": "facts"},
                    {"prefix": "Question:", "description": "${question}"},
                    {
                        "prefix": "Reasoning: Let's think step by step in order to",
                        "description": "${reasoning}",
                    },
                    {"prefix": "Answer:", "description": "short"},
                ],
            },
            "lm": None,
        },
        "metadata": {"dependency_versions": {"python": "3.11", "dspy": "3.0.4", "cloudpickle": "3.1"}},
    }
    path = tmp_path / "program.json"
    path.write_text(json.dumps(state), encoding="utf-8")

    rag = RAG()
    rag.load(path)

    assert rag.generate_answer.predict.signature.instructions == "Answer well."
    assert rag.generate_answer.predict.demos[0]["answer"] == "a"


def test_async_programs_run(lm):
    assert asyncio.run(RAG().acall(question="Where was Ada born?")).answer == "London"


def test_lms_are_called_directly_and_history_is_inspected(lm, capsys):
    assert "[[ ## answer ## ]]" in lm("Where was Ada born?")[0]

    dspy.inspect_history(n=1)

    assert "Where was Ada born?" in capsys.readouterr().out


# Paths


@pytest.mark.parametrize("path", sorted(PATHS))
def test_every_old_path_offers_its_names(path):
    module = importlib.import_module(f"telic.{path}")

    for name in PATHS[path]:
        assert getattr(module, name) is not None


def test_every_old_name_resolves():
    for name, (module, inner) in OLD_NAMES.items():
        assert hasattr(importlib.import_module(module), inner), name


def test_a_path_that_dspy_does_not_have_is_not_found():
    with pytest.raises(ModuleNotFoundError, match="telic.teleprompt.nothing"):
        importlib.import_module("telic.teleprompt.nothing")
    with pytest.raises(ModuleNotFoundError, match="No module named 'telic.nothing'"):
        importlib.import_module("telic.nothing")


def test_a_name_that_a_path_lacks_is_told_with_what_it_has():
    with pytest.raises(AttributeError, match="no 'BootstrapFewshot'; did you mean 'BootstrapFewShot'"):
        _ = telic.teleprompt.BootstrapFewshot
    with pytest.raises(ImportError):
        exec("from telic.teleprompt import AvatarOptimizer", {})


def run_script(tmp_path, code, *arguments, module=("-m", "telic.compat")):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(code), encoding="utf-8")
    command = [sys.executable, "-W", "error", *module, str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_script_that_imports_dspy_runs_untouched(tmp_path):
    (tmp_path / "beside.py").write_text("WORD = 'neighbour'\n", encoding="utf-8")
    output = run_script(
        tmp_path,
        """
        import sys
        import dspy
        import dspy.teleprompt.bootstrap
        from dspy.evaluate import Evaluate
        from dspy.evaluate.metrics import answer_exact_match
        from dspy.primitives.example import Example
        from dspy.teleprompt import BootstrapFewShot
        from dspy.utils.dummies import DummyLM
        from dspy.dsp.utils.settings import settings
        from beside import WORD

        lm = DummyLM([{"answer": "4"}] * 9)
        dspy.configure(lm=lm)
        assert settings.lm is lm and dspy.settings.lm is lm
        assert Example is dspy.Example and isinstance(dspy.Prediction(a=1), Example)
        assert dspy.teleprompt.bootstrap.BootstrapFewShot is BootstrapFewShot is dspy.BootstrapFewShot
        rows = [Example(question=q, answer="4").with_inputs("question") for q in ("2+2", "1+3")]
        program = BootstrapFewShot(metric=answer_exact_match).compile(dspy.Predict("question -> answer"), trainset=rows)
        print(Evaluate(devset=rows, metric=answer_exact_match)(program).score, len(program.demos), WORD, sys.argv[1:])
        try:
            dspy.LM("nope")
        except dspy.DSPyError as error:
            print(type(error).__name__)
        """,
        "an argument",
    )

    assert output.splitlines() == ["100.0 2 neighbour ['an argument']", "UnknownProviderError"]


def test_dspy_modules_are_the_same_objects(tmp_path):
    output = run_script(
        tmp_path,
        """
        import telic, telic.compat
        telic.compat.install()
        telic.compat.install()
        import dspy, dspy.evaluate, dspy.adapters.chat_adapter
        import importlib.util
        print(dspy.evaluate is telic.evaluate, dspy.adapters is telic.adapters, telic.evaluate.__spec__.name)
        print(dspy.adapters.chat_adapter.ChatAdapter is telic.ChatAdapter, "BootstrapRS" in dir(dspy))
        print(importlib.util.find_spec("dspy.nothing"), hasattr(dspy, "nothing"), hasattr(dspy, "AvatarOptimizer"))
        """,
        module=(),
    )

    assert output.splitlines() == ["True True telic.evaluate", "True True", "None False False"]


def test_a_cache_of_ones_own_is_refused_where_it_would_be_ignored(tmp_path):
    output = run_script(
        tmp_path,
        """
        import telic.compat
        telic.compat.install()
        import dspy
        dspy.something = 3
        try:
            dspy.cache = object()
        except dspy.ConfigurationError as error:
            print(dspy.something, error)
        """,
        module=(),
    )

    assert output.startswith("3 dspy.cache is read only here")


def test_the_real_dspy_is_never_overlaid(tmp_path):
    (tmp_path / "dspy.py").write_text("", encoding="utf-8")
    output = run_script(
        tmp_path,
        """
        import dspy, telic.compat
        try:
            telic.compat.install()
        except telic.ConfigurationError as error:
            print(error)
        """,
        module=(),
    )

    assert "already imported from" in output


def test_the_runner_says_how_it_is_used(tmp_path):
    done = subprocess.run([sys.executable, "-m", "telic.compat"], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "usage: python -m telic.compat SCRIPT" in done.stderr
