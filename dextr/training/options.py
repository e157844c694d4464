"""Dataclass fields as command line options: each option is written once, with its help text."""

from __future__ import annotations

import argparse
import json
import operator
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, asdict, dataclass, field, fields
from pathlib import Path
from types import NoneType
from typing import Any

from dextr.common.files import read_json

Groups = Mapping[str, type]
RANGES: tuple[tuple[str, str, Callable[[Any, Any], bool]], ...] = (
    ("least", "at least", operator.ge),
    ("most", "at most", operator.le),
    ("below", "below", operator.lt),
)


def option(
    default: Any, help: str, *, choices: Sequence[Any] | None = None, metavar: str | None = None,
    least: float | None = None, most: float | None = None, below: float | None = None,
    may_change_on_resume: bool = False, private: bool = False,
) -> Any:  # fmt: skip
    """Return a dataclass field that is also a command line option.

    Its type is one that argparse knows, that or None, or a tuple of such. Numbers must be from
    `least` to `most` and smaller than `below`. What `may_change_on_resume` does not change what is
    computed; what is `private` says something of the machine or its data: weights do not carry it.
    """
    metadata = {
        "help": help, "choices": choices, "metavar": metavar, "least": least, "most": most,
        "below": below, "may_change_on_resume": may_change_on_resume, "private": private,
    }  # fmt: skip
    return field(default=default, metadata=metadata)


def add_options(parser: argparse.ArgumentParser, groups: Groups) -> None:
    """Add a group of flags for every dataclass; those not given are not in the namespace."""
    for title, cls in groups.items():
        group = parser.add_argument_group(title)
        for name, known in _options(cls).items():
            group.add_argument(_flag(name), default=argparse.SUPPRESS, **known.argument())


def build(groups: Groups, values: Mapping[str, Any], origin: str = "") -> dict[str, Any]:
    """Return an instance of every dataclass, by its group's title, from flat values by field name.

    The values are as flags or JSON give them; messages name their `origin`.

    Raises:
        ValueError: A name is unknown, or a value has the wrong type or is out of range; names it.
    """
    known = {name: option for cls in groups.values() for name, option in _options(cls).items()}
    origin = origin or "options"
    if unknown := sorted(set(values) - set(known)):
        raise ValueError(f"{origin}: unknown {', '.join(unknown)}; see --help")
    checked = {name: known[name].checked(value, origin) for name, value in values.items()}
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
    private = marked(built, "private")
    return {name: value for name, value in flatten(built).items() if name not in private}


def marked(groups: Mapping[str, Any], mark: str) -> set[str]:
    """Return the names of the options that are `private`, or `may_change_on_resume`."""
    specs = [spec for group in groups.values() for spec in fields(group)]
    return {spec.name for spec in specs if spec.metadata.get(mark)}


def read_options(path: str | Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        ValueError: The file holds something else.
    """
    values = read_json(path)
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected a JSON object of options, got {type(values).__name__}")
    return values


@dataclass(frozen=True)
class _Option:
    """A field with its type; `count` is a tuple's length, 0 for any, and None for a plain value."""

    spec: Field[Any]
    kind: type
    optional: bool
    count: int | None

    def argument(self) -> dict[str, Any]:
        """Return what argparse is told."""
        default, metadata = self.spec.default, self.spec.metadata
        text = metadata["help"]
        if default not in (None, ()):
            shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
            text += f" (default: {shown})"
        argument = {"help": text.replace("%", "%%")}
        if self.kind is bool:
            return argument | {"action": argparse.BooleanOptionalAction}
        if self.count is not None:
            argument |= {"nargs": self.count} if self.count else {"nargs": "+", "action": "extend"}
        told = {key: metadata.get(key) for key in ("choices", "metavar")}
        return argument | told | {"type": self.kind}

    def checked(self, value: Any, origin: str) -> Any:
        """Return a value as the dataclass holds it."""
        if value is None and self.optional:
            return None
        if self.count is None:
            return self._checked_one(value, origin)
        if not isinstance(value, list | tuple) or self.count not in (0, len(value)):
            raise ValueError(
                f"{origin}: {self.spec.name} must be a list of {self.count or 'any number of'} "
                f"{self.kind.__name__}, got {value!r}"
            )
        return tuple(self._checked_one(v, origin) for v in value)

    def _checked_one(self, value: Any, origin: str) -> Any:
        name, metadata = self.spec.name, self.spec.metadata
        allowed = (int, float) if self.kind is float else self.kind
        if not isinstance(value, allowed) or (isinstance(value, bool) and self.kind is not bool):
            raise ValueError(f"{origin}: {name} must be {self.kind.__name__}, got {value!r}")
        choices = metadata.get("choices")
        if choices is not None and value not in choices:
            listed = ", ".join(map(str, choices))
            raise ValueError(f"{origin}: {name} must be one of {listed}; got {value!r}")
        for key, words, holds in RANGES:
            limit = metadata.get(key)
            if limit is not None and not holds(value, limit):
                raise ValueError(f"{_flag(name)} must be {words} {limit:g}, got {value}")
        return self.kind(value)


def _options(cls: type) -> dict[str, _Option]:
    found = {}
    hints = typing.get_type_hints(cls)
    for spec in fields(cls):
        if "help" in spec.metadata:
            hint = hints[spec.name]
            optional = NoneType in typing.get_args(hint)
            hint = typing.get_args(hint)[0] if optional else hint
            kind, *rest = typing.get_args(hint) or (hint,)
            length = 0 if rest == [Ellipsis] else 1 + len(rest)
            count = length if typing.get_origin(hint) is tuple else None
            found[spec.name] = _Option(spec, kind, optional, count)
    return found


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
