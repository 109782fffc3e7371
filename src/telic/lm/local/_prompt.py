"""From messages to tokens, for asking and for training alike.

A tokenizer with a chat template writes prompts by it; without one, the texts of the turns stand one under the other,
an empty line between them (adapters mark fields well enough for models that know no roles). A template that knows no
system role gets the system text at the head of the first user turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from telic._optional import load
from telic.errors import LMInvalidRequestError

if TYPE_CHECKING:
    from telic.data import Message


def prompt_text(tokenizer: Any, messages: Sequence[Message], *, complete: bool = False) -> str:
    """Return the prompt as text.

    Args:
        tokenizer: The model's.
        messages: The turns.
        complete: The last turn is the reply itself.

    Raises:
        LMInvalidRequestError: There is no message, a part is no text, or the template refuses the roles.
    """
    if not messages:
        raise LMInvalidRequestError("there are no messages; an LM answers to one at least", provider="local")
    turns = [{"role": _role(message), "content": _text(message)} for message in messages]
    if not tokenizer.chat_template:
        texts = [turn["content"] for turn in turns]
        return "\n\n".join(texts) if complete else "".join(f"{text}\n\n" for text in texts)
    refused = load("jinja2").TemplateError
    try:
        return _templated(tokenizer, turns, complete)
    except refused as error:
        if turns[0]["role"] == "system" and len(turns) > 1:
            first, second, *rest = turns
            merged = {"role": second["role"], "content": f"{first['content']}\n\n{second['content']}"}
            try:
                return _templated(tokenizer, [merged, *rest], complete)
            except refused:
                pass
        roles = [turn["role"] for turn in turns]
        raise LMInvalidRequestError(
            f"the model's chat template refuses turns of the roles {roles}: {error}", provider="local"
        ) from error


def prompt_tokens(tokenizer: Any, messages: Sequence[Message], *, seq2seq: bool) -> list[int]:
    """Return the tokens of a prompt, up to where the reply begins."""
    text = prompt_text(tokenizer, messages)
    if seq2seq:
        return list(tokenizer(text.rstrip("\n"))["input_ids"])  # with the end mark that encoders expect
    return list(tokenizer(text, add_special_tokens=not tokenizer.chat_template)["input_ids"])


def reply_tokens(tokenizer: Any, messages: Sequence[Message], reply: str, *, seq2seq: bool) -> list[int]:
    """Return the tokens that a model is to give after `prompt_tokens(messages)`: the reply and its end mark."""
    end = tokenizer.eos_token_id
    text = reply
    if tokenizer.chat_template:
        before = prompt_text(tokenizer, messages)
        whole = prompt_text(tokenizer, [*messages, {"role": "assistant", "content": reply}], complete=True)
        if whole.startswith(before + reply):
            text = whole[len(before) :]
    if seq2seq:
        return list(tokenizer(text_target=text)["input_ids"])
    tokens: list[int] = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    if end in tokens:
        tokens = tokens[: tokens.index(end)]
    return tokens if end is None else [*tokens, int(end)]


def shared_length(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two prompts begin with in common.

    Example:
        >>> shared_length([1, 2, 3, 4], [1, 2, 5])
        2
    """
    for at, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return at
    return min(len(one), len(other))


def _templated(tokenizer: Any, turns: list[dict[str, str]], complete: bool) -> str:
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=not complete))


def _role(message: Message) -> str:
    role = message["role"]
    return {"developer": "system", "tool": "user"}.get(role, role)


def _text(message: Message) -> str:
    content = message["content"]
    if content is None or isinstance(content, str):
        return content or ""
    for part in content:
        if part.get("type") != "text":
            raise LMInvalidRequestError(
                f"local LMs read text only, and the message has a part of type {part.get('type')!r}; "
                "use another LM for it",
                provider="local",
            )
    return "".join(str(part["text"]) for part in content)
