import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dextr.common.label_png import paint, palette, read_label_map, write_label_map, write_mask


def reference_color(number):
    """The bit rule, spelled out channel by channel as text."""
    bits = f"{number:09b}"[::-1]
    return [int((bits[channel::3] + "00000")[:8], 2) for channel in range(3)]


def test_palette_follows_the_bit_rule():
    assert palette().tolist() == [reference_color(number) for number in range(256)]


def test_palette_is_the_one_in_voc_files():
    person, void = palette()[15].tolist(), palette()[255].tolist()
    assert (person, void) == ([192, 128, 128], [224, 224, 192])


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64])
def test_palette_png_round_trip(tmp_path, dtype):
    labels = np.random.default_rng(0).integers(0, 256, (13, 7)).astype(dtype)
    write_label_map(tmp_path / "new" / "labels.png", labels)
    with Image.open(tmp_path / "new" / "labels.png") as png:
        assert png.mode == "P"
        assert (np.asarray(png) == labels).all()
        assert (np.asarray(png.convert("RGB")) == palette()[labels.astype(int)]).all()
    assert (read_label_map(tmp_path / "new" / "labels.png") == labels).all()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([[0, 256]]), "0..255, got 0..256: write fewer objects"),
        (np.array([[-1, 3]]), "got -1..3"),
        (np.zeros((2, 2)), "whole numbers"),
        (np.zeros((2, 2, 1), np.uint8), r"\(H, W\)"),
    ],
)
def test_palette_png_keeps_the_old_file_when_labels_are_wrong(tmp_path, labels, message):
    path = tmp_path / "labels.png"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match=message):
        write_label_map(path, labels)
    assert path.read_bytes() == b"old"


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 12),
    front=st.sampled_from(["later", "smaller"]),
)
def test_paint_is_painting_in_order_from_the_back(seed, count, front):
    rng = np.random.default_rng(seed)
    masks = [rng.random((5, 6)) < rng.choice([0.1, 0.5, 0.5, 1]) for _ in range(count)]
    numbers = rng.permutation(np.arange(1, 255))[:count].tolist()
    expected = np.zeros((5, 6), np.uint8)
    order = range(count)
    if front == "smaller":
        order = sorted(order, key=lambda k: -np.count_nonzero(masks[k]))
    for k in order:
        expected[masks[k]] = numbers[k]
    np.testing.assert_array_equal(paint(masks, (5, 6), front, numbers), expected)


def test_paint_refuses_more_than_a_byte_holds():
    masks = [np.ones((2, 2), bool)] * 255
    assert (paint(masks[:254], (2, 2), "later") == 254).all()
    with pytest.raises(ValueError, match="holds 254 objects, got number 255"):
        paint(masks, (2, 2), "later")


def test_a_mask_is_written_as_0_and_255(tmp_path):
    mask = np.random.default_rng(0).random((4, 5)) < 0.5
    write_mask(tmp_path / "new" / "mask.png", mask)
    with Image.open(tmp_path / "new" / "mask.png") as png:
        assert png.mode == "L"
        assert (np.asarray(png) == mask * 255).all()
