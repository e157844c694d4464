"""Groups of options, a dataclass each, as flags and as JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from dextr.common.errors import UserError
from dextr.common.files import read_json
from dextr.common.options import options_of

Groups = Mapping[str, type]


def add_options(parser: argparse.ArgumentParser, groups: Groups) -> None:
    """Add a group of flags for every dataclass; those not given are not in the namespace."""
    for title, cls in groups.items():
        group = parser.add_argument_group(title)
        for known in options_of(cls).values():
            group.add_argument(known.flag, default=argparse.SUPPRESS, **known.argument())


def check(groups: Groups, values: Mapping[str, Any], origin: str = "") -> dict[str, Any]:
    """Return flat values by field name as the dataclasses hold them, each checked by itself.

    The values are as flags or JSON give them; messages name their `origin`.

    Raises:
        ValueError: A name is unknown, or a value has the wrong type or is out of range; names it.
    """
    known = {name: option for cls in groups.values() for name, option in options_of(cls).items()}
    try:
        if unknown := sorted(set(values) - set(known)):
            raise UserError(f"unknown {', '.join(unknown)}; see --help")
        return {name: known[name].checked(value) for name, value in values.items()}
    except ValueError as error:
        raise UserError(f"{origin}: {error}" if origin else str(error)) from None


def build(groups: Groups, values: Mapping[str, Any], origin: str = "") -> dict[str, Any]:
    """Return an instance of every dataclass, by its group's title, from flat values; see `check`.

    Raises:
        ValueError: A value is wrong, or values do not go together.
    """
    checked = check(groups, values, origin)
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
        raise UserError(f"{path}: expected a JSON object of options, got {type(values).__name__}")
    return values
