"""Decoding a file once for all the objects in it."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from dextr.common.images import read_image

T = TypeVar("T")


class LastRead(Generic[T]):
    """Keeps the last thing read, since objects of one image mostly come one after another.

    It travels empty to other processes.
    """

    def __init__(self) -> None:
        self._kept: tuple[int, T] | None = None

    def get(self, key: int, read: Callable[[int], T]) -> T:
        """Return `read(key)`, from memory where it is what was read last."""
        kept = self._kept
        if kept is None or kept[0] != key:
            self._kept = kept = (key, read(key))
        return kept[1]

    def __reduce__(self) -> tuple[type[LastRead], tuple[()]]:
        return LastRead, ()


def read_image_like(
    path: str | PathLike[str], hw: tuple[int, int], mask_path: str | PathLike[str]
) -> NDArray[np.uint8]:
    """Read an image (H, W, 3) that must have the size of its mask; it cannot be written to.

    Raises:
        ValueError: The image is unreadable or of another size; the message names both files.
    """
    image = read_image(path)
    if image.shape[:2] != tuple(hw):
        raise ValueError(
            f"{path} is {image.shape[1]} x {image.shape[0]} pixels, but its mask in {mask_path} "
            f"is {hw[1]} x {hw[0]}"
        )
    image.flags.writeable = False
    return image
