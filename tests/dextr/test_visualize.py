import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dextr.visualize import (
    object_color,
    overlay,
    save_picture,
)


def disc(hw, centre, radius):
    y, x = np.mgrid[: hw[0], : hw[1]]
    return np.hypot(x - centre[0], y - centre[1]) <= radius


def grown(mask, reach):
    """The pixels at most `reach` away along x and y."""
    y, x = np.nonzero(mask)
    result = np.zeros_like(mask)
    for row, column in zip(y, x, strict=True):
        rows = slice(max(row - reach, 0), row + reach + 1)
        result[rows, max(column - reach, 0) : column + reach + 1] = True
    return result


def test_object_colors_differ():
    assert len({object_color(number) for number in range(1, 256)}) == 255
    assert object_color(256) == object_color(1)


@pytest.fixture
def photo():
    return np.random.default_rng(3).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def test_overlay_of_nothing_is_a_copy(photo):
    picture = overlay(photo, [])
    assert (picture == photo).all()
    assert not np.shares_memory(picture, photo)


def test_overlay_fills_inside_and_leaves_the_rest(photo):
    mask = disc((60, 80), (40, 30), 20)
    before = photo.copy()
    picture = overlay(photo, [mask], alpha=0.25)
    inside, outside = ~grown(~mask, 3), ~grown(mask, 3)
    expected = 0.75 * photo[inside].astype(float) + 0.25 * np.array(object_color(1))
    assert inside.sum() > 500
    np.testing.assert_allclose(picture[inside].astype(float), expected, atol=0.51)
    assert (picture[outside] == photo[outside]).all()
    assert (photo == before).all()


def test_overlay_outlines_the_object_and_its_hole():
    ring = disc((60, 80), (40, 30), 22) & ~disc((60, 80), (40, 30), 8)
    picture = overlay(np.zeros((60, 80, 3), np.uint8), [ring], alpha=0)
    bright = picture.max(axis=2) > 150
    row = np.flatnonzero(bright[30])
    assert set(row) >= {18, 62}
    assert any(31 <= x <= 33 for x in row)
    assert any(47 <= x <= 49 for x in row)
    assert not bright[30, 24:29].any()


def test_the_outline_has_a_dark_rim_around_the_object():
    mask = np.zeros((60, 80), bool)
    mask[20:40, 30:50] = True
    picture = overlay(np.full((60, 80, 3), 255, np.uint8), [mask])
    touched = (picture != 255).any(axis=2)
    y, x = np.nonzero(touched)
    assert (x.min(), x.max(), y.min(), y.max()) == (28, 51, 18, 41)
    assert (picture[30, [28, 51]] < 80).all()


def test_outline_grows_with_the_image():
    def bright_pixels(size):
        mask = np.zeros((size, size), bool)
        mask[size // 4 : size * 3 // 4, size // 4 : size * 3 // 4] = True
        picture = overlay(np.zeros((size, size, 3), np.uint8), [mask], alpha=0)
        return np.count_nonzero(picture[size // 2].max(axis=1) > 150)

    assert bright_pixels(100) < bright_pixels(1600)


def test_later_objects_lie_on_top_and_first_chooses_the_color(photo):
    mask = np.ones((60, 80), bool)
    both = overlay(photo, [mask, mask], alpha=1)
    assert both[30, 40].tolist() == list(object_color(2))
    assert (overlay(photo, [mask], first=2, alpha=1) == both).all()


@pytest.mark.parametrize("where", [(slice(3, 4), slice(0, 80)), (slice(0, 60), slice(79, 80))])
def test_objects_one_pixel_wide_show(photo, where):
    mask = np.zeros((60, 80), bool)
    mask[where] = True
    assert (overlay(photo, [mask])[where] != photo[where]).any(axis=2).all()


def test_an_empty_mask_draws_nothing(photo):
    assert (overlay(photo, [np.zeros((60, 80), bool)]) == photo).all()


def test_points_are_drawn_in_their_objects_color(photo):
    clicks = [np.empty((0, 2)), [(20.3, 10.2), (0, 59)]]
    picture = overlay(photo, [], clicks)
    assert picture[10, 20].tolist() == list(object_color(2))
    assert picture[59, 0].tolist() == list(object_color(2))
    assert (picture[30:50, 40:] == photo[30:50, 40:]).all()


@pytest.mark.parametrize(
    ("image", "masks", "points", "message"),
    [
        (np.zeros((5, 6), np.uint8), [], None, "expected an image"),
        (np.zeros((5, 6, 3)), [], None, "float64"),
        (np.zeros((5, 6, 3), np.uint8), [np.ones((6, 5))], None, r"\(5, 6\), got shape \(6, 5\)"),
        (np.zeros((5, 6, 3), np.uint8), [], [(1, 2), (3, 4)], "one array per mask"),
    ],
)
def test_overlay_says_what_is_wrong(image, masks, points, message):
    with pytest.raises(ValueError, match=message):
        overlay(image, masks, points)


@given(seed=st.integers(0, 2**32 - 1), height=st.integers(1, 30), width=st.integers(1, 30))
def test_overlay_changes_no_pixel_far_from_a_mask(seed, height, width):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    mask = rng.random((height, width)) < 0.1
    far = ~grown(mask, 3)
    assert (overlay(image, [mask])[far] == image[far]).all()


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3)])
def test_save_picture_round_trip(tmp_path, shape):
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    save_picture(tmp_path / "picture.png", picture)
    with Image.open(tmp_path / "picture.png") as png:
        assert (np.asarray(png) == picture).all()
