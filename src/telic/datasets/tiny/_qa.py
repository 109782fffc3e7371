"""Questions about invented facts: one hop, two hops, and what to search for."""

# ruff: noqa: E501 - tables of words and phrasings read better in long lines

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from telic.datasets.tiny import _words as words
from telic.datasets.tiny._classify import held
from telic.datasets.tiny._task import Row, Task, distinct, fields, task_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random


class Relation(NamedTuple):
    """How a fact is told, asked for and searched; `{s}` is the subject, `{o}` the object."""

    subject: str
    object: str
    facts: tuple[str, ...]
    questions: tuple[str, ...]
    noun: str


KINDS: Final = {
    "person": words.PEOPLE, "city": words.CITIES, "company": words.COMPANIES, "country": words.COUNTRIES,
    "animal": words.ANIMALS, "colour": words.COLOURS, "job": words.JOBS, "food": words.FOODS,
    "instrument": words.INSTRUMENTS,
}  # fmt: skip
PROPER: Final = frozenset({"person", "city", "company"})

RELATIONS: Final = (
    Relation("person", "city", ("{s} lives in {o}.", "The home of {s} is {o}."), ("Where does {s} live?", "In which city does {s} live?"), "home"),
    Relation("person", "company", ("{s} works for {o}.", "{o} employs {s}."), ("Which company does {s} work for?", "Who employs {s}?"), "company"),
    Relation("person", "job", ("{s} is a {o}.", "{s} works as a {o}."), ("What is the job of {s}?", "What does {s} work as?"), "job"),
    Relation("person", "animal", ("{s} has a {o}.", "The pet of {s} is a {o}."), ("What pet does {s} have?", "Which animal does {s} have?"), "pet"),
    Relation("person", "colour", ("{s} likes the colour {o}.", "The favourite colour of {s} is {o}."), ("Which colour does {s} like?", "What is the favourite colour of {s}?"), "colour"),
    Relation("person", "food", ("{s} likes to eat {o}.", "The favourite food of {s} is {o}."), ("What does {s} like to eat?", "What is the favourite food of {s}?"), "food"),
    Relation("person", "instrument", ("{s} plays the {o}.", "{s} is learning the {o}."), ("What does {s} play?", "Which instrument does {s} play?"), "instrument"),
    Relation("person", "person", ("{s} is married to {o}.", "The partner of {s} is {o}."), ("Who is {s} married to?", "Who is the partner of {s}?"), "partner"),
    Relation("company", "city", ("{s} is based in {o}.", "The office of {s} is in {o}."), ("Where is {s} based?", "In which city is {s} based?"), "office"),
    Relation("company", "person", ("{s} was founded by {o}.", "The founder of {s} is {o}."), ("Who founded {s}?", "Who is the founder of {s}?"), "founder"),
    Relation("company", "food", ("{s} sells {o}.", "{s} makes {o}."), ("What does {s} sell?", "What does {s} make?"), "product"),
    Relation("city", "country", ("{s} is a city in {o}.", "{s} lies in {o}."), ("In which country is {s}?", "Which country does {s} lie in?"), "country"),
    Relation("city", "person", ("The mayor of {s} is {o}.", "{o} is the mayor of {s}."), ("Who is the mayor of {s}?", "What is the name of the mayor of {s}?"), "mayor"),
)  # fmt: skip

HEADS: Final = (
    "Answer the question.", "Answer the question from the context.", "Read the facts and answer.", "Use the context to answer the question.",
    "Find the answer in the context.", "Answer what is asked.", "Look up the answer.", "Give the answer.",
    "The answer is in the context.", "Answer the question about the facts.",
    "What does the context say?", "Read the context and reply.", "You get facts and a question.", "Use the facts.", "The facts have the answer.", "Answer from what is known.", "Reply to the question.", "Find out what is asked.", "Use only the context.",
)  # fmt: skip
SHORT: Final = (
    "Be brief.", "Answer with one or two words.", "Give a short answer.", "Answer in a few words.", "Only the answer, no sentence.",
    "Keep it short.", "No full sentences.", "Just the name or the word.", "One word is enough.", "Reply with a short phrase.",
    "Short answers only.", "Answer with a name or a word.", "Give only the name.", "Answer briefly.", "Do not write a sentence.", "As short as you can.", "A few words at most.", "Just the fact.", "Use as few words as possible.",
)  # fmt: skip
FULL: Final = (
    "Answer in a full sentence.", "Use a complete sentence.", "Write a whole sentence.", "Reply with a sentence.", "Give the answer as a full sentence.",
    "Answer with a complete sentence.", "The answer is a sentence.", "Make a full sentence of it.", "Write sentences, not single words.", "Say it in a sentence.",
    "The reply is a full sentence.", "Use full sentences.", "Always answer in sentences.", "Reply in a complete sentence.", "A full sentence, please.", "Write it out as a sentence.", "Answer like this: the mayor of Oslo is Anna.", "Do not answer with one word, write a sentence.", "Complete sentences only.",
)  # fmt: skip
SEARCH_HEADS: Final = (
    "Write a search query.", "What should be looked up next?", "Give the query for the next fact.", "Write a query that finds what is missing.",
    "Say what to search for.", "Produce a query for the search engine.", "Name the missing fact.", "Search for what is not yet known.",
)  # fmt: skip


def entity_of(rng: Random, kind: str, held_out: bool, taken: Sequence[str]) -> str:
    if kind in PROPER:
        while True:
            name = words.proper(rng, KINDS[kind], held_out)
            if name not in taken:
                return name
    return words.word(rng, KINDS[kind], held_out)


def _facts(rng: Random, held_out: bool, chain: Sequence[Relation], count: int) -> tuple[list[str], list[str]]:
    """Return the names along `chain`, and the told facts: those of the chain and distractors, shuffled."""
    taken: list[str] = []

    def entity(kind: str) -> str:
        name = entity_of(rng, kind, held_out, taken)
        taken.append(name)
        return name

    names = [entity(chain[0].subject)]
    facts: list[str] = []
    for relation in chain:
        names.append(entity(relation.object))
        facts.append(rng.choice(relation.facts).format(s=names[-2], o=names[-1]))
    while len(facts) < count:
        style = rng.random()
        if style < 0.5:  # the same relation of another subject
            relation = rng.choice(chain)
            subject = entity(relation.subject)
        elif style < 0.7:  # another relation of the same subject
            at = rng.randrange(len(chain))
            relation = rng.choice([r for r in RELATIONS if r.subject == chain[at].subject and r not in chain])
            subject = names[at]
        else:
            relation = rng.choice(RELATIONS)
            subject = entity(relation.subject)
        facts.append(rng.choice(relation.facts).format(s=subject, o=entity(relation.object)))
    rng.shuffle(facts)
    return names, facts


def _context(rng: Random, facts: Sequence[str], layout: int) -> str:
    if layout == 0:
        return " ".join(facts)
    if layout == 1:
        return "\n".join(facts)
    return "\n".join(f"[{i}] {fact}" for i, fact in enumerate(facts, 1))


def question_answering(
    rng: Random, held_out: bool, *, style: str | None = None, told: bool | None = None, hops: int | None = None,
    count: int | None = None, reasoning: bool | None = None,
) -> Task:  # fmt: skip
    """Return a question-answering task.

    Args:
        rng: Where chance comes from.
        held_out: Draw names and phrasings that training never uses.
        style: Answers are "short" or "full" (a sentence); None: short in six tasks of ten.
        told: Whether the instructions tell the style; None: in half of the tasks.
        hops: Facts that an answer needs, 1 or 2; None: mostly 1.
        count: Facts in a context; None: 1 to 6.
        reasoning: Whether a `reasoning` field comes first; None: in one task of four (two hops: in half).
    """
    told = rng.random() < 0.55 if told is None else told
    style = ("full" if rng.random() < 0.4 else "short") if style is None else style
    hops = (2 if rng.random() < 0.25 else 1) if hops is None else hops
    think = rng.random() < (0.5 if hops == 2 else 0.15) if reasoning is None else reasoning
    context = rng.choice(words.CONTEXT_FIELDS)
    question = rng.choice(words.QUESTION_FIELDS)
    answer = distinct(rng, words.ANSWER_FIELDS, (context, question))
    names = ("reasoning", answer) if think else (answer,)
    swapped = rng.random() < 0.2
    order = (question, context) if swapped else (context, question)
    inputs = fields(
        rng,
        order,
        [("may contain relevant facts", "what is known"), ("what is asked",)][:: -1 if swapped else 1],
    )
    style_desc = (
        ("often between 1 and 5 words", "a short phrase") if style == "short" else ("a full sentence",)
    )
    outputs = fields(rng, names, [()] * (len(names) - 1) + [style_desc if told else ()])
    head = rng.choice(held(HEADS, held_out))
    if told:
        tail = rng.choice(held(SHORT if style == "short" else FULL, held_out))
        instructions = rng.choice((f"{head} {tail}", f"{head} {tail}", tail, f"{head}\n{tail}"))
    else:
        instructions = rng.choice((head, None))
    layout = rng.randrange(3)
    size = rng.choice((1, 2, 2, 3, 3, 4, 6)) if count is None else count
    chains = chains_of(hops)

    def draw(rng: Random) -> Row:
        chain = rng.choice(chains)
        known, facts = _facts(rng, held_out, chain, max(size, hops))
        values: dict[str, str] = {}
        if hops == 2:
            first, second = chain
            asked = rng.choice(second.questions).format(s=f"the {first.noun} of {known[0]}")
            sentence = f"The {second.noun} of the {first.noun} of {known[0]} is {known[2]}."
            thought = f"The {first.noun} of {known[0]} is {known[1]}. The {second.noun} of {known[1]} is {known[2]}."
        else:
            asked = rng.choice(held_pair(chain[0].questions, held_out)).format(s=known[0])
            sentence = chain[0].facts[1].format(s=known[0], o=known[1])
            thought = f"The {chain[0].noun} of {known[0]} is {known[1]}."
        if think:
            values["reasoning"] = thought
        values[answer] = sentence if style == "full" else known[-1]
        return Row({context: _context(rng, facts, layout), question: asked}, values)

    return task_of(f"qa{hops}/{style}/{'told' if told else 'silent'}", inputs, outputs, instructions, draw)


def held_pair(questions: Sequence[str], held_out: bool) -> Sequence[str]:
    """Return the phrasings of a question; evaluation uses all of them, as training does."""
    return questions


def chains_of(hops: int) -> list[tuple[Relation, ...]]:
    if hops == 1:
        return [(r,) for r in RELATIONS]
    return [
        (a, b) for a in RELATIONS for b in RELATIONS
        if a.object == b.subject and a.object in PROPER and not (a.subject == "person" == a.object == b.object)
    ]  # fmt: skip


def searching(rng: Random, held_out: bool, *, with_context: bool | None = None) -> Task:
    """Return a task whose output is the next search of a two-hop question: the subject and what is wanted of it.

    Args:
        rng: Where chance comes from.
        held_out: Draw names and phrasings that training never uses.
        with_context: Whether the first fact was found; None: in six tasks of ten, and then not in every row.
    """
    context = rng.choice(words.CONTEXT_FIELDS)
    question = rng.choice(("question", "problem", "request"))
    output = rng.choice(words.SEARCH_FIELDS)
    told = with_context is not None
    with_context = rng.random() < 0.6 if with_context is None else with_context
    names = (context, question) if with_context else (question,)
    inputs = fields(rng, names, [("what was found so far",), ("what is asked",)][-len(names) :])
    outputs = fields(rng, (output,), [("for a search engine",)])
    head = rng.choice(held(SEARCH_HEADS, held_out))
    instructions = rng.choice((head, head, None))
    chains = chains_of(2)

    def draw(rng: Random) -> Row:
        first, second = rng.choice(chains)
        known, facts = _facts(rng, held_out, (first,), rng.choice((1, 1, 2, 3)))
        asked = rng.choice(second.questions).format(s=f"the {first.noun} of {known[0]}")
        if not with_context:
            return Row({question: asked}, {output: f"{first.noun} of {known[0]}"})
        if not told and rng.random() < 0.3:
            return Row({context: "Nothing yet.", question: asked}, {output: f"{first.noun} of {known[0]}"})
        return Row({context: " ".join(facts), question: asked}, {output: f"{second.noun} of {known[1]}"})

    return task_of("search", inputs, outputs, instructions, draw)
