"""Boxes and crop windows: the only conversion between an image and the network's square crop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from dextr.common.errors import UserError
from dextr.common.options import real, whole

RELAX = 50
SIZE = 512
# What a network is given: more than this fills gigabytes at the first prediction.
SIZES = whole(16, 2048)
MARGINS = whole(0, 2000)
SHARES = real(0, 1)


@dataclass(frozen=True)
class Box:
    """Pixels of columns x0 .. x1 - 1 and rows y0 .. y1 - 1 (half-open); may leave the image.

    >>> Box(2, 3, 5, 4).hw
    (1, 3)
    """

    x0: int
    y0: int
    x1: int
    y1: int

    def __post_init__(self) -> None:
        if self.x1 <= self.x0 or self.y1 <= self.y0:
            raise UserError(f"a box needs x0 < x1 and y0 < y1, got {self}")

    @classmethod
    def of_mask(cls, mask: NDArray) -> Box:
        """Return the tight box of a mask (H, W); an empty one is a ValueError."""
        rows = np.flatnonzero(mask.any(axis=1))
        if rows.size == 0:
            raise UserError(f"the mask is empty: no pixel of {mask.shape} is set")
        columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
        return cls(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)

    @classmethod
    def of_points(cls, points: NDArray) -> Box:
        """Return the tight box of the pixels that points (N, 2), xy, fall into."""
        pixels = np.floor(np.asarray(points, dtype=np.float64) + 0.5).astype(np.int64)
        (x0, y0), (x1, y1) = pixels.min(axis=0), pixels.max(axis=0)
        return cls(int(x0), int(y0), int(x1) + 1, int(y1) + 1)

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.y1 - self.y0, self.x1 - self.x0

    def relaxed(self, margin: int) -> Box:
        """Return the box enlarged by `margin` pixels on every side."""
        return Box(self.x0 - margin, self.y0 - margin, self.x1 + margin, self.y1 + margin)

    def inside(self, hw: tuple[int, int]) -> Box:
        """Return the part inside an image of that size; a ValueError if there is none."""
        return Box(max(self.x0, 0), max(self.y0, 0), min(self.x1, hw[1]), min(self.y1, hw[0]))

    def slices(self, origin: Box | None = None) -> tuple[slice, slice]:
        """Return the (rows, columns) that index this box in an array starting at `origin`."""
        x, y = (origin.x0, origin.y0) if origin else (0, 0)
        return slice(self.y0 - y, self.y1 - y), slice(self.x0 - x, self.x1 - x)


@dataclass(frozen=True)
class Margin:
    """How far a crop reaches beyond the object's box on every side, growing with the object.

    Attributes:
        pixels: Least margin, in pixels of the image.
        share: Margin as a share of the box's longer side, where that is more.
    """

    pixels: int
    share: float

    def __post_init__(self) -> None:
        if self.pixels not in MARGINS or self.share not in SHARES:
            raise UserError(
                f"expected a margin in pixels, {MARGINS}, and a share, {SHARES}: {self}"
            )

    @classmethod
    def of(cls, plain: Any) -> Relax:
        """Return what a file or command line says: PIXELS, "PIXELS,SHARE", or the two by name.

        Raises:
            ValueError: It is none of these, or out of range.
        """
        relax = plain
        try:
            if isinstance(plain, str):
                pixels, *share = plain.split(",")
                relax = cls(int(pixels), float(*share)) if share else int(pixels)
            elif isinstance(plain, Mapping):
                relax = cls(**plain)
        except (TypeError, ValueError):
            relax = None
        if not isinstance(relax, Margin) and relax not in MARGINS:
            raise UserError(
                f"expected a margin as PIXELS or PIXELS,SHARE (such as 20,0.2), pixels {MARGINS}, "
                f"share {SHARES}; got {plain!r}"
            )
        return relax

    def around(self, box: Box) -> int:
        """Return the margin of a tight box in pixels."""
        return max(self.pixels, round(self.share * max(box.hw)))


Relax: TypeAlias = int | Margin


def plain_relax(relax: Relax) -> int | dict[str, Any]:
    """Return a margin as JSON holds it; see `Margin.of`."""
    return asdict(relax) if isinstance(relax, Margin) else relax


@dataclass(frozen=True)
class CropWindow:
    """The part of an image the network sees, resized to a square without keeping its aspect.

    Arrays given to it must have the image's or the crop's size; a ValueError says so.

    Attributes:
        box: The object's box with its margin; may leave the image (zero there).
        object_box: The tight box; outside it a pasted probability is zero.
        image_hw: Height and width of the image.
        size: Side of the square crop in pixels.
    """

    box: Box
    object_box: Box
    image_hw: tuple[int, int]
    size: int = SIZE

    @classmethod
    def around(
        cls,
        mask_or_points: NDArray,
        image_hw: tuple[int, int],
        relax: Relax = RELAX,
        size: int = SIZE,
    ) -> CropWindow:
        """Return the window around an object (paper section 3.1: the box relaxed by 50 pixels).

        Args:
            mask_or_points: A mask of the image's size, or points (N, 2), xy. What is both, in an
                image two pixels wide, is a mask if bool or unsigned, else points.
            image_hw: Height and width of the image.
            relax: Margin on every side, in pixels of the image, or a rule.
            size: Side of the square crop.

        Raises:
            ValueError: An empty mask, or an array that is neither mask nor points.
        """
        array = np.asarray(mask_or_points)
        if array.shape == tuple(image_hw) and (array.dtype.kind in "bu" or array.shape[1] != 2):
            return cls.around_mask(array, relax, size)
        if array.ndim == 2 and array.shape[1] == 2 and len(array) and array.dtype.kind != "b":
            return cls.around_points(array, image_hw, relax, size)
        raise UserError(
            f"expected a mask of the image's size {tuple(image_hw)} or points (N, 2), "
            f"got an array of shape {array.shape}"
        )

    @classmethod
    def around_mask(cls, mask: NDArray, relax: Relax = RELAX, size: int = SIZE) -> CropWindow:
        """Return the window around a mask (H, W) of the image's size; see `around`."""
        return cls._around(Box.of_mask(mask), mask.shape, relax, size)

    @classmethod
    def around_points(
        cls, points: NDArray, image_hw: tuple[int, int], relax: Relax = RELAX, size: int = SIZE
    ) -> CropWindow:
        """Return the window around points (N, 2), xy; see `around`."""
        return cls._around(Box.of_points(points), image_hw, relax, size)

    @classmethod
    def _around(cls, tight: Box, image_hw: Sequence[int], relax: Relax, size: int) -> CropWindow:
        margin = relax.around(tight) if isinstance(relax, Margin) else relax
        if margin < 0 or size < 1:
            raise UserError(f"expected relax >= 0 and size >= 1, got {relax} and {size}")
        return cls(tight.relaxed(margin), tight, (int(image_hw[0]), int(image_hw[1])), size)

    @property
    def scale(self) -> tuple[float, float]:
        """Crop pixels per image pixel along x and y."""
        height, width = self.box.hw
        return self.size / width, self.size / height

    def cut(self, array: NDArray, interpolation: int = cv2.INTER_CUBIC) -> NDArray:
        """Return the window's content, (size, size) or (size, size, C); zero outside the image.

        Args:
            array: (H, W) or (H, W, C), of the image's size.
            interpolation: An OpenCV flag. `INTER_NEAREST` keeps the type; with any other the
                array becomes float32 first, and cubic overshoots its range a little.
        """
        self._check_size(array, self.image_hw)
        dtype = array.dtype if interpolation == cv2.INTER_NEAREST else np.dtype(np.float32)
        plain = np.dtype(np.uint8) if dtype.kind == "b" else dtype
        seen = self.box.inside(self.image_hw)
        if seen == self.box:
            content = np.ascontiguousarray(array[seen.slices()], dtype=plain)
        else:
            content = np.zeros(self.box.hw + array.shape[2:], plain)
            content[seen.slices(self.box)] = array[seen.slices()]
        crop = cv2.resize(content, (self.size, self.size), interpolation=interpolation)
        return crop.astype(dtype, copy=False)

    def to_crop(self, points: NDArray) -> NDArray[np.float64]:
        """Map image points (N, 2), xy, into the crop; pixel centres are integers in both."""
        corner = (self.box.x0 - 0.5, self.box.y0 - 0.5)
        return (np.asarray(points, dtype=np.float64) - corner) * self.scale - 0.5

    def to_image(self, points: NDArray) -> NDArray[np.float64]:
        """Map crop points (N, 2), xy, back into the image: the inverse of `to_crop`."""
        corner = (self.box.x0 - 0.5, self.box.y0 - 0.5)
        return (np.asarray(points, dtype=np.float64) + 0.5) / self.scale + corner

    def paste(self, prob: NDArray, clip: bool = True) -> NDArray[np.float32]:
        """Put a crop's probabilities (size, size) back into an image of zeros (H, W).

        Args:
            prob: Values on the crop; resized with cubic interpolation.
            clip: Leave zero what lies outside the tight box, as published; otherwise what lies
                outside the window.
        """
        part, content = self.paste_part(prob, clip)
        image = np.zeros(self.image_hw, np.float32)
        image[part.slices()] = content
        return image

    def paste_part(self, prob: NDArray, clip: bool = True) -> tuple[Box, NDArray[np.float32]]:
        """Return the part of the image that `paste` fills, and what it puts there."""
        self._check_size(prob, (self.size, self.size))
        content = np.ascontiguousarray(prob, dtype=np.float32)
        content = cv2.resize(content, self.box.hw[::-1], interpolation=cv2.INTER_CUBIC)
        part = (self.object_box if clip else self.box).inside(self.image_hw)
        return part, content[part.slices(self.box)]

    @staticmethod
    def _check_size(array: NDArray, hw: tuple[int, int]) -> None:
        if array.shape[:2] != tuple(hw):
            raise UserError(f"expected an array of size {tuple(hw)}, got shape {array.shape}")
