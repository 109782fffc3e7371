"""A program is a tree of values: finding its parts, naming them, replacing them, copying them.

Parts are found in every attribute of a module (its class's attributes too) and in lists, tuples and dicts nested to any
depth. Their names are paths as one would write them after `program.`: `predict`, `hops[0]`, `agents['a'].answer`. One
object is one part, however many places hold it: it goes by the first path. Cycles end where they began.

The tree knows two marks and nothing of what carries them: `Node` (a module, which is looked into) and `Leaf` (what
holds learnable state, which is not).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Self, cast

from telic._text import did_you_mean
from telic.errors import ConfigurationError


def _items(value: Any) -> list[tuple[Any, Any]]:
    """Return keys or positions with what a dict, list or tuple holds there."""
    return list(value.items()) if isinstance(value, dict) else list(enumerate(value))


def _may_hold(value: Any) -> bool:
    if isinstance(value, Node):
        return True
    if isinstance(value, (list, tuple, dict)):
        return any(_may_hold(inner) for _, inner in _items(value))
    return False


class Node:
    """What has parts: the base of `Module`."""

    _compiled: bool = False
    """True: optimizers of a program around this part leave it as it is."""
    _class_parts: tuple[str, ...] = ()
    """Class attributes that hold parts; an instance's own attribute of that name stands before it."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = [name for name, value in vars(cls).items() if name[:2] != "__" and _may_hold(value)]
        if own:
            cls._class_parts = (*cls._class_parts, *own)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return _copied_node(self, memo)


class Leaf(Node):
    """What holds learnable state and is not looked into: the base of `Predict`."""

    is_predictor: bool = False
    """True: it asks an LM, and has a signature and demos."""
    lm: Any = None

    def reset(self) -> None:
        """Forget what was learned or shown; keep what the user configured."""
        raise NotImplementedError


class Place(NamedTuple):
    """Where a part is held: `kind` "." (attribute) or "[]" (item) of `holder`, which is itself at `outer`."""

    holder: Any
    kind: str
    key: Any
    outer: Place | None


class Part(NamedTuple):
    """One node of the tree, where it was met."""

    path: str
    value: Node
    place: Place | None
    """None for the root."""


def walk(root: Node, *, skip_compiled: bool = False, repeat: bool = False) -> Iterator[Part]:
    """Go through all nodes, depth first, in the order of attributes; the root is first, with the path "self".

    Args:
        root: The program.
        skip_compiled: Leave out nodes below the root that are marked `_compiled`, with all below them.
        repeat: Report a node again where it is held again (it is still looked into only once).
    """
    seen: set[int] = {id(root)}
    yield Part("self", root, None)
    if not isinstance(root, Leaf):
        for name, value in _attributes(root):
            if type(value) not in _PLAIN:
                place = Place(root, ".", name, None)
                yield from _visit(value, name, place, seen, skip_compiled, repeat)


def _visit(
    value: Any, path: str, place: Place, seen: set[int], skip_compiled: bool, repeat: bool
) -> Iterator[Part]:
    if isinstance(value, Node):
        if skip_compiled and value._compiled:
            return
        if id(value) in seen:
            if repeat:
                yield Part(path, value, place)
            return
        seen.add(id(value))
        yield Part(path, value, place)
        if isinstance(value, Leaf):
            return
        below = ((f"{path}.{name}", ".", name, inner) for name, inner in _attributes(value))
    elif isinstance(value, (list, tuple, dict)):
        if id(cast("object", value)) in seen:
            return
        seen.add(id(cast("object", value)))
        below = ((f"{path}[{key!r}]", "[]", key, inner) for key, inner in _items(value))
    else:
        return
    for inner_path, kind, key, inner in below:
        if type(inner) not in _PLAIN:
            yield from _visit(inner, inner_path, Place(value, kind, key, place), seen, skip_compiled, repeat)


_PLAIN: frozenset[type] = frozenset({str, int, float, bool, bytes, complex, type(None), type})


def _attributes(node: Node) -> Iterator[tuple[str, Any]]:
    own = node.__dict__
    yield from list(own.items())
    for name in node._class_parts:
        if name not in own:
            yield name, getattr(node, name)


def find(root: Node, path: str) -> Part:
    """Return the part at `path`.

    Raises:
        ConfigurationError: There is none; the message suggests the nearest path.
    """
    parts = list(walk(root, repeat=True))
    for part in parts:
        if part.path == path:
            return part
    known = [part.path for part in parts]
    raise ConfigurationError(
        f"{type(root).__name__} has no part {path!r}{did_you_mean(path, known)}; it has: {', '.join(known)}"
    )


def replace_all(root: Any, replacements: dict[int, Any]) -> Any:
    """Put other objects in the places of some parts, everywhere they are held, in `root` itself.

    Args:
        root: The program; it is changed.
        replacements: The new object for the `id` of each old one.

    Returns:
        `root`, or its replacement.
    """
    for part in list(walk(root, repeat=True)):
        new = replacements.get(id(part.value))
        if new is not None and new is not part.value and part.place is not None:
            _put(part.place, new)
    return replacements.get(id(root), root)


def _put(place: Place, new: Any) -> None:
    holder = place.holder
    if place.kind == ".":
        setattr(holder, place.key, new)
        return
    if isinstance(holder, tuple):
        # A tuple cannot be written into: a new one takes its place, with what its place holds by now in the others.
        assert place.outer is not None
        values = list(cast("tuple[Any, ...]", _get(place.outer)))
        values[place.key] = new
        made: Any = type(cast("Any", holder))
        _put(place.outer, made(*values) if hasattr(made, "_fields") else made(values))
        return
    holder[place.key] = new


def _get(place: Place) -> Any:
    holder = place.holder
    if place.kind == ".":
        return getattr(holder, place.key)
    if isinstance(holder, tuple):
        assert place.outer is not None
        return _get(place.outer)[place.key]
    return holder[place.key]


def replace_at(program: Any, path: str, value: Any) -> Any:
    """Return a copy of `program` with `value` at `path`; `program` is as it was.

    Args:
        program: A module.
        path: A part's path as `named_sub_modules` tells it; "self" is the program.
        value: What to put there, in every place that holds the part.

    Raises:
        ConfigurationError: The program has no such part.
    """
    if find(program, path).place is None:
        return value
    copied = copy.deepcopy(program)
    return replace_all(copied, {id(find(copied, path).value): value})


# Copies

_ATOMS: frozenset[type] = _PLAIN | {
    type(_may_hold),
    type(len),
    type(Ellipsis),
    type(NotImplemented),
    range,
    frozenset,
}


def _copied_node(node: Any, memo: dict[int, Any]) -> Any:
    made = object.__new__(type(node))
    memo[id(node)] = made
    fields = made.__dict__
    for name, value in node.__dict__.items():
        fields[name] = value if type(value) in _ATOMS else copied(value, memo)
    for name in node._class_parts:
        if name not in fields:
            fields[name] = copied(getattr(node, name), memo)
    return made


def copied(value: Any, memo: dict[int, Any]) -> Any:
    """Return a copy of an attribute's value for a copied program.

    Modules and containers are copied; classes and LMs are shared (`_share_on_copy`); other objects are copied where
    they can be, and shared where they cannot (locks, connections, clients).
    """
    known = memo.get(id(value))
    if known is not None:
        return known
    kind = type(value)
    if isinstance(value, Node):
        return value.__deepcopy__(memo)
    if kind is list:
        new: list[Any] = []
        memo[id(value)] = new
        new += [item if type(item) in _ATOMS else copied(item, memo) for item in value]
        return new
    if kind is dict:
        made: dict[Any, Any] = {}
        memo[id(value)] = made
        for key, item in value.items():
            made[key] = item if type(item) in _ATOMS else copied(item, memo)
        return made
    if kind is tuple:
        return tuple([copied(item, memo) for item in value])
    if isinstance(value, type) or getattr(value, "_share_on_copy", False) or hasattr(value, "acomplete"):
        return value
    return _copied_object(value, memo)


_UNCOPIABLE: tuple[type[Exception], ...] = (TypeError, copy.Error, NotImplementedError, AttributeError)


def _copied_object(value: Any, memo: dict[int, Any]) -> Any:
    duplicate: Callable[[Any, dict[int, Any]], Any] = copy.deepcopy
    try:
        return duplicate(value, memo)
    except _UNCOPIABLE:
        return value
