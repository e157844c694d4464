"""Plain numbers, texts and tensors: all that a file of weights may hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dextr.common.errors import UserError

NUMBERS = frozenset({
    torch.float16, torch.bfloat16, torch.float32, torch.float64,
    torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool,
})  # fmt: skip
DEEPEST = 20


def plain_tensors(state: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Return a state whose every entry is a plain tensor of finite numbers in memory.

    Raises:
        ValueError: An entry is not; the message names it and what it is.
    """
    for name, value in state.items():
        if not isinstance(name, str) or type(value) not in (Tensor, nn.Parameter):
            got = f"{type(value).__name__} under {name!r:.80}"
            raise UserError(f"expected tensors by name, got {got}")
        if kind := _odd_kind(value):
            raise UserError(f"{name:.80}: expected a plain tensor of numbers, got {kind}")
        if value.is_floating_point() and not value.isfinite().all():
            raise UserError(f"{name:.80} holds values that are not finite")
    return {name: value.detach() for name, value in state.items()}


def _odd_kind(value: Tensor) -> str | None:
    if value.is_nested:
        return "a nested one"
    if value.layout != torch.strided:
        return f"a sparse one ({value.layout})"
    if value.device.type != "cpu":
        return f"one without values on the CPU (device {value.device})"
    if value.is_quantized or value.dtype not in NUMBERS:
        return f"one of {value.dtype}"
    held = value.untyped_storage().nbytes()
    if value.numel() * value.element_size() > held:
        # Each further look at it would take the memory it claims.
        return f"one of {value.numel():,} values in {held:,} bytes"
    return None


def require_plain(value: Any, depth: int = 0) -> None:
    """Refuse what is no plain value as JSON has them, or is nested deeper than anything of ours.

    Raises:
        ValueError: A part of it is of another kind; says which.
    """
    if depth > DEEPEST:
        raise UserError(f"its description is nested more than {DEEPEST} deep")
    if isinstance(value, Mapping):
        for name, part in value.items():
            require_plain(name, depth + 1)
            require_plain(part, depth + 1)
    elif isinstance(value, list | tuple):
        for part in value:
            require_plain(part, depth + 1)
    elif value is not None and type(value) not in (str, int, float, bool):
        raise UserError(f"its description is not understood (it holds {type(value).__name__})")


def shown(value: object) -> str:
    """Return a value as text, or its type where that would take lines."""
    plain = value is None or type(value) in (str, int, float, bool)
    return f"{value!r:.40}" if plain else type(value).__name__
