"""Random changes: the same parameters move image, mask and void alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataloaders.crops.augment import (
    Affine,
    compress_jpeg,
    jitter_colour,
    paste_beside,
    warp_labels,
)
from dextr.geometry import Box
from dextr.samples import Instance

RNG = np.random.default_rng(0)
GREY = np.full((8, 9, 3), 128, np.uint8)


def make_instance(colour=200, name="a"):
    hw, box = (40, 60), Box(20, 10, 30, 25)
    image = np.zeros((*hw, 3), np.uint8)
    mask = np.zeros(hw, bool)
    mask[box.slices()] = True
    image[mask] = colour
    return Instance(image, mask, np.zeros(hw, bool), name, 1)


def test_no_change_is_the_identity():
    assert np.array_equal(Affine().matrix((40, 60)), np.eye(3))


def test_a_flip_maps_the_first_column_onto_the_last():
    moved = Affine(flip=True).matrix((40, 60)) @ [0, 7, 1]
    assert moved.tolist() == [59, 7, 1]


def test_a_quarter_turn_goes_anti_clockwise_about_half_the_size():
    moved = Affine(degrees=90).matrix((40, 60)) @ [30 + 5, 20, 1]
    assert moved == pytest.approx([30, 20 - 5, 1])


def test_scale_enlarges_about_half_the_size():
    assert Affine(scale=2).matrix((40, 60)) @ [31, 21, 1] == pytest.approx([32, 22, 1])


@given(st.integers(0, 2**32 - 1))
def test_draws_stay_in_their_ranges(seed):
    affine = Affine.draw(np.random.default_rng(seed), flip=1, rotation=20, scale=(0.75, 1.25))
    assert affine.flip
    assert -20 <= affine.degrees <= 20
    assert 0.75 <= affine.scale <= 1.25


def test_without_flip_there_is_none():
    drawn = [Affine.draw(np.random.default_rng(s), 0, 0, (1, 1)) for s in range(20)]
    assert drawn == [Affine()] * 20


def test_labels_move_together_with_void():
    instance = make_instance()
    instance.void[5, 50] = True
    labels = warp_labels(instance, Affine(flip=True).matrix(instance.hw))
    assert np.array_equal(labels == 1, instance.mask[:, ::-1])
    assert np.argwhere(labels == 255).tolist() == [[5, 9]]


def test_turned_labels_equal_a_pixel_by_pixel_reference():
    instance = make_instance()
    matrix = Affine(degrees=13, scale=1.2).matrix(instance.hw)
    rows, columns = np.indices(instance.hw)
    source = np.linalg.inv(matrix) @ np.stack([columns.ravel(), rows.ravel(), np.ones(rows.size)])
    x, y = np.rint(source[:2]).astype(int)
    inside = (x >= 0) & (y >= 0) & (x < 60) & (y < 40)
    expected = np.zeros(rows.size, bool)
    expected[inside] = instance.mask[y[inside], x[inside]]
    differing = (warp_labels(instance, matrix) == 1) != expected.reshape(instance.hw)
    assert differing.mean() < 0.005


def test_no_strength_leaves_colours_alone():
    image = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    assert np.array_equal(jitter_colour(image, 0, np.random.default_rng(0)), image)


def test_colour_jitter_changes_colours_and_keeps_type():
    image = np.full((8, 9, 3), (90, 120, 60), np.uint8)
    changed = jitter_colour(image, 0.5, np.random.default_rng(1))
    assert changed.dtype == np.uint8
    assert changed.shape == image.shape
    assert (changed != image).any()


def test_jpeg_keeps_channel_order_and_is_close_at_high_quality():
    image = np.full((32, 32, 3), (200, 100, 30), np.uint8)
    assert np.abs(compress_jpeg(image, 95).astype(int) - image).max() <= 4


def test_a_pasted_object_shows_its_colour_and_never_grows_the_mask():
    instance, other = make_instance(), make_instance(colour=90, name="b")
    changed = 0
    for seed in range(40):
        pasted = paste_beside(instance, other, np.random.default_rng(seed))
        assert not (pasted.mask & ~instance.mask).any()
        assert pasted.mask.sum() >= 0.7 * instance.mask.sum()
        assert (pasted.image[pasted.mask] == 200).all()
        changed += int((pasted.image == 90).any())
    assert changed > 20
    assert (instance.image[instance.mask] == 200).all()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Affine(degrees=float("nan")),
        lambda: Affine(degrees=float("inf")),
        *(lambda scale=scale: Affine(scale=scale) for scale in (0.0, -1.0, float("nan"), np.inf)),
        *(
            lambda s=s: jitter_colour(GREY, s, np.random.default_rng(0))
            for s in (-0.1, 1.1, float("nan"))
        ),
        *(lambda q=q: compress_jpeg(GREY, q) for q in (0, 101, -5, 50.5)),
    ],
)
def test_what_cannot_be_meant_is_refused(wrong):
    with pytest.raises(ValueError, match="expected a"):
        wrong()
