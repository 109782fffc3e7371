"""An agent with two tools: which to ask for what is learned from trajectories that came out right.

Run it: python examples/agent.py (offline: the LM is a function; name a real one in `main(lm=…)`)
"""

import telic
from telic.data import Completion, Request
from telic.protocols import Capabilities
from telic.testing import FunctionLM

STOCK = {"lamp": 12, "chair": 3}
PRICES = {"lamp": 40.0, "chair": 85.5}


def warehouse(article: str) -> int:
    """Ask the warehouse about an article."""
    return STOCK[article]


def office(article: str) -> float:
    """Ask the office about an article."""
    return PRICES[article]


ROWS = [
    telic.Example(question=f"How many {article}s are there?", answer=str(STOCK[article])).with_inputs(
        "question"
    )
    for article in STOCK
] + [
    telic.Example(question=f"What does a {article} cost?", answer=str(PRICES[article])).with_inputs(
        "question"
    )
    for article in PRICES
]


def stand_in(request: Request) -> Completion | dict[str, str]:
    """Act as an LM might that guesses whom to ask, unless a demo shows it."""
    at = max(n for n, message in enumerate(request.messages) if message["role"] == "user")
    asked = str(request.messages[at]["content"])
    if "`[[ ## answer ## ]]`" in asked:
        seen = asked.partition("observation_0: ")[2].split()
        return {"reasoning": "It was told.", "answer": seen[0] if seen else "I do not know"}
    article = next(article for article in STOCK if article in asked)
    about = "cost" if "cost" in asked else "many"
    demos = list(zip(request.messages[1:at], request.messages[2:at], strict=False))
    shown = [
        called(reply) for turn, reply in demos if turn["role"] == "user" and about in str(turn["content"])
    ]
    tool = next((name for name in shown if name in ("warehouse", "office")), "warehouse")
    if request.messages[-1]["role"] == "tool":
        return Completion("That is all.")
    return Completion(f"I ask the {tool}.", tool_calls=({"name": tool, "arguments": {"article": article}},))


def called(reply: object) -> str:
    """Return the tool that a demo's reply calls."""
    return reply["tool_calls"][0]["function"]["name"] if reply.get("tool_calls") else ""  # type: ignore[attr-defined, index]


def main(lm: object = None) -> tuple[float, float]:
    native = Capabilities(function_calling=True)
    telic.configure(lm=FunctionLM(stand_in, capabilities=native) if lm is None else lm)
    evaluate = telic.Evaluate(devset=ROWS, metric=telic.evaluate.answer_exact_match)
    agent = telic.ReAct("question -> answer", tools=[warehouse, office], max_iters=4)

    taught = agent.deepcopy()  # somebody showed it one right step
    taught.react.demos = [{"question": "What does a sofa cost?", "trajectory": "", "next_thought": "I ask the office.",
                           "next_tool_name": "office", "next_tool_args": {"article": "sofa"}}]  # fmt: skip
    optimizer = telic.BootstrapFewShot(telic.evaluate.answer_exact_match, max_labeled_demos=0)
    compiled = optimizer.compile(agent, teacher=taught, trainset=ROWS)
    print(compiled(question=ROWS[-1].question).trajectory)
    before, after = evaluate(agent).score, evaluate(compiled).score
    print(f"{before} % before, {after} % after")
    return before, after


if __name__ == "__main__":
    main()
