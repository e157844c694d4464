"""Images as people have them, to (H, W, 3) uint8 RGB."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from os import PathLike
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from dextr.common.errors import UserError
from dextr.common.image_files import (
    DAMAGE,
    FORMATS,
    one_line,
    open_image,
    orientation,
    warn_of_frames,
)

ImageLike: TypeAlias = str | PathLike[str] | Image.Image | NDArray

DEEPEST = 65535  # of 16 bits

# How an image (H, W, ...) becomes upright, by its EXIF orientation.
TURNS: dict[int, Callable[[NDArray], NDArray]] = {
    2: np.fliplr,
    3: lambda image: image[::-1, ::-1],
    4: np.flipud,
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


def as_rgb(image: ImageLike) -> NDArray[np.uint8]:
    """Return any image as (H, W, 3) uint8 RGB.

    Files and PIL images are turned as their EXIF orientation says; palettes are resolved;
    transparency is laid over white; grey becomes three equal channels; 16 bits are scaled to 8.
    Whole numbers of 32 bits are taken for 8 bits up to 255 and for 16 up to 65535.

    Args:
        image: A file, a PIL image, or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of
            bool, uint8, uint16 or float in 0..1.

    Raises:
        ValueError: The image is empty, unreadable, or of another kind; the message says which.
    """
    if isinstance(image, Image.Image):
        return _from_pil(image)
    if isinstance(image, (str, PathLike)):
        return read_image(image)
    try:
        array = np.asarray(image)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        raise UserError(
            f"expected an image as NumPy reads it, got {type(image).__name__} ({one_line(error)})"
        ) from None
    return _from_array(array)


def read_image(path: str | PathLike[str]) -> NDArray[np.uint8]:
    """Read an image file as (H, W, 3) uint8 RGB.

    Raises:
        ValueError: The file is missing, truncated or no image; the message names it.
    """
    with open_image(path) as image:
        warn_of_frames(path, image)
        turned = _decode_jpeg(image)
        return _decode(image) if turned is None else turned


def _decode_jpeg(image: ImageFile.ImageFile) -> NDArray[np.uint8] | None:
    """Return what `_decode` makes of an RGB JPEG file, sooner; None where Pillow must look.

    Pillow decodes as fast as OpenCV, but takes as long again to hand over a large photo.
    """
    file = image.fp
    if image.format not in ("JPEG", "MPO") or image.mode != "RGB" or file is None:
        return None
    file.seek(0)
    data = np.frombuffer(file.read(), np.uint8)
    # What is cut off, Pillow refuses; not every OpenCV does.
    if data[-2:].tolist() != [0xFF, 0xD9]:
        return None
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    if decoded is None or decoded.shape != (image.height, image.width, 3):
        return None
    return np.ascontiguousarray(_turned(decoded, image), np.uint8)


def _from_pil(image: Image.Image) -> NDArray[np.uint8]:
    unread, kind = getattr(image, "tile", ()), image.format
    if unread and kind not in FORMATS:
        raise UserError(f"expected an image of {', '.join(FORMATS)}, got {kind}: convert it first")
    try:
        return _decode(image)
    except ValueError:
        raise
    except DAMAGE as error:
        raise UserError(f"not a readable image ({one_line(error)})") from None


def _decode(image: Image.Image) -> NDArray[np.uint8]:
    image.load()
    if image.mode.startswith("I"):
        return _from_array(_turned(_whole_numbers(image), image))
    source = image
    if image.mode != "F" and (image.mode != "RGB" or image.has_transparency_data):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return _from_array(_turned(np.asarray(image), source))


def _turned(array: NDArray, image: Image.Image) -> NDArray:
    return TURNS.get(orientation(image), np.asarray)(array)


def _whole_numbers(image: Image.Image) -> NDArray:
    """Return the values of a picture of more than 8 bits as uint8 or uint16, by their range."""
    values = np.asarray(image)
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if low < 0 or high > DEEPEST:
        raise UserError(
            f"expected whole values 0..{DEEPEST}, got {low}..{high} (mode {image.mode}): scale "
            "them to 8 or 16 bits without a sign first"
        )
    # Older versions of Pillow have mode I for 16 bits, too.
    deep = image.mode != "I" or image.format in ("PNG", "PPM") or high > 255
    return values.astype(np.uint16 if deep else np.uint8)


def _from_array(array: NDArray) -> NDArray[np.uint8]:
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise UserError(
            f"expected an image (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got shape {array.shape}"
        )
    if array.size == 0:
        raise UserError(f"the image is empty: shape {array.shape}")
    array = _to_uint8(array)
    if array.shape[2] == 4:
        alpha = array[:, :, 3:].astype(np.uint16)
        array = ((array[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    if array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    return np.ascontiguousarray(array)


def _to_uint8(array: NDArray) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.newbyteorder("=") == np.uint16:
        if 0 < array.max() <= 255:
            warnings.warn(
                "an image of 16 bits whose values end at 255 at most is nearly black: if it has "
                "8 bits, convert it to uint8",
                stacklevel=2,
            )
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if np.issubdtype(array.dtype, np.floating):
        if array.min() >= 0 and array.max() <= 1:
            return np.rint(array * 255).astype(np.uint8)
        raise UserError(
            f"a float image must lie in 0..1, got {array.min():g}..{array.max():g}: convert "
            "0..255 values to uint8"
        )
    raise UserError(f"expected an image of bool, uint8, uint16 or float 0..1, got {array.dtype}")
