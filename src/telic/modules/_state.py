"""A program's learned state as one JSON file, and back.

What is saved is what was learned: for each predictor its instructions and field descriptions, demos, generation options
and the name of its LM, weights in the file's folder as seen from there; and the report of the optimizer. No code, no
keys, no endpoints, no times: the same state gives the same bytes. Loading changes a program made by the user's own
code, and changes all of it or nothing.

DSPy's JSON states (predictors at the top level, fields by position) are read too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from telic._optional import load as load_module
from telic._text import join_names
from telic._version import VERSION
from telic.data import Example
from telic.errors import ConfigurationError, SignatureError, StateError, StateMismatchError, StateVersionError
from telic.modules import _state_lm
from telic.modules._frozen import checked_parts
from telic.modules._notes import REPORT, SavedReport
from telic.modules._options import checked_options
from telic.modules._state_values import plain_value, store_of, typed_value
from telic.modules._tree import Leaf, walk

FORMAT = 1
"""The version of the file's layout; a file with a higher one is refused."""


class _Change(NamedTuple):
    """What is to be set on one leaf, once everything has been read."""

    leaf: Any
    values: dict[str, Any]


# Writing


def save(program: Any, path: Any, *, copy_weights: bool = False) -> None:
    """Write the state of `program` to `path`."""
    files = load_module("telic.modules._state_file")
    file = files.checked_path(path)
    home = _state_lm.Home(file.parent)
    state = dump(program, home)  # what cannot be saved is known before anything is copied
    if copy_weights:
        models = [str(getattr(leaf.lm, "model", "")) for _, leaf in _leaves(program) if leaf.is_predictor]
        copies = load_module("telic.modules._state_weights").copied(models, file)
        state = dump(program, home._replace(copies=copies))
    files.write(file, state)


def dump(program: Any, home: _state_lm.Home | None = None) -> dict[str, Any]:
    """Return the state of `program` as plain data; `home`: where it will lie."""
    state: dict[str, Any] = {
        "telic": {"format": FORMAT, "version": VERSION},
        "program": type(program).__name__,
        "predictors": {path: _dump_leaf(path, leaf, home) for path, leaf in _leaves(program)},
    }
    report = program.__dict__.get(REPORT)
    if report is not None:
        to_dict = getattr(report, "to_dict", None)
        state["report"] = plain_value(to_dict() if callable(to_dict) else report, "the report")
    return state


def _leaves(program: Any) -> list[tuple[str, Any]]:
    """Return all leaves, those of compiled modules too: what is frozen is saved all the same."""
    return [(part.path, part.value) for part in walk(program) if isinstance(part.value, Leaf)]


def _dump_leaf(path: str, leaf: Any, home: _state_lm.Home | None) -> dict[str, Any]:
    if not leaf.is_predictor:
        return leaf.dump_leaf_state()
    signature = leaf.signature
    return {
        "signature": {"name": signature.__name__, **signature.dump_state()},
        "demos": [_dump_demo(demo, f"demo {number} of {path!r}") for number, demo in enumerate(leaf.demos)],
        "config": plain_value(leaf.config, f"the config of {path!r}"),
        "lm": None if leaf.lm is None else _state_lm.dump(leaf.lm, home),
        **({"frozen": sorted(leaf.frozen_parts)} if leaf.frozen_parts else {}),
    }


_TEXT = frozenset({str, int, bool, type(None)})


def _dump_demo(demo: Any, where: str) -> dict[str, Any]:
    return {
        name: value if type(value) in _TEXT else plain_value(value, f"{name!r} in {where}")
        for name, value in store_of(demo).items()
    }


# Reading


def load_into(program: Any, path: Any) -> None:
    """Read `path` and take its state over into `program`."""
    files = load_module("telic.modules._state_file")
    file = files.checked_path(path)
    apply(program, files.read(file), source=str(file), home=_state_lm.Home(file.parent))


def apply(program: Any, state: Any, *, source: str, home: _state_lm.Home | None = None) -> None:
    """Take a state over into `program`, all of it or, on an error, nothing.

    Args:
        program: The program that it belongs to.
        state: What `dump` returned, or DSPy's.
        source: What to call it in errors.
        home: Where it was read; None: it was no file.

    Raises:
        StateError: It is no saved program.
        StateVersionError: It was written in a newer format.
        StateMismatchError: It is of another program.
    """
    if not isinstance(state, Mapping):
        raise StateError(f"{source} holds {type(state).__name__}, and a saved program is an object")
    known = cast("Mapping[str, Any]", state)
    leaves = dict(_leaves(program))
    entries = _entries(known, source)
    if "telic" not in known:
        entries = _present_paths(entries, leaves)
    _check_paths(program, entries, leaves, source)
    changes = [_read_leaf(path, leaves[path], entry, source, home) for path, entry in entries.items()]
    for change in changes:  # nothing below can fail: all or nothing
        change.leaf.__dict__.update(change.values)
    report = known.get("report")
    if isinstance(report, Mapping) and "telic" in known:
        program.__dict__[REPORT] = SavedReport(cast("Mapping[str, Any]", report))


def _entries(state: Mapping[str, Any], source: str) -> dict[str, Mapping[str, Any]]:
    """Return the predictors' states by path, from telic's layout or DSPy's."""
    header = state.get("telic")
    if header is not None:
        version = cast("Mapping[str, Any]", header).get("format") if isinstance(header, Mapping) else None
        if not isinstance(version, int):
            raise StateError(f"{source} has no format version; it is no saved program")
        if version > FORMAT:
            raise StateVersionError(
                f"{source} has format {version}, and this telic reads up to {FORMAT}; upgrade telic to load it"
            )
        found = state.get("predictors")
    else:
        found = {path: entry for path, entry in state.items() if path != "metadata"}
        if "signature" in state:  # DSPy saves a lone Predict without a path
            found = {"self": {name: value for name, value in state.items() if name != "metadata"}}
    if not isinstance(found, Mapping):
        raise StateError(f"{source} is no saved program: it has no predictors")
    entries = dict(cast("Mapping[str, Any]", found))
    wrong = [path for path, entry in entries.items() if not isinstance(entry, Mapping)]
    if wrong:
        raise StateError(f"{source} is no saved program: {wrong[0]!r} is not the state of a predictor")
    return entries


def _present_paths(
    entries: Mapping[str, Mapping[str, Any]], leaves: Mapping[str, Any]
) -> dict[str, Mapping[str, Any]]:
    """Return DSPy's entries under the paths of today: before 2.6 a chain of thought's step had no or another name."""
    found: dict[str, Mapping[str, Any]] = {}
    for path, entry in entries.items():
        alone = path in ("_predict", "self")
        candidates = (path, "predict" if alone else f"{path.removesuffix('._predict')}.predict")
        found[next((name for name in candidates if name in leaves), path)] = entry
    return found


def _check_paths(program: Any, entries: Mapping[str, Any], leaves: Mapping[str, Any], source: str) -> None:
    if entries.keys() == leaves.keys():
        return
    parts = [f"{source} is the state of another program than this {type(program).__name__}"]
    if unknown := [path for path in entries if path not in leaves]:
        parts.append(f"the file has {join_names(unknown)}, which the program has not")
    if missing := [path for path in leaves if path not in entries]:
        parts.append(f"the program has {join_names(missing)}, which the file has not")
    raise StateMismatchError("; ".join(parts))


def _read_leaf(
    path: str, leaf: Any, entry: Mapping[str, Any], source: str, home: _state_lm.Home | None
) -> _Change:
    where = f"{path!r} in {source}"
    if not leaf.is_predictor:
        return _Change(leaf, leaf.read_leaf_state(entry))
    saved = entry.get("signature")
    text = entry.get("extended_signature_instructions", entry.get("signature_instructions"))
    if not isinstance(saved, Mapping) and not isinstance(text, str):
        raise StateError(f"{where} has no signature; it is not the state of a predictor")
    try:
        if isinstance(saved, Mapping):
            signature = leaf.signature.load_state(cast("Mapping[str, Any]", saved))
        else:  # DSPy before 2.5.20 saved no more than the instructions
            signature = leaf.signature.with_instructions(text)
    except StateMismatchError as error:
        raise StateMismatchError(f"{where}: {error}") from error
    except (StateError, SignatureError) as error:
        raise StateError(f"{where}: {error}") from error
    values: dict[str, Any] = {"signature": signature, "demos": _read_demos(entry, signature, where)}
    config = entry.get("config")
    if isinstance(config, Mapping):
        values["config"] = checked_options(cast("Mapping[str, Any]", config), where)
    frozen = entry.get("frozen")
    if frozen is not None:
        values["frozen_parts"] = _read_frozen(frozen, where)
    lm = entry.get("lm")
    if lm is not None:
        made = _state_lm.restore(lm, where, home)
        if made is not None:
            values["lm"] = made
    return _Change(leaf, values)


def _read_frozen(saved: Any, where: str) -> frozenset[str]:
    try:
        return checked_parts(cast("list[Any]", saved) if isinstance(saved, list) else [saved])
    except ConfigurationError as error:
        raise StateError(f"what is frozen of {where}: {error}") from error


_example = cast("Any", Example)._of


def _read_demos(entry: Mapping[str, Any], signature: Any, where: str) -> list[Example]:
    rows = entry.get("demos", [])
    if not isinstance(rows, list):
        raise StateError(f"the demos of {where} are {type(rows).__name__}, and must be a list")
    typed = {name: field for name, field in signature.fields.items() if field.annotation is not str}
    names = frozenset(signature.input_fields)
    given: dict[tuple[str, ...], frozenset[str]] = {}  # demos mostly have the same fields: one set for all
    demos: list[Example] = []
    for number, row in enumerate(cast("list[Any]", rows)):
        if not isinstance(row, dict):
            raise StateError(f"demo {number} of {where} is {type(row).__name__}, and must be an object")
        fields = cast("dict[str, Any]", row)
        for name, field in typed.items():
            if name in fields:
                fields = {**fields, name: typed_value(fields[name], field, f"demo {number} of {where}")}
        shape = tuple(fields)
        inputs = given.get(shape)
        if inputs is None:
            inputs = given[shape] = names.intersection(shape)
        demos.append(_example(fields, inputs))
    return demos
