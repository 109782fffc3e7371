"""Steps of agents: what ReAct asks an LM, with a search tool and a calculator.

The prompts are those of real `ReAct` modules, and trajectories are written by their own code. What to call next follows
from the tools' descriptions and the trajectory: a calculator of one operation at a time is called once a step, another
one with the whole expression; a call that failed is made again, mended.
"""

from __future__ import annotations

import inspect
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from cells import Cell

from telic.datasets.tiny import _words as words
from telic.datasets.tiny._agent_world import AgentWorld
from telic.datasets.tiny._arithmetic import story_of, sum_of
from telic.datasets.tiny._classify import held
from telic.datasets.tiny._qa import FULL, HEADS, RELATIONS, SHORT, chains_of, entity_of
from telic.datasets.tiny._task import Row, Task, distinct, fields, task_of
from telic.modules import ReAct
from telic.modules._react_record import Record
from telic.modules._react_tools import Asked, observe
from telic.types import Tool

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

SEARCH_NAMES = (
    "search",
    "lookup",
    "find",
    "retrieve",
    "search_facts",
    "find_facts",
    "wiki",
    "look_up",
    "get_facts",
    "query_facts",
    "search",
    "search_notes",
    "know",
    "ask",
    "fetch",
)
SEARCH_ARGS = (
    "query",
    "text",
    "query",
    "topic",
    "request",
    "question",
    "what",
    "keywords",
    "search",
    "about",
)
SEARCH_DESCS = (
    "Search for facts.", "Find facts about a query.", "Look up a fact.", "Search the notes.", "Return facts that fit the query.", "Find passages.",
    "Look for what is known.", "Search engine.", "", "Get the facts about someone or something.", "Find what is written about it.", "Returns the best passages.",
    "Look something up.", "Tells where people live, what companies sell and more.", "Search people, cities and companies.", "Knows facts.", "Query the facts.",
    "Find information.", "Search a collection of facts.", "Look in the book of facts.",
)  # fmt: skip
SUM_NAMES = (
    "calculator",
    "calculate",
    "compute",
    "calc",
    "math",
    "evaluate",
    "count",
    "solve",
    "arithmetic",
    "sum_up",
)
SUM_ARGS = ("expression", "formula", "expression", "problem", "text", "sum", "input", "what")
WHOLE_DESCS = (
    "Compute an expression.", "Calculate the value of an expression.", "Works out sums.", "Adds and subtracts numbers.", "", "Evaluate arithmetic.", "A calculator.",
    "Compute with numbers.", "Give it an expression, it gives the number.", "Returns the result of an expression.", "Does arithmetic.", "Work out a formula.",
    "Solve an expression.", "Calculator for whole expressions.", "Counts for you.",
)  # fmt: skip
SINGLE_DESCS = (
    "Add or subtract two numbers.", "Does one operation at a time.", "Compute with two numbers.", "One step only: two numbers.", "Takes two numbers and a sign.",
    "Adds two numbers or subtracts one from another.", "For two numbers only.", "Calculator for one operation.", "Only one sign in a call.", "A sum of two numbers.",
)  # fmt: skip
OTHER_TOOLS = (
    ("weather", "city", "Tell the weather in a city."), ("translate", "text", "Translate a text."), ("get_time", "city", "Tell the time in a city."),
    ("send_mail", "message", "Send a message."), ("play", "song", "Play a song."), ("draw", "what", "Draw a picture."), ("open_door", "room", "Open a door."),
    ("buy", "thing", "Buy a thing."), ("call", "person", "Call a person."), ("book_hotel", "city", "Find a room in a hotel."),
)  # fmt: skip
BARE = (
    "{e}",
    "What is {e}?",
    "Compute {e}.",
    "How much is {e}?",
    "Work out {e}.",
    "{e} = ?",
    "What does {e} give?",
    "Calculate {e}.",
)
TOGETHER = ("How many {t} do {a} and {b} have together?", "How many {t} do {a} and {b} have in all?")
OWNS = ("{s} has {n} {t}.", "{s} owns {n} {t}.")
FAILURES = (
    TimeoutError("timed out"), ConnectionError("no connection"), RuntimeError("try again"), OSError("not ready"), TimeoutError("too slow"), RuntimeError("busy"),
)  # fmt: skip
MAX_STEPS = 5


class Tools(NamedTuple):
    """The tools of a task; `single`: the calculator does one operation at a time."""

    search: tuple[str, str] | None  # name, argument
    sums: tuple[str, str] | None
    single: bool
    listed: bool  # search returns a list of passages, or one text
    agent: Any


class Step(NamedTuple):
    thought: str
    name: str
    args: dict[str, Any]
    observation: Any
    wrong: bool = False  # a call that nobody should learn


class Case(NamedTuple):
    """A question, the steps to its answer, the reasoning of `extract`, and the answer (short, sentence)."""

    question: str
    steps: list[Step]
    reasoning: str
    answer: str
    sentence: str


@lru_cache(maxsize=256)
def function(argument: str) -> Any:
    """Return a function with one argument of that name, so that the real checks of arguments speak."""

    def tool(**arguments: Any) -> Any:
        raise NotImplementedError

    parameter = inspect.Parameter(argument, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=str)
    tool.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
    tool.__annotations__ = {argument: str}
    tool.__doc__ = ""
    return tool


def tools_of(rng: Random, held_out: bool, signature: Any, kinds: str) -> Tools:
    made: list[Tool] = []
    search = sums = None
    single = False
    if "s" in kinds:
        search = (rng.choice(held(SEARCH_NAMES, held_out)), rng.choice(SEARCH_ARGS))
        made.append(Tool(function(search[1]), name=search[0], desc=rng.choice(held(SEARCH_DESCS, held_out))))
    if "c" in kinds:
        single = rng.random() < 0.4
        sums = (rng.choice(held(SUM_NAMES, held_out)), rng.choice(SUM_ARGS))
        desc = rng.choice(held(SINGLE_DESCS if single else WHOLE_DESCS, held_out))
        made.append(Tool(function(sums[1]), name=sums[0], desc=desc))
    if rng.random() < 0.25:
        name, argument, desc = rng.choice(OTHER_TOOLS)
        made.append(Tool(function(argument), name=name, desc=desc))
    rng.shuffle(made)
    return Tools(search, sums, single, rng.random() < 0.6, ReAct(signature, made))


class _Setting(NamedTuple):
    question: str
    answer: str
    style: str
    tools: Tools


def _setting(rng: Random, held_out: bool, kinds: str | None, style: str | None) -> _Setting:
    question = rng.choice(words.QUESTION_FIELDS)
    answer = distinct(rng, words.ANSWER_FIELDS, (question,))
    kinds = rng.choice(("s", "sc", "sc", "c")) if kinds is None else kinds
    style = ("full" if rng.random() < 0.12 else "short") if style is None else style
    head = rng.choice(held(HEADS[:1] + HEADS[3:8], held_out) or HEADS[:1])
    if style == "full":
        instructions = f"{head} {rng.choice(held(FULL, held_out))}"
    elif rng.random() < 0.2:
        instructions = f"{head} {rng.choice(held(SHORT, held_out))}"
    else:
        instructions = rng.choice((head, None, None))
    inputs = fields(rng, (question,), [("what is asked",)])
    outputs = fields(rng, (answer,), [()])
    signature = task_of("", inputs, outputs, instructions, lambda rng: Row({}, {})).signature
    return _Setting(question, answer, style, tools_of(rng, held_out, signature, kinds))


def react_step(rng: Random, held_out: bool, *, kinds: str | None = None) -> Task:
    """Return a task whose rows are single steps of ReAct: the trajectory so far, and the next call.

    Args:
        rng: Where chance comes from.
        held_out: Draw names and phrasings that training never uses.
        kinds: Which tools there are: "s" search, "c" calculator, "sc" both; None: any.
    """
    made = _setting(rng, held_out, kinds, None)
    agent = made.tools.agent

    def draw(rng: Random) -> Row:
        case = case_of(rng, held_out, made.tools)
        at = rng.choice([i for i, step in enumerate(case.steps) if not step.wrong])
        step = case.steps[at]
        inputs = {made.question: case.question, "trajectory": written(agent, case.steps[:at])}
        return Row(
            inputs, {"next_thought": step.thought, "next_tool_name": step.name, "next_tool_args": step.args}
        )

    return Task("react/step", agent.react.signature, draw)


def react_extract(rng: Random, held_out: bool, *, style: str | None = None) -> Task:
    """Return a task whose rows are the last call of ReAct: the answer, from the question and the trajectory.

    Args:
        rng: Where chance comes from.
        held_out: Draw names and phrasings that training never uses.
        style: Answers are "short" or "full" (a sentence, told by the instructions); None: mostly short.
    """
    made = _setting(rng, held_out, None, style)
    agent = made.tools.agent

    def draw(rng: Random) -> Row:
        case = case_of(rng, held_out, made.tools)
        steps = case.steps if rng.random() < 0.9 else case.steps[:-1]
        inputs = {made.question: case.question, "trajectory": written(agent, steps)}
        answer = case.sentence if made.style == "full" else case.answer
        return Row(inputs, {"reasoning": case.reasoning, made.answer: answer})

    return Task("react/extract", agent.extract.predict.signature, draw)


def written(agent: Any, steps: Sequence[Step]) -> str:
    """Return the trajectory as the agent's own code writes it."""
    record = Record(agent)
    for step in steps:
        record.add(step.thought, step.name, step.args, step.observation)
    text: str = agent.format_trajectory(record.shown)
    return text


def case_of(rng: Random, held_out: bool, tools: Tools) -> Case:
    if tools.search and tools.sums:
        kind = rng.choices(("facts", "sums", "together"), (0.5, 0.35, 0.15))[0]
    else:
        kind = "facts" if tools.search else "sums"
    made = {"facts": _fact_case, "sums": _sum_case, "together": _together_case}[kind](rng, held_out, tools)
    if len(made.steps) < MAX_STEPS and rng.random() < 0.15:
        made = made._replace(steps=_with_failure(rng, tools, made.steps))
    return made


def _finish(known: str) -> Step:
    return Step(f"{known} That is all.", "finish", {}, "Completed.")


def _fact_case(rng: Random, held_out: bool, tools: Tools) -> Case:
    assert tools.search
    name, argument = tools.search
    chain = rng.choice(chains_of(rng.choice((1, 2, 2))))
    known = [entity_of(rng, chain[0].subject, held_out, ())]
    steps: list[Step] = []
    said: list[str] = []
    for relation in chain:
        known.append(entity_of(rng, relation.object, held_out, known))
        fact = rng.choice(relation.facts).format(s=known[-2], o=known[-1])
        wanted = f"{relation.noun} of {known[-2]}"
        found = _found(rng, held_out, relation, known, fact, tools.listed)
        steps.append(
            Step(f"{said[-1] + ' ' if said else ''}I need the {wanted}.", name, {argument: wanted}, found)
        )
        said.append(f"The {wanted} is {known[-1]}.")
    if len(chain) == 2:
        subject = f"the {chain[0].noun} of {known[0]}"
        sentence = f"The {chain[1].noun} of {subject} is {known[2]}."
    else:
        subject, sentence = known[0], chain[0].facts[1].format(s=known[0], o=known[1])
    question = rng.choice(chain[-1].questions).format(s=subject)
    return Case(question, [*steps, _finish(said[-1])], " ".join(said), known[-1], sentence)


def _found(rng: Random, held_out: bool, relation: Any, known: list[str], fact: str, listed: bool) -> Any:
    """Return what a search found: the fact, alone or among others."""
    facts = [fact]
    for _ in range(rng.choice((0, 1, 2, 2)) if listed else rng.choice((0, 0, 0, 1))):
        if rng.random() < 0.5:  # the same relation of another subject
            other, subject = relation, entity_of(rng, relation.subject, held_out, known)
        else:
            other = rng.choice([r for r in RELATIONS if r.subject == relation.subject and r is not relation])
            subject = known[-2]
        facts.append(
            rng.choice(other.facts).format(s=subject, o=entity_of(rng, other.object, held_out, known))
        )
    rng.shuffle(facts)
    return facts if listed else " ".join(facts)


def _sum_case(rng: Random, held_out: bool, tools: Tools) -> Case:
    assert tools.sums
    name, argument = tools.sums
    numbers, signs, totals = sum_of(rng, rng.choice((1, 2, 2, 3)), rng.choice((20, 20, 60)))
    thing = rng.choice(words.OBJECTS)
    whole = str(numbers[0]) + "".join(f" {s} {n}" for s, n in zip(signs, numbers[1:], strict=True))
    bare = rng.random() < 0.4
    question = rng.choice(BARE).format(e=whole) if bare else story_of(rng, held_out, numbers, signs, thing)
    parts = (
        [f"{a} {s} {n}" for a, s, n in zip(totals, signs, numbers[1:], strict=False)]
        if tools.single
        else [whole]
    )
    results = totals[1:] if tools.single else totals[-1:]
    steps: list[Step] = []
    said: list[str] = []
    for part, result in zip(parts, results, strict=True):
        steps.append(Step(f"{said[-1] + ' ' if said else ''}I need {part}.", name, {argument: part}, result))
        said.append(f"{part} = {result}.")
    answer = str(totals[-1])
    sentence = f"The answer is {answer}." if bare else f"There are {answer} {thing}."
    return Case(question, [*steps, _finish(said[-1])], " ".join(said), answer, sentence)


def _together_case(rng: Random, held_out: bool, tools: Tools) -> Case:
    assert tools.search
    assert tools.sums
    (look, argument), (name, expression) = tools.search, tools.sums
    a, b = words.person(rng, held_out), words.person(rng, held_out)
    thing = rng.choice(words.OBJECTS)
    m, n = rng.randint(1, 20), rng.randint(1, 20)
    found = [rng.choice(OWNS).format(s=s, n=k, t=thing) for s, k in ((a, m), (b, n))]
    seen = [[f] if tools.listed else f for f in found]
    whole = f"{m} + {n}"
    known = [f"{a} has {m} {thing}.", f"{b} has {n} {thing}."]
    steps = [
        Step(f"I need the {thing} of {a}.", look, {argument: f"{thing} of {a}"}, seen[0]),
        Step(f"{known[0]} I need the {thing} of {b}.", look, {argument: f"{thing} of {b}"}, seen[1]),
        Step(f"{known[1]} I need {whole}.", name, {expression: whole}, m + n),
        _finish(f"{whole} = {m + n}."),
    ]
    question = rng.choice(TOGETHER).format(t=thing, a=a, b=b)
    reasoning = f"{' '.join(known)} {whole} = {m + n}."
    return Case(question, steps, reasoning, str(m + n), f"There are {m + n} {thing}.")


def _with_failure(rng: Random, tools: Tools, steps: list[Step]) -> list[Step]:
    """Return the steps with one that failed before its right form, the observation being the agent's own words."""
    at = rng.randrange(len(steps) - 1)
    step = steps[at]
    kind = rng.random()
    name, args = step.name, step.args
    if kind < 0.35:
        wrong = rng.choice([n for n in (*SEARCH_NAMES, *SUM_NAMES) if n not in tools.agent.tools])
        name = wrong if rng.random() < 0.5 else name + "s"
    elif kind < 0.65:
        args = {distinct(rng, (*SEARCH_ARGS, *SUM_ARGS), tuple(args)): next(iter(args.values()))}
    else:
        error = rng.choice(FAILURES)
        observation = f"Error: {name} failed with {type(error).__name__}: {error}"
        return [*steps[:at], step._replace(observation=observation), *steps[at:]]
    return [
        *steps[:at],
        Step(step.thought, name, args, observed_error(tools.agent, name, args), True),
        *steps[at:],
    ]


def observed_error(agent: Any, name: str, args: dict[str, Any]) -> str:
    """Return what the agent observes of a call that it refuses, in its own words."""
    try:
        next(observe(agent.tools, [Asked(name, args)], None))
    except StopIteration as done:
        text: str = done.value[0]
        return text
    raise AssertionError(f"{name}({args}) is a good call")


def _episode(kind: str, lm: Any, rng: Random, held_out: bool) -> bool:
    """Run a real ReAct on one question; return whether the answer is right."""
    world = AgentWorld(rng, held_out)
    asked, right = world.question(kind)
    agent = ReAct("question -> answer", [world.search, world.calculator], max_iters=6)
    agent.set_lm(lm)
    return str(agent(question=asked).answer).strip() == right


CELLS = {
    "agent, next step": Cell(
        react_step,
        judge=lambda row, given: all(
            given.get(k) == v for k, v in row.outputs.items() if k != "next_thought"
        ),
        demos=(0, 1, 2),
    ),
    "agent, answer from steps": Cell(react_extract, demos=(0, 1, 2)),
    **{
        f"agent, {kind}, question to answer": Cell(None, demos=(0,), run=partial(_episode, kind))
        for kind in ("1 hop", "2 hops", "sums")
    },
}
