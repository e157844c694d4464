"""Which files are opened as pictures, and what becomes of the others."""

import io
import os
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

import dextr
from dextr.common.image_files import image_files, open_image, readable_suffixes
from dextr.common.images import as_rgb, read_image
from dextr.common.label_png import read_label_map

ROOT = Path(dextr.__file__).parents[1]
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 6\n%%EndComments\nshowpage\n"
DOS_EPS = b"\xc5\xd0\xd3\xc6" + (32).to_bytes(4, "little") + bytes(24) + POSTSCRIPT
HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(40)
RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


@pytest.fixture
def started(monkeypatch):
    """What Pillow would have started Ghostscript with."""
    calls = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args, **_: calls.append(args))
    return calls


@pytest.mark.parametrize("content", [POSTSCRIPT, DOS_EPS])
@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.eps", "photo"])
@pytest.mark.parametrize("read", [as_rgb, read_image, read_label_map])
def test_postscript_starts_no_program_whatever_its_name(tmp_path, started, content, name, read):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}: not a readable image"):
        read(tmp_path / name)
    assert started == []


def test_postscript_as_a_pil_image_starts_no_program(started):
    with pytest.raises(ValueError, match="got EPS: convert it first"):
        as_rgb(Image.open(io.BytesIO(POSTSCRIPT)))
    assert started == []


def test_a_pil_image_that_is_read_already_may_be_of_any_format():
    file = io.BytesIO()
    Image.fromarray(RGB).save(file, "TGA")
    picture = Image.open(file)
    with pytest.raises(ValueError, match="got TGA"):
        as_rgb(picture)
    picture.load()
    np.testing.assert_array_equal(as_rgb(picture), RGB)


def test_pictures_are_opened_in_one_place_only():
    files = [*ROOT.glob("*.py")]
    for folder in ("dextr", "dataloaders", "networks"):
        files += (ROOT / folder).rglob("*.py")
    opening = [f.name for f in files if re.search(r"Image\.open|imread", f.read_text())]
    assert opening == ["image_files.py"]


def test_suffixes_are_those_of_pictures():
    known = readable_suffixes()
    assert {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".jp2"} <= known
    assert not {".eps", ".ps", ".pdf", ".mpg", ".wmf", ".ico", ".npz"} & known


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "bmp", "gif", "jp2", "ppm"])
def test_every_format_is_read(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RGB).save(path)
    assert read_image(path).shape == (6, 8, 3)


def test_a_pipe_or_device_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", Path("/dev/zero"), Path("/dev/null"), tmp_path):
        with pytest.raises(ValueError, match=f"{path}: not a readable image .*is no file but"):
            read_image(path)


def test_heic_is_named_with_what_to_do(tmp_path):
    (tmp_path / "a.jpg").write_bytes(HEIC)
    with pytest.raises(ValueError, match=r"a\.jpg: .*HEIC photos are not supported: save"):
        read_image(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").rename(tmp_path / "a.HEIC")
    with pytest.raises(ValueError, match="no image in this folder; HEIC"):
        image_files(tmp_path)
    Image.fromarray(RGB).save(tmp_path / "b.png")
    with pytest.warns(UserWarning, match=r"a\.HEIC \(1 such files\): HEIC"):
        assert image_files(tmp_path) == [tmp_path / "b.png"]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_the_first_frame_is_read_with_a_word(tmp_path, suffix):
    path, frames = tmp_path / f"a.{suffix}", [RGB * 0, RGB * 0 + 255]
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], lossless=True)
    with pytest.warns(UserWarning, match=f"a.{suffix}: several frames or pages; the first"):
        assert read_image(path).max() < 5
    pictures[0].save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(path)


def test_signed_bytes_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(RGB[:, :, 0]).save(path, tiffinfo={339: 2})
    with pytest.raises(ValueError, match=r"a\.tif: 8-bit values with a sign"):
        read_image(path)


def test_a_bomb_is_refused(tmp_path):
    content = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(content, "PNG")
    (tmp_path / "a.png").write_bytes(content.getvalue())
    for read in (read_image, read_label_map):
        with pytest.raises(ValueError, match=r"a\.png: not a readable image \(Image size"):
            read(tmp_path / "a.png")


def test_files_are_closed(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path)
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else None
    for _ in range(3):
        with open_image(path) as image:
            image.load()
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before
