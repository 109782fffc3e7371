import asyncio
import threading

import pytest

from telic.context import context
from telic.lm import LM
from telic.modules import ChainOfThought
from telic.streaming import FieldDelta

pytest.importorskip("numpy")


def test_the_embedded_lm_streams_token_by_token(look, events_of):
    program = ChainOfThought("question -> answer")
    with context(lm=LM("telic/tiny", cache=False, max_tokens=60), max_retries=0):
        try:
            events = events_of(program.stream(question="What is 2 + 2?"))
        except Exception as error:  # it may answer badly; what it wrote was streamed all the same
            pytest.skip(f"the model's answer does not parse: {error}")
        plain = program(question="What is 2 + 2?")

    assert look.texts(events) == {
        ("predict", "reasoning"): plain.reasoning,
        ("predict", "answer"): plain.answer,
    }
    assert len(look.of(events, FieldDelta)) > 2


def test_leaving_ends_what_the_embedded_lm_generates(look):
    program = ChainOfThought("question -> answer")
    with context(lm=LM("telic/tiny", cache=False)):
        with program.stream(question="What is 2 + 2?") as stream:
            next(event for event in stream if isinstance(event, FieldDelta))

        async def main():
            async with program.stream(question="What is 2 + 2?") as stream:
                async for event in stream:
                    if isinstance(event, FieldDelta):
                        break
            return asyncio.all_tasks() - {asyncio.current_task()}

        assert asyncio.run(main()) == set()
    assert not [thread for thread in threading.enumerate() if thread.name == "telic-stream"]
