"""Dataclass fields as command line options: each option is written once, with its help text."""

from __future__ import annotations

import argparse
import json
import operator
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, asdict, field, fields
from pathlib import Path
from typing import Any

Groups = Mapping[str, type]


def option(
    default: Any,
    help: str,
    *,
    choices: Sequence[Any] | None = None,
    metavar: str | None = None,
    least: float | None = None,
    most: float | None = None,
    below: float | None = None,
    may_change_on_resume: bool = False,
    private: bool = False,
) -> Any:
    """Return a dataclass field that is also a command line option.

    Args:
        default: Its value when nothing is said.
        help: What the user reads.
        choices: The values allowed.
        metavar: Placeholder in the help.
        least: The smallest number allowed.
        most: The largest number allowed.
        below: Numbers must be smaller than this.
        may_change_on_resume: It does not change what is computed.
        private: Says something of the machine or its data, so that weights do not carry it.
    """
    metadata = {
        "help": help,
        "choices": choices,
        "metavar": metavar,
        "least": least,
        "most": most,
        "below": below,
        "may_change_on_resume": may_change_on_resume,
        "private": private,
    }
    return field(default=default, metadata=metadata)


def add_options(parser: argparse.ArgumentParser, groups: Groups) -> None:
    """Add a group of flags for every dataclass, a flag for every field.

    Flags that are not given do not appear in the namespace, so that values from elsewhere can
    stand in for them.
    """
    for title, cls in groups.items():
        group = parser.add_argument_group(title)
        for spec, hint in _specs(cls):
            flag = "--" + spec.name.replace("_", "-")
            group.add_argument(flag, default=argparse.SUPPRESS, **_argument(spec, hint))


def build(groups: Groups, values: Mapping[str, Any], origin: str = "") -> dict[str, Any]:
    """Return an instance of every dataclass, by its group's title, from flat values by field name.

    Args:
        groups: The dataclasses.
        values: Values as flags or JSON give them.
        origin: Where the values come from, for messages.

    Raises:
        ValueError: A name is unknown, or a value has the wrong type or is out of range; names it.
    """
    known = {spec.name: (spec, hint) for cls in groups.values() for spec, hint in _specs(cls)}
    if unknown := sorted(set(values) - set(known)):
        raise ValueError(f"{origin or 'options'}: unknown {', '.join(unknown)}; see --help")
    checked = {name: _convert(value, *known[name], origin) for name, value in values.items()}
    return {
        title: cls(**{k.name: checked[k.name] for k in fields(cls) if k.name in checked})
        for title, cls in groups.items()
    }


def flatten(built: Mapping[str, Any]) -> dict[str, Any]:
    """Return all fields of all groups as one dictionary that JSON can hold."""
    values = {k: v for group in built.values() for k, v in asdict(group).items()}
    return json.loads(json.dumps(values))


def public(built: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `flatten` does without private options: what weights say of their making."""
    private = {
        spec.name
        for group in built.values()
        for spec in fields(group)
        if spec.metadata.get("private")
    }
    return {name: value for name, value in flatten(built).items() if name not in private}


def read_json(path: str | Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        ValueError: The file holds something else.
    """
    try:
        values = json.loads(Path(path).read_text())
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected a JSON object of options, got {type(values).__name__}")
    return values


def changeable_names(groups: Groups) -> set[str]:
    """Return the names of the options that may change when a run is resumed."""
    specs = [spec for cls in groups.values() for spec in fields(cls)]
    return {spec.name for spec in specs if spec.metadata.get("may_change_on_resume")}


def _specs(cls: type) -> list[tuple[Field[Any], Any]]:
    hints = typing.get_type_hints(cls)
    return [(spec, hints[spec.name]) for spec in fields(cls) if "help" in spec.metadata]


def _plain(hint: Any) -> tuple[Any, bool]:
    """Return the type without `| None`, and whether that was there."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        members = [a for a in typing.get_args(hint) if a is not type(None)]
        return members[0], len(members) < len(typing.get_args(hint))
    return hint, False


def _tuple_of(hint: Any) -> tuple[Any, int | None] | None:
    """Return a tuple type's element type and length (None: any); None if it is no tuple."""
    if typing.get_origin(hint) is not tuple:
        return None
    element, *rest = typing.get_args(hint)
    return element, None if rest == [Ellipsis] else 1 + len(rest)


def _argument(spec: Field[Any], hint: Any) -> dict[str, Any]:
    hint, _ = _plain(hint)
    shown = spec.default if spec.default is not MISSING else None
    text = spec.metadata["help"]
    if shown is not None and shown != ():
        several = isinstance(shown, tuple)
        text += f" (default: {' '.join(map(str, shown)) if several else shown})"
    argument: dict[str, Any] = {"help": text.replace("%", "%%")}
    if hint is bool:
        return argument | {"action": argparse.BooleanOptionalAction}
    argument |= {"choices": spec.metadata.get("choices"), "metavar": spec.metadata.get("metavar")}
    if several_of := _tuple_of(hint):
        element, length = several_of
        if length is None:
            return argument | {"type": element, "nargs": "+", "action": "extend"}
        return argument | {"type": element, "nargs": length}
    return argument | {"type": hint}


def _convert(value: Any, spec: Field[Any], hint: Any, origin: str) -> Any:
    hint, optional = _plain(hint)
    if value is None and optional:
        return None
    if several_of := _tuple_of(hint):
        element, length = several_of
        if isinstance(value, list | tuple) and length in (None, len(value)):
            return tuple(_scalar(v, spec, element, origin) for v in value)
        raise ValueError(
            f"{origin or 'options'}: {spec.name} must be a list of "
            f"{length or 'any number of'} {element.__name__}, got {value!r}"
        )
    return _scalar(value, spec, hint, origin)


def _scalar(value: Any, spec: Field[Any], hint: Any, origin: str) -> Any:
    fits = isinstance(value, int | float) if hint is float else isinstance(value, hint)
    if not fits or (isinstance(value, bool) and hint is not bool):
        raise ValueError(
            f"{origin or 'options'}: {spec.name} must be {hint.__name__}, got {value!r}"
        )
    choices = spec.metadata.get("choices")
    if choices is not None and value not in choices:
        raise ValueError(
            f"{origin or 'options'}: {spec.name} must be one of "
            f"{', '.join(map(str, choices))}; got {value!r}"
        )
    _check_range(value, spec)
    return hint(value)


def _check_range(value: Any, spec: Field[Any]) -> None:
    rules = (
        ("least", "at least", operator.ge),
        ("most", "at most", operator.le),
        ("below", "below", operator.lt),
    )
    for key, words, holds in rules:
        limit = spec.metadata.get(key)
        if limit is not None and not holds(value, limit):
            flag = "--" + spec.name.replace("_", "-")
            raise ValueError(f"{flag} must be {words} {limit:g}, got {value}")
