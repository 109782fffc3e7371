"""An agent that searches until it knows: ReAct over BM25.

Run it: python examples/search_agent.py (offline: the LM is a function; name a real one in `main(lm=…)`; needs the
extra `retrieve`)
"""

import telic
from telic.data import Request
from telic.recipes.programs import SearchAgent
from telic.retrieve import BM25
from telic.testing import FunctionLM

PASSAGES = [
    "Girl with a Pearl Earring was painted by Johannes Vermeer.",
    "Johannes Vermeer was born in Delft.",
    "The Night Watch was painted by Rembrandt.",
]


def stand_in(request: Request) -> dict[str, object]:
    """Act as an LM might that looks up the painter, then the town."""
    seen = str(request.messages[-1]["content"])
    if "next_tool_name" not in seen:
        return {
            "reasoning": "The passages say so.",
            "answer": "Delft" if "born in Delft" in seen else "unknown",
        }
    if "born in Delft" in seen:
        return {"next_thought": "That is the town.", "next_tool_name": "finish", "next_tool_args": {}}
    query = "Johannes Vermeer born" if "painted by Johannes Vermeer" in seen else "Girl with a Pearl Earring"
    return {
        "next_thought": f"I look for {query}.",
        "next_tool_name": "search",
        "next_tool_args": {"query": query},
    }


def main(lm: object = None) -> str:
    telic.configure(lm=FunctionLM(stand_in) if lm is None else lm, rm=BM25(PASSAGES))
    found = SearchAgent(k=1)(question="Where was the painter of Girl with a Pearl Earring born?")
    for name, value in found.trajectory.items():
        print(f"{name}: {value}")
    print(found.answer)
    return found.answer


if __name__ == "__main__":
    main()
