import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dextr.visualize import overlay
from dextr.window.view import SCREEN, ImageView


def view_of(picture):
    figure = Figure(figsize=(4, 4), dpi=100)
    FigureCanvasAgg(figure)
    return ImageView(figure.add_axes((0, 0, 1, 1)), picture)


def shown(view):
    """The pixels drawn and where they lie: x0, x1, y1, y0."""
    (artist,) = view.axes.get_images()
    return artist.get_array(), artist.get_extent()


@pytest.mark.parametrize("hw", [(1, 1), (30, 40), (1600, 3)])
def test_small_pictures_are_shown_as_they_are(hw):
    picture = np.random.default_rng(0).integers(0, 256, (*hw, 3), dtype=np.uint8)
    view = view_of(picture)
    pixels, extent = shown(view)
    assert (pixels == picture).all()
    assert tuple(extent) == (-0.5, hw[1] - 0.5, hw[0] - 0.5, -0.5)
    assert view.axes.get_xlim() == (-0.5, hw[1] - 0.5)
    assert view.axes.get_ylim() == (hw[0] - 0.5, -0.5)


def test_large_pictures_are_reduced_until_one_zooms_in():
    picture = np.random.default_rng(0).integers(0, 256, (100, 4000, 3), dtype=np.uint8)
    view = view_of(picture)
    assert max(shown(view)[0].shape) == SCREEN
    view.axes.set_xlim(1000.2, 1090.4)
    view.axes.set_ylim(40, 10)
    pixels, extent = shown(view)
    assert (pixels == picture[10:41, 1000:1091]).all()
    assert tuple(extent) == (999.5, 1090.5, 40.5, 9.5)
    assert view.axes.get_xlim() == (1000.2, 1090.4)


@pytest.mark.parametrize("limits", [(-500, -100), (100, 900), (39.4, 39.4001)])
def test_looking_beside_the_picture_is_no_error(limits):
    view = view_of(np.zeros((30, 40, 3), np.uint8))
    view.axes.set_xlim(*limits)
    view.axes.set_ylim(*limits)
    assert shown(view)[0].size >= 3


def test_a_picture_takes_the_place_of_the_last():
    view = view_of(np.zeros((30, 40, 3), np.uint8))
    view.show(np.full((30, 40, 3), 7, np.uint8))
    assert (shown(view)[0] == 7).all()


def test_a_mask_is_laid_over_the_part_that_is_seen():
    picture = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    mask = np.random.default_rng(1).random((30, 40)) < 0.3
    view = view_of(picture)
    view.show(picture, mask, number=3)
    expected = overlay(picture, [mask], first=3, outline=False)
    assert (shown(view)[0] == expected).all()
    view.axes.set_xlim(9.5, 19.5)
    assert (shown(view)[0] == expected[:, 10:20]).all()
    view.show_whole(picture)
    assert (shown(view)[0] == picture).all()


def test_a_mask_on_a_large_picture_is_reduced_with_it():
    picture = np.zeros((50, 4 * SCREEN, 3), np.uint8)
    mask = np.zeros((50, 4 * SCREEN), bool)
    mask[:, : 2 * SCREEN] = True
    view = view_of(picture)
    view.show(picture, mask)
    covered = shown(view)[0].any(axis=2)
    assert covered[:, : SCREEN // 2].all()
    assert not covered[:, SCREEN // 2 :].any()
