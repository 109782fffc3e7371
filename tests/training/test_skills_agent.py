import re
from random import Random

import pytest
from skills.agent import CELLS, react_extract, react_step

from telic.datasets.tiny._agent_world import AgentWorld
from telic.modules import ReAct
from telic.testing import ScriptedLM


@pytest.mark.parametrize("skill", [react_step, react_extract])
@pytest.mark.parametrize("held_out", [False, True])
def test_rows_read_back_through_the_adapters(rows, reads_back, skill, held_out):
    for task, row in rows(skill, 25, held_out):
        reads_back(task, row)


def test_the_same_seed_draws_the_same_rows(rows):
    assert [r for _, r in rows(react_step, 5)] == [r for _, r in rows(react_step, 5)]


def test_steps_call_tools_of_the_prompt_with_their_arguments(rows):
    for task, row in rows(react_step, 80):
        tools = dict(re.findall(r"- `(\w+)`:? .*?Arguments: \{(?:\"(\w+)\")?", task.signature.instructions))
        name, args = row.outputs["next_tool_name"], row.outputs["next_tool_args"]
        assert name in tools
        assert list(args) == ([tools[name]] if tools[name] else [])


def test_what_a_step_says_follows_from_question_and_trajectory(rows):
    seen = 0
    for _, row in rows(react_step, 80):
        given = " ".join(map(str, row.inputs.values()))
        for word in re.findall(r"[A-Z]\w+|\d+", " ".join(row.outputs["next_tool_args"].values())):
            assert word in given
            seen += 1
    assert seen > 100


def test_calculators_of_one_operation_get_one_at_a_time_and_sums_are_right(rows):
    single = 0
    for _, row in rows(react_step, 200, kinds="c"):
        for a, sign, b, c in re.findall(r"(\d+) ([+-]) (\d+) = (\d+)\.", row.outputs["next_thought"]):
            assert (int(a) + int(b) if sign == "+" else int(a) - int(b)) == int(c) or "observation" in str(
                row.inputs
            )
            single += 1
    assert single > 20


def test_the_extracted_answer_stands_in_the_trajectory(rows):
    for task, row in rows(react_extract, 80, style="short"):
        answer = list(row.outputs.values())[-1]
        assert answer in row.inputs["trajectory"]
        assert answer in row.outputs["reasoning"]
        assert next(iter(task.signature.output_fields)) == "reasoning"


def test_trajectories_with_errors_have_the_agents_own_words(rows):
    texts = [row.inputs["trajectory"] for _, row in rows(react_step, 200)]
    assert any("Error: there is no tool" in t for t in texts)
    assert any("failed with" in t for t in texts)
    assert any("is missing" in t for t in texts)


def test_a_world_finds_each_of_its_facts_by_the_trained_queries():
    found = asked = 0
    for seed in range(20):
        world = AgentWorld(Random(seed), held_out=True)
        for chain, names in world.chains:
            for relation, s, o in zip(chain, names, names[1:], strict=False):
                hits = world.search(f"{relation.noun} of {s}")
                asked += 1
                found += any(hit in {f.format(s=s, o=o) for f in relation.facts} for hit in hits)
    assert found / asked > 0.98


def test_a_real_agent_answers_a_two_hop_question_in_the_world():
    world = AgentWorld(Random(3), held_out=False)
    question, right = world.question("2 hops")
    (chain, names) = next(c for c in world.chains if c[1][0] in question and c[1][2] == right)
    lm = ScriptedLM([
        {"next_thought": "?", "next_tool_name": "search", "next_tool_args": {"query": f"{chain[0].noun} of {names[0]}"}},
        {"next_thought": "?", "next_tool_name": "search", "next_tool_args": {"query": f"{chain[1].noun} of {names[1]}"}},
        {"next_thought": "?", "next_tool_name": "finish", "next_tool_args": {}},
        {"reasoning": "", "answer": right},
    ])  # fmt: skip
    agent = ReAct("question -> answer", [world.search, world.calculator])
    made = agent(question=question, lm=lm)
    assert names[1] in str(made.trajectory["observation_0"])
    assert right in str(made.trajectory["observation_1"])


@pytest.mark.parametrize(("expression", "value"), [("3 + 4", 7), ("20 - 5 + 1", 16), (" 7 ", 7)])
def test_the_calculator_knows_sums(expression, value):
    assert AgentWorld(Random(0), held_out=False, subjects=2).calculator(expression) == value


@pytest.mark.parametrize("expression", ["", "__import__('os')", "3 ** 9", "3 +", "1e9"])
def test_the_calculator_refuses_anything_else(expression):
    with pytest.raises(ValueError, match="not an expression"):
        AgentWorld(Random(0), held_out=False, subjects=2).calculator(expression)


def test_cells_have_something_to_run_or_to_draw():
    for cell in CELLS.values():
        assert (cell.make is None) != (cell.run is None)
