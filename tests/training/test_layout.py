"""The weights have learned the exact text of adapters and modules: a change of it must be noticed here."""

from random import Random

from layout import FIXED, SPECIALS
from mixture import ALL

from telic.adapters import ChatAdapter, JSONAdapter, XMLAdapter
from telic.data import Example
from telic.lm.tiny._load import FOLDER
from telic.lm.tiny._tokenizer import Tokenizer
from telic.protocols import Capabilities

# Parts of longer texts, for layouts that are nearly the same; markers of code; fields that few tasks have.
SPARE = {
    "\n8. `", "Output fields:\n1. `", "Every message follows this form:\n\n", "        # must be ", "</", "```python\n", "\n```", "```",
    "Outputs are one JSON object with these fields, in this order:", '{"items\\":{\\"type\\":\\"string\\"},\\"type\\":\\"array\\"}',
    '":{"type":"integer"}},"required":["', "\n        Tools:\n        - `", '": {"type": "string"}, "',
}  # fmt: skip
ADAPTERS = (ChatAdapter(), JSONAdapter(), XMLAdapter())
TOKENIZER = Tokenizer.from_json((FOLDER / "vocab.json").read_text())


def texts():
    """Yield what adapters and modules write for tasks of every family."""
    rng = Random("layout")
    for _, family in ALL:
        for number in range(60):
            task = family(rng, False)
            adapter = ADAPTERS[number % 3]
            row = task.draw(rng)
            cut_demo = Example({next(iter(row.outputs)): next(iter(row.outputs.values()))} | row.inputs)
            plan = adapter.plan(task.signature, [cut_demo], Capabilities())
            for message in plan.render(row.inputs):
                yield message["content"]
            yield adapter.format_assistant_message_content(task.signature, row.outputs)
            yield adapter.user_message_output_requirements(task.signature)


def test_the_shipped_vocabulary_is_the_layout_that_training_writes():
    assert tuple(TOKENIZER.vocabulary["specials"]) == SPECIALS
    assert tuple(TOKENIZER.vocabulary["fixed"]) == tuple(FIXED)


def test_every_fixed_text_of_the_vocabulary_is_still_written_by_some_adapter_or_module():
    first = len(SPECIALS)
    used = {token for text in texts() for token in TOKENIZER.encode(text)}
    unused = [text for i, text in enumerate(FIXED, first) if i not in used]
    assert set(unused) <= SPARE
