"""What an option may be: said once, where it is declared, and held wherever a value comes from."""

from __future__ import annotations

import argparse
import re
import reprlib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from functools import cache
from numbers import Integral, Real
from types import MappingProxyType, NoneType
from typing import Any

from dextr.common.errors import UserError

LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Number:
    """Numbers of one kind from `least` to `most`; as argparse's `type` it reads them from text.

    With `below`, `most` itself is none of them. What is not finite never is.

    >>> whole(1, 9)("7")
    7
    >>> str(real(0, 1, below=True))
    'a number from 0 to less than 1'
    """

    kind: type
    least: float
    most: float
    below: bool = False

    def __contains__(self, value: object) -> bool:
        right = Integral if self.kind is int else Real
        if isinstance(value, bool) or not isinstance(value, right):
            return False
        number: Any = value
        return self.least <= number <= self.most and not (self.below and number == self.most)

    def __call__(self, text: str) -> Any:
        try:
            value = self.kind(text)
        except ValueError:
            value = None
        if value not in self:
            raise argparse.ArgumentTypeError(f"expected {self}, got {text!r}")
        return value

    def __str__(self) -> str:
        what = "a whole number" if self.kind is int else "a number"
        if self.most >= LARGEST:
            return f"{what} of {self.least:g} or more"
        return f"{what} from {self.least:g} to {'less than ' * self.below}{self.most:g}"


def whole(least: int, most: int = LARGEST) -> Number:
    """Return the whole numbers of a range, its ends included."""
    return Number(int, least, most)


def real(least: float, most: float = LARGEST, below: bool = False) -> Number:
    """Return the numbers of a range; with `below`, `most` is out of it."""
    return Number(float, least, most, below)


@dataclass(frozen=True)
class PlainName:
    """File names that mean the same in every shell, pattern and system."""

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and re.fullmatch(r"\w[\w.-]*", value) is not None

    def __str__(self) -> str:
        return "letters, digits, . _ and -"


PROBABILITY = real(0, 1)
SEEDS = whole(0, 2**63 - 1)


def option(
    default: Any, help: str, within: Number | PlainName | None = None, *,
    choices: Sequence[Any] | None = None, metavar: str | None = None,
    may_change_on_resume: bool = False, private: bool = False,
) -> Any:  # fmt: skip
    """Return a field of a `Checked` dataclass that is also a command line option.

    Its type is bool, int, float or str, that or None, or a tuple of such. Numbers without
    `choices` need a range, `within`; a pair of numbers is a range itself, its smaller end first.
    What `may_change_on_resume` does not change what is computed; what is `private` says something
    of the machine or its data: weights do not carry it.
    """
    metadata = {
        "help": help, "within": within, "choices": choices, "metavar": metavar,
        "may_change_on_resume": may_change_on_resume, "private": private,
    }  # fmt: skip
    return field(default=default, metadata=metadata)


class Checked:
    """A dataclass whose `option` fields are right in every instance; else a ValueError."""

    def __post_init__(self) -> None:
        cls: Any = type(self)
        for name, known in options_of(cls).items():
            known.checked(getattr(self, name))


@dataclass(frozen=True)
class Option:
    """A field with its type; `count` is a tuple's length, 0 for any, and None for a plain value."""

    spec: Field[Any]
    kind: type
    optional: bool
    count: int | None

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return "--" + self.spec.name.replace("_", "-")

    def argument(self) -> dict[str, Any]:
        """Return what argparse is told; ranges are left to `checked`."""
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

    def checked(self, value: Any) -> Any:
        """Return a value, as flags or JSON give it, as the dataclass holds it.

        Raises:
            ValueError: It is of another type or out of range.
        """
        if value is None and self.optional:
            return None
        if self.count is None:
            return self._checked_one(value)
        if not isinstance(value, list | tuple) or self.count not in (0, len(value)):
            number = self.count or "any number of"
            raise self._error(f"a list of {number} {self.kind.__name__}", value)
        values = tuple(self._checked_one(v) for v in value)
        if self.count == 2 and self.spec.metadata["within"] and values[0] > values[1]:
            raise self._error("two numbers, the smaller one first", value)
        return values

    def _checked_one(self, value: Any) -> Any:
        within, choices = (self.spec.metadata[key] for key in ("within", "choices"))
        if isinstance(value, bool) != (self.kind is bool):
            raise self._error(f"a value of type {self.kind.__name__}", value)
        if not isinstance(value, (int, float) if self.kind is float else self.kind):
            raise self._error(f"a value of type {self.kind.__name__}", value)
        if choices is not None and value not in choices:
            raise self._error(f"one of {', '.join(map(str, choices))}", value)
        if value == "":
            raise self._error("a text that is not empty", value)
        if within is not None and value not in within:
            raise self._error(str(within), value)
        return self.kind(value)

    def _error(self, expected: str, value: Any) -> UserError:
        return UserError(f"{self.flag}: expected {expected}, got {reprlib.repr(value)}")


@cache
def options_of(cls: type) -> Mapping[str, Option]:
    """Return the `option` fields of a dataclass by name."""
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
            found[spec.name] = Option(spec, kind, optional, count)
    return MappingProxyType(found)
