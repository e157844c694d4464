"""Images as people have them, against what a person would expect to see."""

import io
import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps

from dextr.common.images import as_rgb, read_image

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
GREY = RGB[:, :, 0]
# EXIF orientation: what was done to the upright picture before it was stored.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


def three(grey):
    return np.repeat(np.asarray(grey, np.uint8)[:, :, None], 3, axis=2)


ALPHA = GREY[:, :, None] / 255
OVER_WHITE = np.rint(RGB * ALPHA + 255 * (1 - ALPHA)).astype(np.uint8)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (RGB, RGB),
        (GREY, three(GREY)),
        (GREY[:, :, None], three(GREY)),
        (GREY > 99, three(255 * (GREY > 99))),
        (np.dstack([RGB, GREY]), OVER_WHITE),
        (RGB.astype(np.uint16) * 257, RGB),
        (GREY.astype(np.uint16) * 257 + 128, three(GREY)),
        ((GREY.astype(np.uint16) * 257).astype(">u2"), three(GREY)),
        (RGB / 255, RGB),
        ((RGB / 255).astype(np.float32), RGB),
        (Image.fromarray(RGB), RGB),
        (Image.fromarray(GREY), three(GREY)),
        (Image.fromarray(GREY > 99), three(255 * (GREY > 99))),
        (Image.fromarray(np.dstack([RGB, GREY])), OVER_WHITE),
        (Image.fromarray(GREY.astype(np.uint16) * 257), three(GREY)),
        (Image.fromarray(GREY.astype(np.int32) * 257), three(GREY)),
        (Image.fromarray((GREY / 255).astype(np.float32)), three(GREY)),
    ],
)
def test_every_kind_becomes_rgb(image, expected):
    found = as_rgb(image)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected)


def test_fortran_order_and_views():
    np.testing.assert_array_equal(as_rgb(np.asfortranarray(RGB)), RGB)
    np.testing.assert_array_equal(as_rgb(RGB[::-1, ::-1]), RGB[::-1, ::-1])


def test_the_callers_array_is_left_alone():
    image = np.dstack([RGB, GREY])
    as_rgb(image)
    np.testing.assert_array_equal(image, np.dstack([RGB, GREY]))


def test_palette_with_and_without_transparency(tmp_path):
    picture = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8))
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    colors = [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [0, 255, 0]]]
    picture.save(tmp_path / "palette.png")
    assert as_rgb(tmp_path / "palette.png").tolist() == colors
    picture.save(tmp_path / "clear.png", transparency=1)
    colors[0][1] = colors[1][1] = [255, 255, 255]
    assert as_rgb(str(tmp_path / "clear.png")).tolist() == colors


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "LAB", "LA", "PA", "RGBX"])
def test_other_modes_open(mode):
    if mode == "LAB":
        picture = Image.new("LAB", (7, 5), (128, 128, 128))
    elif mode == "PA":
        picture = Image.fromarray(GREY).convert("P").convert("PA")
    else:
        picture = Image.new("RGB", (7, 5), (200, 200, 200)).convert(mode)
    assert as_rgb(picture).shape == (5, 7, 3)


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_every_exif_orientation_is_turned_upright(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(np.ascontiguousarray(STORED[orientation](RGB))).save(path, exif=exif)
    np.testing.assert_array_equal(as_rgb(path), RGB)
    with Image.open(path) as picture:
        np.testing.assert_array_equal(as_rgb(picture), RGB)


@pytest.mark.parametrize(
    "exif", [b"", b"MM", b"MM\x00*\x00", b"no EXIF", b"Exif\x00\x00II*\x00\xff"]
)
@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_damaged_exif_data_says_nothing(tmp_path, exif, suffix):
    path = tmp_path / f"photo.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(RGB).save(path, exif=exif, **options)
    np.testing.assert_array_equal(as_rgb(path), RGB)
    with Image.open(path) as picture:
        np.testing.assert_array_equal(as_rgb(picture), RGB)


def test_a_16_bit_file(tmp_path):
    Image.fromarray(GREY.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png"), three(GREY))


BITS_8 = np.array([[0, 100, 255]])
BITS_16 = np.array([[0, 25700, 65535]])


@pytest.mark.parametrize("as_file", [False, True])
@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        (BITS_8, np.int32, [0, 100, 255]),
        (BITS_16, np.int32, [0, 100, 255]),
        (BITS_16, np.uint16, [0, 100, 255]),
        (BITS_16, ">u2", [0, 100, 255]),
        (-BITS_8, np.int32, None),
        (BITS_16 + 1, np.int32, None),
        (BITS_16 * 9, np.int32, None),
        (np.array([[-(2**31), 0, 5]]), np.int32, None),
    ],
)
def test_whole_numbers_are_scaled_by_their_range_or_refused(
    tmp_path, values, dtype, expected, as_file
):
    image = Image.fromarray(values.astype(dtype))
    if as_file:
        image.save(tmp_path / "a.tif")
        image = tmp_path / "a.tif"
    if expected is None:
        with pytest.raises(ValueError, match=r"whole values 0\.\.65535, got"):
            as_rgb(image)
    else:
        assert as_rgb(image)[0, :, 0].tolist() == expected


def test_an_8_bit_picture_survives_being_converted_to_mode_i():
    picture = Image.fromarray(GREY)
    np.testing.assert_array_equal(as_rgb(picture.convert("I")), as_rgb(picture))


def signed_16_bits(path, values):
    """Write a TIFF by hand: one strip of signed 16-bit values, which Pillow cannot write."""
    entries = [(256, 3, values.shape[1]), (257, 3, values.shape[0]), (258, 3, 16), (259, 3, 1),
               (262, 3, 1), (273, 4, 8 + 2 + 9 * 12 + 4), (278, 3, values.shape[0]),
               (279, 4, values.size * 2), (339, 3, 2)]  # fmt: skip
    content = b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", len(entries))
    content += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    path.write_bytes(content + bytes(4) + values.astype("<i2").tobytes())


@pytest.mark.parametrize(("values", "right"), [([0, 100, 255], True), ([-1, 0, 900], False)])
def test_signed_16_bits(tmp_path, values, right):
    signed_16_bits(tmp_path / "a.tif", np.array([values]))
    if right:
        assert as_rgb(tmp_path / "a.tif")[0, :, 0].tolist() == values
    else:
        with pytest.raises(ValueError, match=r"a\.tif: expected whole values .* got -1\.\.900"):
            as_rgb(tmp_path / "a.tif")


def test_16_bits_that_hold_8_are_said_to_be_nearly_black():
    with pytest.warns(UserWarning, match="nearly black"):
        assert as_rgb(BITS_8.astype(np.uint16)).max() == 1


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(4, 5, 3, requires_grad=True), "got Tensor .*requires grad"),
        (torch.zeros(4, 5, 3, dtype=torch.bfloat16), "got Tensor .*BFloat16"),
        (torch.zeros(4, 5, 3).to_sparse(), "got Tensor"),
        (torch.zeros(4, 5, 3, device="meta"), "got Tensor"),
        (torch.zeros(3, 5, 7), r"got shape \(3, 5, 7\)"),
        ([[1, 2], [3]], "got list"),
        (None, "got shape"),
        (b"JPEG", "got shape"),
    ],
)
def test_what_numpy_cannot_read_is_a_value_error_of_one_line(image, message):
    with pytest.raises(ValueError, match=message) as raised:
        as_rgb(image)
    assert "\n" not in str(raised.value)


def test_tensors_that_numpy_reads():
    np.testing.assert_array_equal(as_rgb(torch.from_numpy(RGB)), RGB)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "PPM"])
def test_a_pil_image_that_is_cut_off_is_a_value_error(kind):
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(file, kind)
    try:
        image = Image.open(io.BytesIO(file.getvalue()[: len(file.getvalue()) // 2]))
    except OSError:
        return
    with pytest.raises(ValueError, match="not a readable image") as raised:
        as_rgb(image)
    assert "\n" not in str(raised.value)


def test_a_closed_pil_image_is_a_value_error(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        pass
    with pytest.raises(ValueError, match="image"):
        as_rgb(image)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((0, 5, 3), np.uint8), "empty"),
        (np.zeros((5, 0), np.uint8), "empty"),
        (np.zeros(5, np.uint8), r"\(H, W, 3\).* got shape \(5,\)"),
        (np.zeros((5, 7, 2), np.uint8), "got shape"),
        (np.zeros((2, 5, 7, 3), np.uint8), "got shape"),
        (np.zeros((5, 7, 3), np.int64), "int64"),
        (np.full((5, 7), 255.0), "0..1, got 255..255"),
        (np.full((5, 7), -0.5), "0..1"),
        (np.full((5, 7), np.nan), "0..1"),
        (np.zeros((5, 7), complex), "complex"),
    ],
)
def test_arrays_that_are_no_image(image, message):
    with pytest.raises(ValueError, match=message):
        as_rgb(image)


def jpeg(quality=90):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


@pytest.mark.parametrize("content", [b"", b"no picture", jpeg()[:20], jpeg()[:1500]])
def test_broken_files_are_named(tmp_path, content):
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.jpg: not a readable image"):
        as_rgb(path)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.png: no such image file"):
        as_rgb(tmp_path / "none.png")
    with pytest.raises(ValueError, match="not a readable image"):
        as_rgb(tmp_path)


@pytest.mark.parametrize("orientation", [None, *range(10)])
@pytest.mark.parametrize(("quality", "subsampling"), [(95, 0), (60, 2), (30, 1)])
def test_jpeg_files_are_what_pillow_makes_of_them(tmp_path, orientation, quality, subsampling):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (21, 34, 3), np.uint8))
    exif = picture.getexif()
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / "x.jpg"
    picture.save(path, quality=quality, subsampling=subsampling, exif=exif)
    with Image.open(path) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    found = as_rgb(path)
    np.testing.assert_array_equal(found, expected)
    assert found.flags.c_contiguous


@given(st.integers(2, 800))
def test_a_jpeg_that_is_cut_off_is_refused_or_whole(tmp_path_factory, left):
    path = tmp_path_factory.mktemp("cut") / "x.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
    Image.fromarray(noise).save(path, quality=90)
    whole, data = as_rgb(path), path.read_bytes()
    path.write_bytes(data[:left])
    if left >= len(data):
        np.testing.assert_array_equal(as_rgb(path), whole)
        return
    with pytest.raises(ValueError, match="not a readable image"):
        as_rgb(path)
