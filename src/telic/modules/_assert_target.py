"""Finding the predictor call that an assertion is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from telic._text import did_you_mean, join_names
from telic.context import get as setting
from telic.errors import ConfigurationError
from telic.modules._frame import Frame
from telic.modules._script import Asked
from telic.modules._tree import Leaf, Node, walk

if TYPE_CHECKING:
    from collections.abc import Callable


class Found(NamedTuple):
    """A predictor call, and the frame that made it."""

    frame: Frame
    record: Asked
    nth: int
    """How many calls of that predictor the frame had made before."""

    @property
    def is_refused(self) -> bool:
        """Whether it is to be asked again already: a branch that runs at the same time had it refused."""
        return self.record.note is not None and self.record.note.pending

    @property
    def title(self) -> str:
        """The predictor's path in the frame's module, else the name of its signature."""
        predictor = self.record.predictor
        for part in walk(self.frame.module):
            if part.value is predictor:
                return part.path
        return predictor.signature.__name__


class NotFound(NamedTuple):
    """Why there is no call that could be asked again."""

    reason: str


def check_target(target: Any) -> None:
    """Refuse what can be no target.

    Raises:
        ConfigurationError: It is neither a module nor a path nor a signature.
    """
    if target is None or isinstance(target, (str, Node)) or _is_signature(target):
        return
    raise ConfigurationError(
        "target_module must be a module (self.generate), its path ('hops[0]') or a predictor's signature, "
        f"got {target!r}"
    )


def find_target(frame: Frame | None, target: Any) -> Found | NotFound:
    """Return the last call of the target that the running modules have made, innermost first.

    Raises:
        ConfigurationError: There is no such target, or no predictor in it.
    """
    frames = [] if frame is None else list(frame.chain())
    if not frames:
        return NotFound("outside of a module's call nothing can be asked again")
    if target is None:
        role = setting("role")  # what a reward asked an LM is no answer of the program's
        wanted: Callable[[Asked], bool] = lambda record: record.role == role  # noqa: E731
    elif isinstance(target, (str, Node)):
        node = _part(frames, target) if isinstance(target, str) else target
        leaves = _leaves(node, target)
        wanted = lambda record: id(record.predictor) in leaves  # noqa: E731
    else:
        wanted = lambda record: _is_of(record.predictor.signature, target)  # noqa: E731
    for one in frames:
        if (found := _last(one, wanted)) is not None:
            return found
    if target is None:
        return NotFound("no predictor was called before it, so nothing can be asked again")
    _refuse_foreign(frames, target)
    paths = [
        part.path for frame in frames for part in walk(frame.module, repeat=True) if part.value is target
    ]
    title = repr(paths[0]) if paths else _name(target)
    return NotFound(f"{title} was not called before it, so nothing can be asked again")


def _last(frame: Frame, wanted: Callable[[Asked], bool]) -> Found | None:
    records = frame.records
    for index in range(len(records) - 1, -1, -1):
        record = records[index]
        if isinstance(record, Asked) and record.error is None and wanted(record):
            before = sum(
                isinstance(one, Asked) and one.predictor is record.predictor for one in records[:index]
            )
            return Found(frame, record, before)
    return None


def _leaves(node: Node, target: Any) -> set[int]:
    parts = [node] if isinstance(node, Leaf) else [part.value for part in walk(node)]
    leaves = {id(part) for part in parts if isinstance(part, Leaf) and part.is_predictor}
    if not leaves:
        raise ConfigurationError(
            f"target_module={_name(target)} has no predictor in it, and only predictors can be asked again; name the "
            "module whose predictor wrote what the assertion is about"
        )
    return leaves


def _part(frames: list[Frame], path: str) -> Node:
    for frame in frames:
        for part in walk(frame.module, repeat=True):
            if part.path == path:
                return part.value
    inner = frames[0].module
    known = [part.path for part in walk(inner)][1:]
    raise ConfigurationError(
        f"target_module={path!r}: {type(inner).__name__} has no part of that path{did_you_mean(path, known) or '.'} "
        + (f"Its parts are {join_names(known)}" if known else "It has no parts")
    )


def _refuse_foreign(frames: list[Frame], target: Any) -> None:
    """Raise where the target is no part of any module that is running: it will never be called by one of them."""
    outer = frames[-1].module
    parts = [part.value for frame in frames for part in walk(frame.module, repeat=True)]
    if isinstance(target, str) or any(target is part for part in parts):
        return
    leaves = [part for part in parts if isinstance(part, Leaf) and part.is_predictor]
    if _is_signature(target):
        if any(_is_of(leaf.signature, target) for leaf in leaves):  # type: ignore[attr-defined]
            return
    elif any(id(leaf) in _leaves(target, target) for leaf in leaves):
        return
    known = [part.path for part in walk(outer)][1:]
    raise ConfigurationError(
        f"target_module={_name(target)} is no part of the running {type(outer).__name__} and was not called in it; "
        "name one of its own parts, by its path if the program is copied: "
        + (join_names(known) if known else "it has none")
    )


def _is_signature(target: Any) -> bool:
    return (
        isinstance(target, type) and hasattr(target, "output_fields") and hasattr(target, "with_instructions")
    )


def _is_of(signature: Any, wanted: type) -> bool:
    """Whether `signature` is the wanted one, also with fields added or other instructions: those derive from it."""
    return issubclass(signature, wanted)


def _name(target: Any) -> str:
    if isinstance(target, str):
        return repr(target)
    return target.__name__ if isinstance(target, type) else type(target).__name__
