"""Odd numbers, odd values and damaged bytes, all drawn from one seeded source."""

from __future__ import annotations

import random

NUMBERS = (
    0, -0.0, 1, -1, 0.5, -0.5, -0.500001, 2**31, 2**53 + 1, 2**63, -(2**64), 10**400, 1e308, 1e-320,
    float("nan"), float("inf"), float("-inf"), True,
)  # fmt: skip
WORDS = (
    "",
    " ",
    "x",
    "12",
    "nan",
    "1e999",
    "\x00",
    "\ufeff",
    "ä/é",
    "../up",
    "/etc/passwd",
    "\udc80",
)


def odd_value(rng: random.Random, depth: int = 0) -> object:
    """Draw any value JSON can hold, and some that only Python's reader takes."""
    kind = rng.randrange(8)
    if kind < 3:
        return rng.choice(NUMBERS)
    if kind < 5:
        return rng.choice(WORDS)
    if kind == 5 or depth > 3:
        return None
    if kind == 6:
        return [odd_value(rng, depth + 1) for _ in range(rng.randrange(5))]
    return {rng.choice(WORDS): odd_value(rng, depth + 1) for _ in range(rng.randrange(4))}


def replace_somewhere(rng: random.Random, value: object) -> object:
    """Return JSON data with one part, at any depth, exchanged, left out or doubled."""
    if rng.random() < 0.2 or not isinstance(value, dict | list) or not value:
        return odd_value(rng)
    if isinstance(value, list):
        k = rng.randrange(len(value))
        parts = rng.choice(([], [value[k]] * 2, [replace_somewhere(rng, value[k])]))
        return [*value[:k], *parts, *value[k + 1 :]]
    key = rng.choice(list(value))
    if rng.random() < 0.15:
        return {k: v for k, v in value.items() if k != key}
    return {**value, key: replace_somewhere(rng, value[key])}


def damaged(rng: random.Random, content: bytes) -> bytes:
    """Return bytes cut short, with some changed, doubled or lost; sometimes as they were."""
    kind = rng.randrange(6)
    if not content or kind == 0:
        return content
    at = rng.randrange(len(content))
    if kind == 1:
        return content[:at]
    if kind == 2:
        changed = bytearray(content)
        for _ in range(rng.choice((1, 1, 4, 64))):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        return bytes(changed)
    if kind == 3:
        return content[:at] + rng.randbytes(rng.choice((1, 4, 300))) + content[at:]
    if kind == 4:
        return content[:at] + content[at + rng.choice((1, 4, 100)) :]
    # Where sizes and counts are kept.
    head = bytearray(content)
    for k in range(rng.randrange(1, 5)):
        head[(rng.randrange(min(len(head), 64)) + k) % len(head)] = rng.choice(
            (0, 1, 127, 128, 255)
        )
    return bytes(head)
