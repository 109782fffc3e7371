"""A program is a tree of values: finding its parts, naming them, replacing them, copying them.

Parts are found in every attribute of a module (its class's attributes too) and in lists, tuples and dicts nested to any
depth. Their names are paths as one would write them after `program.`: `predict`, `hops[0]`, `agents['a'].answer`. One
object is one part, however many places hold it: it goes by the first path. Cycles end where they began.

The tree knows two marks and nothing of what carries them: `Node` (a module, which is looked into) and `Leaf` (what
holds learnable state, which is not).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self, cast

from telic._text import did_you_mean
from telic.errors import ConfigurationError


def _items(value: Any) -> list[tuple[Any, Any]]:
    """Return keys or positions with what a dict, list or tuple holds there."""
    held: Any = value
    return list(held.items()) if isinstance(value, dict) else list(enumerate(cast("list[Any]", held)))


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

    @property
    def frozen(self) -> bool:
        """Whether optimizers of a program around this part leave it as it is."""
        return self._compiled

    @frozen.setter
    def frozen(self, value: bool) -> None:
        self._compiled = value

    def held(self) -> list[tuple[str, Any]]:
        """Return the names and values of all attributes in which parts may be."""
        own = self.__dict__
        if not self._class_parts:
            return list(own.items())
        return [*own.items(), *((name, getattr(self, name)) for name in self._class_parts if name not in own)]

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return _copied_node(self, memo)


class Leaf(Node):
    """What holds learnable state and is not looked into: the base of `Predict`."""

    is_predictor: bool = False
    """True: it asks an LM, and has a signature and demos."""
    lm: Any = None

    def reset(self) -> None:
        """Forget what was learned or shown; keep what the user configured. The default has nothing to forget."""

    def dump_leaf_state(self) -> dict[str, Any]:
        """Return what is saved of a leaf that is no predictor, as JSON data."""
        return {}

    def read_leaf_state(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return the attributes to set for a saved state; nothing is changed yet."""
        return {}


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


def walk(root: Node, *, skip_compiled: bool = False, repeat: bool = False) -> list[Part]:
    """Return all nodes, depth first, in the order of attributes; the root is first, with the path "self".

    Args:
        root: The program.
        skip_compiled: Leave out nodes below the root that are marked `_compiled`, with all below them.
        repeat: Report a node again where it is held again (it is still looked into only once).
    """
    parts = [Part("self", root, None)]
    if not isinstance(root, Leaf):
        visit = _Visit(parts, {id(root)}, skip_compiled, repeat)
        visit.attributes(root, "", None)
    return parts


class _Visit(NamedTuple):
    """One walk: what was found, and what was seen."""

    parts: list[Part]
    seen: set[int]
    skip_compiled: bool
    repeat: bool

    def attributes(self, node: Node, prefix: str, outer: Place | None) -> None:
        for name, value in node.held():
            if type(value) not in _PLAIN:
                self.value(value, prefix + name, node, ".", name, outer)

    def value(self, value: Any, path: str, holder: Any, kind: str, key: Any, outer: Place | None) -> None:
        """Look at what `holder` holds at `key`; `outer` is the place of the holder."""
        if isinstance(value, Node):
            if self.skip_compiled and value.frozen:
                return
            known = id(value) in self.seen
            if known and not self.repeat:
                return
            place = Place(holder, kind, key, outer)
            self.parts.append(Part(path, value, place))
            if not known:
                self.seen.add(id(value))
                if not isinstance(value, Leaf):
                    self.attributes(value, f"{path}.", place)
        elif isinstance(value, (list, tuple, dict)) and id(cast("object", value)) not in self.seen:
            self.seen.add(id(cast("object", value)))
            place = Place(holder, kind, key, outer)
            for inner_key, inner in _items(value):
                if type(inner) not in _PLAIN:
                    self.value(inner, f"{path}[{inner_key!r}]", value, "[]", inner_key, place)


_PLAIN: frozenset[type] = frozenset({str, int, float, bool, bytes, complex, type(None), type})


def find(root: Node, path: str) -> Part:
    """Return the part at `path`.

    Raises:
        ConfigurationError: There is none; the message suggests the nearest path.
    """
    parts = walk(root, repeat=True)
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
    for part in walk(root, repeat=True):
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
        made = cast("Any", type(cast("object", holder)))
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
    made: Any = object.__new__(cast("type[Any]", type(node)))
    memo[id(node)] = made
    fields: dict[str, Any] = made.__dict__
    for name, value in node.held():
        fields[name] = value if type(value) in _ATOMS else copied(value, memo)
    return made


def copied(value: Any, memo: dict[int, Any]) -> Any:
    """Return a copy of an attribute's value for a copied program.

    Modules and containers are copied; classes and LMs are shared (`_share_on_copy`); other objects are copied where
    they can be, and shared where they cannot (locks, connections, clients).
    """
    known = memo.get(id(value))
    if known is not None:
        return known
    kind: type = type(cast("object", value))
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
