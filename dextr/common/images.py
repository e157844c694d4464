"""Images as people have them, to (H, W, 3) uint8 RGB."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from dextr.common.errors import UserError

ImageLike: TypeAlias = str | PathLike[str] | Image.Image | NDArray

# What Pillow lets out, once the pixels are read, where EXIF data is damaged: then it says nothing.
BAD_EXIF = (
    struct.error, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, OSError,
    EOFError,
)  # fmt: skip

# How an image (H, W, 3) becomes upright, by its EXIF orientation.
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
    return _from_array(np.asarray(image))


def read_image(path: str | PathLike[str]) -> NDArray[np.uint8]:
    """Read an image file as (H, W, 3) uint8 RGB.

    Raises:
        ValueError: The file is missing, truncated or no image; the message names it.
    """
    with open_image(path) as image:
        turned = _decode_jpeg(path, image)
        return _from_pil(image) if turned is None else turned


def readable_suffixes() -> set[str]:
    """Return how the names of image files end, in lower case: `.jpg` and so on."""
    return {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}


def image_files(folder: Path) -> list[Path]:
    """Return a folder's image files by name, hidden ones and folders in it left out.

    Raises:
        ValueError: There are none.
    """
    known, entries = readable_suffixes(), sorted(folder.iterdir())
    files = [f for f in entries if f.suffix.lower() in known and not f.name.startswith(".")]
    if not files:
        raise UserError(f"{folder}: no image in this folder")
    return files


@contextmanager
def open_image(path: str | PathLike[str]) -> Iterator[Image.Image]:
    """Open an image file; whatever is wrong with it becomes a ValueError that names it."""
    try:
        with Image.open(path) as image:
            yield image
    except FileNotFoundError:
        raise UserError(f"{path}: no such image file") from None
    except (Image.DecompressionBombError, OSError, SyntaxError, struct.error) as error:
        raise UserError(f"{path}: not a readable image ({error})") from None
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


def _decode_jpeg(path: str | PathLike[str], image: Image.Image) -> NDArray[np.uint8] | None:
    """Return what `_from_pil` makes of an RGB JPEG file, sooner; None where Pillow must look.

    Pillow decodes as fast as OpenCV, but takes as long again to hand over a large photo.
    """
    if image.format not in ("JPEG", "MPO") or image.mode != "RGB":
        return None
    data = np.fromfile(path, np.uint8)
    # What is cut off, Pillow refuses; not every OpenCV does.
    if data[-2:].tolist() != [0xFF, 0xD9]:
        return None
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    if decoded is None or decoded.shape != (image.height, image.width, 3):
        return None
    orientation = 1
    with suppress(*BAD_EXIF):
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    turn = TURNS.get(orientation, np.asarray)
    return np.ascontiguousarray(turn(decoded), np.uint8)


def _from_pil(image: Image.Image) -> NDArray[np.uint8]:
    try:
        image.load()
    except SyntaxError as error:
        raise UserError(f"not a readable image ({error})") from None
    with suppress(*BAD_EXIF):
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        return _from_array(np.asarray(image).astype(np.uint16))
    if image.mode != "F" and (image.mode != "RGB" or image.has_transparency_data):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return _from_array(np.asarray(image))


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
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if np.issubdtype(array.dtype, np.floating):
        if array.min() >= 0 and array.max() <= 1:
            return np.rint(array * 255).astype(np.uint8)
        raise UserError(
            f"a float image must lie in 0..1, got {array.min():g}..{array.max():g}: convert "
            "0..255 values to uint8"
        )
    raise UserError(f"expected an image of bool, uint8, uint16 or float 0..1, got {array.dtype}")
