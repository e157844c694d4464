"""The typed records that travel through the code; and the threshold of a mask."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from dextr.common.errors import UserError
from dextr.geometry import CropWindow
from dextr.inputs import decode, decode_part

# Probability above which a pixel is the object's.
THRESHOLD = 0.8
# IoU below which an object is hard, or weakly segmented (paper section 4.6).
HARD_BELOW = 0.8


@dataclass(frozen=True)
class Instance:
    """One annotated object of one image.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        mask: (H, W) bool, the object.
        void: (H, W) bool, pixels nobody decided; never part of the mask.
        image_id: The image's name in its data set.
        object_id: The object's number in its image or data set.
        category: Index into the data set's category names; -1 where it has none.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    void: NDArray[np.bool_]
    image_id: str
    object_id: int
    category: int = -1

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise UserError(
                f"{self.name}: expected an image (H, W, 3) uint8, "
                f"got {self.image.shape} {self.image.dtype}"
            )
        for what, array in (("mask", self.mask), ("void", self.void)):
            if array.shape != self.hw or array.dtype != bool:
                raise UserError(
                    f"{self.name}: expected a {what} {self.hw} bool like the image, "
                    f"got {array.shape} {array.dtype}"
                )

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def name(self) -> str:
        """The object's identity in words, for messages and file names."""
        return f"{self.image_id}#{self.object_id}"


@dataclass(frozen=True)
class Example:
    """One object as the network sees it.

    Attributes:
        inputs: (4, S, S) float32: R, G, B and heat map, each about 0..255.
        target: (S, S) bool, the object on the crop.
        void: (S, S) bool, undecided pixels on the crop.
        name: The object's identity.
    """

    inputs: NDArray[np.float32]
    target: NDArray[np.bool_]
    void: NDArray[np.bool_]
    name: str


@dataclass(frozen=True)
class Prediction:
    """What the network says of one object; as small as its crop until the image is asked for.

    Attributes:
        logits: (S, S) float32 on the crop.
        threshold: Probability above which a pixel belongs to the object.
        points: (N, 2) float, xy: the clicks it was made from.
        window: The crop it was made on.
    """

    logits: NDArray[np.float32]
    threshold: float
    points: NDArray[np.float64]
    window: CropWindow

    @property
    def prob(self) -> NDArray[np.float32]:
        """(H, W) float32 in 0..1, zero outside the object's box; made anew at every access."""
        return decode(self.logits, self.window)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) bool: where the probability exceeds the threshold; made anew at every access."""
        part, prob = decode_part(self.logits, self.window)
        mask = np.zeros(self.window.image_hw, bool)
        mask[part.slices()] = prob > self.threshold
        return mask


def check_threshold(threshold: float) -> float:
    """Return the threshold if it lies in 0..1.

    Raises:
        ValueError: It does not, or is no number.
    """
    return check_share(threshold, "a threshold")


def check_share(value: float, what: str = "a share") -> float:
    """Return a number if it lies in 0..1.

    Raises:
        ValueError: It does not, or is no number.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= 1:
        raise UserError(f"expected {what} in 0..1, got {value!r}")
    return float(value)
