"""Odd images: arrays of every type and shape, files of many formats, damaged or enormous."""

from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
from fuzz.damage import damaged
from numpy.typing import NDArray
from PIL import Image

MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I"),
    "JPEG": ("L", "RGB", "CMYK"),
    "TIFF": ("1", "L", "P", "RGB", "RGBA", "CMYK", "LAB", "I;16", "F", "I", "YCbCr"),
    "GIF": ("L", "P", "RGB"),
    "WEBP": ("RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB"),
    "PPM": ("1", "L", "RGB", "I;16"),
    "JPEG2000": ("L", "RGB", "RGBA"),
    "AVIF": ("RGB", "RGBA"),
    "ICO": ("RGBA",),
    "TGA": ("L", "RGB", "RGBA"),
}
# What some readers hand to a program.
PROGRAMS = (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", b"\xc5\xd0\xd3\xc6" * 9)
DTYPES = (
    *("uint8",) * 16, "bool", "bool", "uint16", "uint16", ">u2", "float32", "float32",
    "float32", "float64", "float16", "int8", "int16", "int32", "int64", "uint64",
    "longdouble", "complex64", "O", "S3", "U3", "M8[s]",
)  # fmt: skip
MOST_PIXELS = 400_000


def odd_size(rng: random.Random) -> tuple[int, int]:
    """Draw height and width: 1 to 20,000 pixels wide or high, within some 400,000 pixels."""
    first = rng.choice((1, 2, 3, rng.randrange(4, 100), rng.randrange(100, 600), 20_000))
    other = rng.choice((1, 2, rng.randrange(1, 100), rng.randrange(100, 600)))
    other = max(1, min(other, MOST_PIXELS // first))
    return rng.choice(((first, other), (other, first)))


def odd_array(rng: random.Random) -> NDArray:
    """Draw an array of any type, number of axes and channels, with odd values and layouts."""
    hw = odd_size(rng)
    if rng.random() < 0.03:
        hw = rng.choice(((0, hw[1]), (hw[0], 0)))
    shape: tuple[int, ...] = rng.choice((hw, *((*hw, c) for c in (3,) * 6 + (1, 2, 4, 4, 5, 0))))
    if rng.random() < 0.03:
        shape = rng.choice(((), (hw[0],), (1, *hw, 3), (3, *hw)))
    dtype = np.dtype(rng.choice(DTYPES))
    values = np.random.default_rng(rng.randrange(2**32)).random(shape)
    if dtype.kind in "iuS":
        values = values * rng.choice((1, 255, 70_000, -300))
    if dtype.kind == "f" and rng.random() < 0.2 and values.size:
        values.flat[rng.randrange(values.size)] = rng.choice((np.nan, np.inf, -1, 1.5, 255))
    with np.errstate(all="ignore"):
        array = values.astype("int64" if dtype.kind == "M" else dtype, casting="unsafe")
        array = array.astype(dtype)
    layout = rng.randrange(5)
    if layout == 0:
        array = np.asfortranarray(array)
    elif layout == 1:
        array = array[::-1, ::-1] if array.ndim > 1 else array[::-1] if array.ndim else array
    elif layout == 2:
        array.flags.writeable = False
    elif layout == 3 and array.ndim > 1:
        array = np.ma.masked_array(array, np.zeros(array.shape, bool))
    return array


def odd_file(rng: random.Random, folder: Path) -> tuple[Path, bool]:
    """Write an image file; returns its path and whether it is whole."""
    path = folder / f"image.{rng.choice(('jpg', 'png', 'tif', 'x', 'JPEG'))}"
    if rng.random() < 0.06:
        path.write_bytes(_bomb(rng))
        return path, False
    if rng.random() < 0.03:
        path.write_bytes(rng.choice(PROGRAMS))
        return path, False
    content = _encoded(rng)
    broken = damaged(rng, content) if rng.random() < 0.5 else content
    path.write_bytes(broken)
    return path, broken == content


def odd_picture(rng: random.Random) -> Image.Image:
    """Draw a PIL image, also one whose file is damaged and not read yet."""
    if rng.random() < 0.7:
        mode = rng.choice(("1", "L", "P", "PA", "LA", "La", "RGB", "RGBA", "RGBa", "RGBX", "CMYK",
                           "YCbCr", "LAB", "HSV", "I", "F", "I;16", "I;16B"))  # fmt: skip
        return Image.new(mode, odd_size(rng)[::-1])
    content = _encoded(rng)
    return Image.open(io.BytesIO(content[: len(content) - rng.randrange(3) * 20]))


def _encoded(rng: random.Random) -> bytes:
    kind = rng.choice(list(MODES))
    mode = rng.choice(MODES[kind])
    height, width = odd_size(rng)
    noise = np.random.default_rng(rng.randrange(2**32)).integers(0, 256, (height, width, 3))
    picture = Image.fromarray(noise.astype(np.uint8))
    if kind in ("WEBP", "GIF", "ICO") or mode in ("P", "LAB"):
        picture.thumbnail((256, 256))
    if mode in ("I;16", "I", "F"):
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(
            {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]))  # fmt: skip
    elif mode == "LAB":
        picture = Image.new("LAB", picture.size, (99, 120, 130))
    else:
        picture = picture.convert(mode)
    options: dict[str, object] = {}
    if kind in ("JPEG", "PNG", "TIFF", "WEBP") and rng.random() < 0.4:
        options["exif"] = _exif(rng)
    if kind in ("GIF", "PNG", "WEBP", "TIFF") and rng.random() < 0.2:
        options |= {"save_all": True, "append_images": [picture.copy()] * 2}
    if kind == "PNG" and mode in ("P", "L", "RGB") and rng.random() < 0.3:
        options["transparency"] = (1, 2, 3) if mode == "RGB" else 7
    file = io.BytesIO()
    try:
        picture.save(file, kind, **options)
    except (ValueError, OSError, SyntaxError, struct.error, RuntimeError, KeyError):
        file = io.BytesIO()
        picture.convert("RGB").save(file, "PNG")
    return file.getvalue()


def _exif(rng: random.Random) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = rng.choice((*range(10), 65535, "six", (6, 6), b"\x06"))
    try:
        content = exif.tobytes()
    except (struct.error, TypeError, ValueError):
        content = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08"
    return damaged(rng, content) if rng.random() < 0.4 else content


def _bomb(rng: random.Random) -> bytes:
    """A small PNG that says it is enormous; with or without the pixels it promises."""
    width, height = rng.choice(
        (
            (2**31 - 1, 2**31 - 1),
            (100_000, 100_000),
            (20_000, 20_000),
            (2**31 - 1, 1),
            (13_000, 9_000),
        )
    )
    rows = zlib.compress(bytes(10**6))
    if (width, height) == (13_000, 9_000) and rng.random() < 0.2:
        rows = zlib.compress(bytes((width + 1) * height), 1)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
