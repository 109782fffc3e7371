"""`export_prompts`: a compiled program as plain prompts, for other tools.

One markdown page a predictor, and `prompts.json` with the messages, as the adapter in force writes them; inputs stand
as `{name}`. What a program does between its predictors is in its source, not here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from telic.adapters import ChatAdapter
from telic.context import get as setting
from telic.errors import ConfigurationError
from telic.modules import Module
from telic.recipes._export import written_whole


def prompts_of(program: Module) -> dict[str, list[dict[str, Any]]]:
    r"""Return the messages of each predictor by its path, inputs as `{name}`. No LM is needed.

    Example:
        >>> from telic.modules import Predict
        >>> prompts_of(Predict("question -> answer"))["self"][-1]["content"].partition("\n\n")[0]
        '[[ ## question ## ]]\n{question}'
    """
    adapter: Any = setting("adapter")
    adapter = ChatAdapter() if adapter is None else adapter
    found: dict[str, list[dict[str, Any]]] = {}
    for path, predictor in program.named_predictors():
        plan = adapter.plan(predictor.signature, predictor.demos)
        inputs = {name: f"{{{name}}}" for name in predictor.signature.input_fields}
        found[path] = [dict(message) for message in plan.render(inputs)]
    return found


def export_prompts(program: Module, out: str | os.PathLike[str]) -> list[Path]:
    """Write the prompts of a program into a folder.

    Args:
        program: The program.
        out: The folder; it must be new or empty.

    Returns:
        The files.

    Raises:
        ConfigurationError: The folder is not empty or cannot be written, or the program has no predictors.
    """
    folder = Path(out)
    prompts = prompts_of(program)
    if not prompts:
        raise ConfigurationError(
            f"the program {type(program).__name__} has no predictors, so there are no prompts"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(f"{str(folder)!r} is there already and not empty; name another folder")
    texts = {f"{_file(path)}.md": _page(path, messages) for path, messages in prompts.items()}
    texts["prompts.json"] = json.dumps(prompts, ensure_ascii=False, indent=2) + "\n"

    def write(top: Path) -> None:
        for name, text in texts.items():
            (top / name).write_text(text, encoding="utf-8")

    written_whole(folder, write)
    return [folder / name for name in texts]


def _file(path: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "._-" else "_" for sign in path).strip("_.") or "prompt"


def _page(path: str, messages: Sequence[Mapping[str, Any]]) -> str:
    parts = [f"# {path}\n"]
    for message in messages:
        content = message.get("content")
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=2)
        fence = "`" * max(3, 1 + max((len(run) for run in _ticks(text)), default=0))
        parts.append(f"## {message['role']}\n\n{fence}\n{text}\n{fence}\n")
    return "\n".join(parts)


def _ticks(text: str) -> list[str]:
    runs, run = list[str](), ""
    for sign in f"{text} ":
        if sign == "`":
            run += sign
        elif run:
            runs.append(run)
            run = ""
    return runs
