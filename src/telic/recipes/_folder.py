"""`ProgramFolder`: the ordinary folder that a recipe leaves.

program.py    the program's source, its settings, its measure: change it freely
state.json    what was learned
telic.toml    LM, rows and optimizer, for `telic run`, `telic eval` and `telic compile`
data/         the rows: train, val, test
index/        the passages, where the program retrieves
runs/         what the search did; needed to go on after a kill, and for `telic report`
README.md     what was chosen, why, and what came of it
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

from telic.context import get as setting
from telic.errors import ConfigurationError
from telic.modules import Module
from telic.recipes._rows import Parts
from telic.recipes._source import ProgramSource

PROGRAM, STATE, SETTINGS, INDEX = "program.py", "state.json", "telic.toml", "index"
_README = """# {name}

Made by `telic recipe {name}`. The program is `program.py`, what it learned is `state.json`; both are yours.

    telic run {folder} "…"                         # ask it
    telic eval {folder}                            # measure it on data/test.jsonl
    telic compile {folder} --optimizer MIPROv2     # after a change, or for another LM (--lm)
    telic export {folder} --out package            # a Python package of it

```
{told}
```
"""


@final
class ProgramFolder:
    """A folder with a program in it.

    Args:
        path: Where it is, or is to be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs = path / "runs"

    def prepare(
        self, name: str, source: ProgramSource, parts: Parts, optimizer: Any,
        save_index: Callable[[Path], None] | None,
    ) -> None:  # fmt: skip
        """Write all but what is learned.

        Raises:
            ConfigurationError: The folder cannot be written, or holds what this recipe would not write.
        """
        texts = {PROGRAM: source.text(), SETTINGS: _settings(name, optimizer)}
        for part, rows in zip(("train", "val", "test"), parts[:3], strict=True):
            texts[f"data/{part}.jsonl"] = _lines(rows)
        self._check(texts)
        try:
            (self.path / "data").mkdir(parents=True, exist_ok=True)
            self.runs.mkdir(exist_ok=True)
            for file, text in texts.items():
                (self.path / file).write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"the folder {str(self.path)!r} cannot be written: {error.strerror or error}; name another"
            ) from error
        if save_index is not None:
            save_index(self.path / INDEX)

    def save(self, program: Module) -> None:
        """Write what was learned."""
        program.save(self.path / STATE)

    def finish(self, told: str) -> None:
        """Write the page that tells what was done."""
        text = _README.format(name=self.path.resolve().name, folder=self.path.as_posix(), told=told)
        (self.path / "README.md").write_text(text, encoding="utf-8")

    def _check(self, texts: dict[str, str]) -> None:
        """Refuse a folder whose files are others: they were changed, or are of something else."""
        if self.path.exists() and not self.path.is_dir():
            raise ConfigurationError(f"{str(self.path)!r} is a file; name a folder that is not there yet")
        there = sorted(self.path.iterdir()) if self.path.exists() else []
        if there and not (self.path / PROGRAM).exists():
            raise ConfigurationError(
                f"the folder {str(self.path)!r} holds other files (first {there[0].name!r}); name one that is not "
                "there yet"
            )
        for file, text in texts.items():
            path = self.path / file
            if path.exists() and path.read_text(encoding="utf-8") != text:
                raise ConfigurationError(
                    f"{str(path)!r} is not what this recipe would write: it was changed, or made of other data or "
                    f"settings. Name another folder; or go on with this one: telic compile {self.path.as_posix()}"
                )


def _lines(rows: Any) -> str:
    return "".join(json.dumps(dict(row.items()), ensure_ascii=False) + "\n" for row in rows)


def _settings(name: str, optimizer: Any) -> str:
    """Return the settings as TOML; JSON's texts, numbers and lists are TOML's."""
    lm = setting("lm")
    model: str = lm if isinstance(lm, str) else str(getattr(lm, "model", ""))
    options = {
        key: value
        for key, value in optimizer.get_params().items()
        if isinstance(value, (str, int, float)) and key != "display_progress"
    }
    return "\n".join(
        [
            f"# What `telic run`, `telic eval` and `telic compile` of this folder use; made by `telic recipe {name}`.",
            f"lm = {json.dumps(model)}",
            "",
            "[data]",
            *(f'{part} = "data/{part}.jsonl"' for part in ("train", "val", "test")),
            "",
            "[compile]",
            f'optimizer = "{type(optimizer).__name__}"',
            "",
            "[compile.options]",
            *(f"{key} = {json.dumps(value)}" for key, value in options.items()),
            "",
        ]
    )
