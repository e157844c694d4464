"""Files that hold pictures: which kinds are opened, and how, so that nothing but pixels comes."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path

from PIL import ExifTags, Image, ImageFile
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import SAMPLEFORMAT

from dextr.common.errors import UserError
from dextr.common.files import open_regular

# Pillow goes by a file's content, not its name, and hands PostScript to a program: only these.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000", "PPM", "AVIF")
HEIC_SUFFIXES = (".heic", ".heif", ".hif")
HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
NO_HEIC = "HEIC photos are not supported: save them as JPEG first"
# Their further pictures are frames or pages; those of MPO belong to the first.
ANIMATED = ("GIF", "WEBP", "PNG", "AVIF", "TIFF")
MARK = "DEXTR"
SIGNED = 2  # TIFF's SampleFormat

# What Pillow lets out, where a file or its EXIF data is damaged.
DAMAGE = (
    struct.error, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, OSError,
    EOFError, AttributeError, AssertionError, RuntimeError, Image.DecompressionBombError,
)  # fmt: skip


def readable_formats() -> list[str]:
    """Return Pillow's names of the formats that are opened, as far as this Pillow has them."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def readable_suffixes() -> set[str]:
    """Return how the names of image files end, in lower case: `.jpg` and so on."""
    known = set(readable_formats())
    return {suffix for suffix, kind in Image.registered_extensions().items() if kind in known}


def image_files(folder: Path) -> list[Path]:
    """Return a folder's image files by name, hidden ones and folders in it left out.

    Raises:
        ValueError: There are none.
    """
    known = readable_suffixes()
    entries = [f for f in sorted(folder.iterdir()) if not f.name.startswith(".")]
    files = [f for f in entries if f.suffix.lower() in known]
    heic = [f for f in entries if f.suffix.lower() in HEIC_SUFFIXES]
    if not files:
        raise UserError(f"{folder}: no image in this folder" + (f"; {NO_HEIC}" if heic else ""))
    if heic:
        warnings.warn(f"{heic[0]} ({len(heic)} such files): {NO_HEIC}", stacklevel=2)
    return files


@contextmanager
def open_image(path: str | PathLike[str]) -> Iterator[ImageFile.ImageFile]:
    """Open an image file of `FORMATS`; whatever is wrong with it becomes a ValueError naming it."""
    try:
        with open_regular(path) as file, Image.open(file, formats=readable_formats()) as image:
            _refuse_signed_bytes(image)
            yield image
    except FileNotFoundError:
        raise UserError(f"{path}: no such image file") from None
    except Image.UnidentifiedImageError:
        raise UserError(f"{path}: not a readable image ({_what_it_is(path)})") from None
    except ValueError as error:
        raise UserError(f"{path}: {one_line(error)}") from None
    except DAMAGE as error:
        raise UserError(f"{path}: not a readable image ({one_line(error)})") from None


def orientation(image: Image.Image) -> int:
    """Return a picture's EXIF orientation, 1 (upright) to 8; 1 where it has none, or damage."""
    with suppress(*DAMAGE):
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
        if value in range(2, 9):
            return int(value)
    return 1


def mark() -> PngInfo:
    """Return what PNG files are saved with (`pnginfo`), by which `made_here` knows them."""
    info = PngInfo()
    info.add_text("Software", MARK)
    return info


def made_here(path: str | PathLike[str]) -> bool:
    """Return whether a file is a PNG that this program made, and so may make anew or remove."""
    with suppress(ValueError), open_image(path) as image:
        return image.format == "PNG" and image.info.get("Software") == MARK
    return False


def refuse_foreign(path: str | PathLike[str]) -> None:
    """Raise a ValueError if a file is there that this program did not make."""
    if os.path.lexists(path) and not made_here(path):
        raise UserError(
            f"{path} is there already and was not made by this program: give another output, or "
            "move it away"
        )


def warn_of_frames(path: str | PathLike[str], image: ImageFile.ImageFile) -> None:
    """Warn if a file holds more than the one picture that is read."""
    with suppress(*DAMAGE):
        if image.format in ANIMATED and getattr(image, "is_animated", False):
            warnings.warn(f"{path}: several frames or pages; the first is read", stacklevel=3)
            image.seek(0)


def one_line(error: BaseException) -> str:
    """Return an error's message on one line; its kind where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def _refuse_signed_bytes(image: Image.Image) -> None:
    """Raise a ValueError for signed bytes, which Pillow takes for unsigned ones."""
    tags = getattr(image, "tag_v2", {})
    formats = tags.get(SAMPLEFORMAT, ())
    if image.mode == "L" and SIGNED in (formats if isinstance(formats, tuple) else (formats,)):
        raise UserError("8-bit values with a sign: save it with values 0..255")


def _what_it_is(path: str | PathLike[str]) -> str:
    """Say what a file is that is opened as no image."""
    with open_regular(path) as file:
        start = file.read(16)
    if start[4:8] == b"ftyp" and start[8:12] in HEIC_BRANDS:
        return NO_HEIC
    if start[:4] == b"%!PS" or start[:4] == b"\xc5\xd0\xd3\xc6":
        return "PostScript, a program, is not opened: save it as PNG"
    expected = "JPEG, PNG, WebP, TIFF, BMP, GIF, JPEG 2000, PPM and AVIF"
    return f"it is none of {expected}, or damaged" if start else "the file is empty"
