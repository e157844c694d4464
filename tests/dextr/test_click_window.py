"""The window on matplotlib's Agg backend: real mouse and key events, no display."""

import threading

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.backend_bases import KeyEvent, MouseEvent, NavigationToolbar2
from PIL import Image

from dextr.annotations import AnnotationFiles
from dextr.click_window import ClickWindow, new_figure, show
from dextr.geometry import CropWindow
from dextr.points import check_points
from dextr.predictor import Predictor
from dextr.samples import Prediction
from dextr.visualize import overlay

HW = (60, 80)
CLICKS = [(10, 30), (70, 30), (40, 5), (40, 55)]
SECOND = [(5, 10), (25, 10), (15, 2), (15, 20)]


class StubPredictor:
    """The clicks' box, with probabilities that rise from left to right; waits for its gate."""

    def __init__(self):
        self.threshold = 0.8
        self.calls = []
        self.gate = threading.Event()
        self.gate.set()

    def predict(self, image, points):
        assert self.gate.wait(30)
        self.calls.append(list(points))
        clicks = check_points(points, image.shape[:2])
        window = CropWindow.around(clicks, image.shape[:2])
        prob = np.zeros(image.shape[:2], np.float32)
        width = window.object_box.hw[1]
        prob[window.object_box.slices()] = np.linspace(0.1, 1, width)
        return Prediction(prob, self.threshold, clicks, window)


@pytest.fixture(autouse=True)
def agg():
    before = matplotlib.get_backend()
    plt.switch_backend("agg")
    yield
    plt.close("all")
    plt.switch_backend(before)


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 256, (*HW, 3), dtype=np.uint8)


@pytest.fixture
def window(photo, tmp_path):
    files = AnnotationFiles(tmp_path / "cup.png")
    window = ClickWindow(plt.figure(figsize=(6, 5)), StubPredictor(), photo, files, "cup $1 $2")
    yield window
    window.worker.predictor.gate.set()
    window.worker.close()


def click(window, x, y, button=1, dblclick=False):
    canvas = window.figure.canvas
    column, row = window.axes.transData.transform((x, y))
    name = "button_press_event"
    canvas.callbacks.process(name, MouseEvent(name, canvas, column, row, button, dblclick=dblclick))


def press(window, key):
    canvas = window.figure.canvas
    column, row = window.axes.transData.transform((40, 30))
    canvas.callbacks.process(
        "key_press_event", KeyEvent("key_press_event", canvas, key, column, row)
    )


def cut_out(window, clicks=CLICKS):
    for x, y in clicks:
        click(window, x, y)
    window.poll(wait=True)


def drawn(window):
    """The picture in the axes, and the dots on it."""
    window.figure.canvas.draw()
    (artist,) = window.axes.get_images()
    (dots,) = window.axes.get_lines()
    return np.asarray(artist.get_array()), np.stack(dots.get_data(), axis=1)


def labels_on_disk(window):
    with Image.open(window.files.labels) as png:
        return np.asarray(png)


def test_four_clicks_show_mask_and_dots(window, photo):
    assert (drawn(window)[0] == photo).all()
    cut_out(window)
    picture, dots = drawn(window)
    np.testing.assert_allclose(dots, CLICKS, atol=1e-6)
    np.testing.assert_allclose(window.worker.predictor.calls, [CLICKS], atol=1e-6)
    mask = window.session.mask
    assert mask.sum() > 100
    assert (picture[mask] != photo[mask]).any(axis=1).mean() > 0.9
    assert (picture[:, :40] == photo[:, :40]).all()
    assert "mask after" in window.status.get_text()


def test_the_window_lives_while_the_network_works(window):
    window.worker.predictor.gate.clear()
    for x, y in CLICKS:
        click(window, x, y)
    window.poll()
    assert window.status.get_text() == "Object 1: the network is at work ..."
    press(window, "z")
    click(window, 41, 56)
    click(window, 60, 50)
    assert window.session.mask is None
    window.worker.predictor.gate.set()
    window.poll(wait=True)
    assert "at work" in window.status.get_text()
    window.poll(wait=True)
    assert "mask after" in window.status.get_text()
    assert [len(points) for points in window.worker.predictor.calls] == [4, 5]
    assert window.session.points == pytest.approx(
        np.array([*CLICKS[:3], (41, 56), (60, 50)]), abs=1e-6
    )


@pytest.mark.parametrize(
    "kwargs", [{"button": 2}, {"button": 3}, {"button": 8}, {"dblclick": True}]
)
def test_other_clicks_are_no_points(window, kwargs):
    click(window, 10, 10, **kwargs)
    assert window.session.points == []


@pytest.mark.parametrize("point", [(-20, 30), (40, 75), (200, 30)])
def test_clicks_beside_the_axes_are_no_points(window, point):
    click(window, *point)
    assert (window.session.points, window.session.note) == ([], "")


def test_clicks_beside_the_image_are_no_points(window):
    window.axes.set_xlim(-30, 110)
    window.figure.canvas.draw()
    click(window, -20, 30)
    assert (window.session.points, window.note.get_text()) == (
        [],
        "that click was outside the image",
    )


@pytest.mark.parametrize("key", ["o", "p"])
def test_zoom_and_pan_place_no_points(window, key):
    NavigationToolbar2(window.figure.canvas)
    press(window, key)
    click(window, 10, 10)
    assert window.session.points == []
    press(window, key)
    click(window, 10, 10)
    assert len(window.session.points) == 1


def test_zoomed_clicks_land_on_their_pixel(window):
    window.axes.set_xlim(30, 50)
    window.axes.set_ylim(20, 10)
    window.figure.canvas.draw()
    click(window, 31.25, 12.5)
    assert window.session.points == [pytest.approx((31.25, 12.5))]


@pytest.mark.parametrize("key", ["n", "enter"])
def test_each_object_is_written_when_it_is_accepted(window, key):
    cut_out(window)
    mask = window.session.mask
    press(window, key)
    assert (labels_on_disk(window) == mask).all()
    assert window.files.object_mask(1).exists()
    assert window.note.get_text() == f"saved 1 object in {window.files.labels}"
    assert window.status.get_text().startswith("Object 2: click its left-")


def test_accepted_objects_stay_visible_until_they_are_opened_again(window, photo):
    cut_out(window)
    mask = window.session.mask
    press(window, "n")
    picture, dots = drawn(window)
    assert (picture == overlay(photo, [mask])).all()
    assert len(dots) == 0
    press(window, "z")
    window.poll(wait=True)
    assert window.session.number == 1
    for _ in CLICKS:
        press(window, "z")
    assert (drawn(window)[0] == photo).all()


def test_identical_points_show_why_and_do_no_harm(photo, tmp_path):
    predictor = Predictor(lambda x: torch.full((len(x), 1, 32, 32), 9.0), size=32, relax=5)
    files = AnnotationFiles(tmp_path / "cup.png")
    window = ClickWindow(plt.figure(), predictor, photo, files)
    cut_out(window, [(10, 10)] * 4)
    assert "all 4 points are (10, 10)" in window.status.get_text()
    press(window, "n")
    assert window.note.get_text() == "there is no mask to accept yet"
    for _ in range(4):
        press(window, "z")
    cut_out(window)
    assert window.session.mask[5:56, 10:71].all()
    assert window.session.mask.sum() == 51 * 61
    assert window.finish() == [files.labels, files.overlay]


@pytest.mark.parametrize(("lower", "higher"), [("-", "+"), ("[", "]"), ("-", "=")])
def test_the_threshold_is_seen_live_without_the_network(window, lower, higher):
    cut_out(window)
    first = drawn(window)[0].copy()
    area = window.session.mask.sum()
    press(window, lower)
    assert window.session.mask.sum() > area
    assert (drawn(window)[0] != first).any()
    assert window.note.get_text() == "threshold 0.75"
    press(window, higher)
    assert (drawn(window)[0] == first).all()
    assert len(window.worker.predictor.calls) == 1


def test_the_first_drawing_moves_no_point(window):
    before = window.axes.transData.transform((10, 10))
    window.figure.canvas.draw()
    np.testing.assert_allclose(window.axes.transData.transform((10, 10)), before, atol=1e-6)


def test_help_comes_and_goes(window):
    assert not window.help.get_visible()
    press(window, "h")
    assert window.help.get_visible()
    press(window, "h")
    assert not window.help.get_visible()


def test_matplotlibs_own_keys_are_gone_here_and_only_here(window):
    settings = dict(matplotlib.rcParams)
    for key in ("l", "k", "g", "L", "c", "v", "s", "left"):
        press(window, key)
    assert (window.axes.get_xscale(), window.axes.get_yscale()) == ("linear", "linear")
    assert dict(matplotlib.rcParams) == settings
    other = plt.figure()
    axes = other.add_axes((0, 0, 1, 1))
    event = KeyEvent("key_press_event", other.canvas, "l", 100, 100)
    other.canvas.callbacks.process("key_press_event", event)
    assert axes.get_yscale() == "log"


def test_s_saves_a_picture_too(window):
    press(window, "s")
    assert "nothing to save yet" in window.note.get_text()
    cut_out(window)
    press(window, "n")
    assert not window.files.overlay.exists()
    press(window, "s")
    assert window.files.overlay.exists()


def test_a_failed_save_is_said_and_the_work_goes_on(window, tmp_path):
    (tmp_path / "file").write_text("in the way")
    window.files = AnnotationFiles(tmp_path / "file" / "cup.png")
    cut_out(window)
    press(window, "n")
    assert window.note.get_text().startswith("NOT SAVED: ")
    cut_out(window, SECOND)
    press(window, "n")
    window.files = AnnotationFiles(tmp_path / "elsewhere" / "cup.png")
    window.finish()
    assert set(np.unique(labels_on_disk(window))) == {0, 1, 2}


def test_closing_at_once_loses_no_mask(window):
    window.worker.predictor.gate.clear()
    for x, y in CLICKS:
        click(window, x, y)
    press(window, "z")
    click(window, 40, 50)
    press(window, "q")
    window.worker.predictor.gate.set()
    assert window.finish() == [window.files.labels, window.files.overlay]
    assert len(window.worker.predictor.calls) == 2
    assert labels_on_disk(window)[50].any()
    assert not labels_on_disk(window)[51:].any()


def test_closing_without_objects_writes_nothing(window, tmp_path):
    click(window, *CLICKS[0])
    assert window.finish() == []
    assert list(tmp_path.iterdir()) == []


def test_an_object_taken_back_is_taken_from_the_files(window):
    for clicks in (CLICKS, SECOND):
        cut_out(window, clicks)
        press(window, "n")
    assert window.files.object_mask(2).exists()
    press(window, "z")
    window.poll(wait=True)
    press(window, "z")
    window.finish()
    assert set(np.unique(labels_on_disk(window))) == {0, 1}
    assert not window.files.object_mask(2).exists()


def test_q_closes_the_figure(window):
    assert plt.fignum_exists(window.figure.number)
    press(window, "q")
    assert not plt.fignum_exists(window.figure.number)


def test_show_writes_even_when_interrupted(window, monkeypatch):
    def interrupted(block):
        cut_out(window)
        raise KeyboardInterrupt

    monkeypatch.setattr(plt, "show", interrupted)
    with pytest.raises(KeyboardInterrupt):
        show(window)
    assert labels_on_disk(window).any()


def test_the_warning_is_in_sight(photo, tmp_path):
    figure = plt.figure()
    titles = []
    figure.canvas.manager.set_window_title = titles.append
    files = AnnotationFiles(tmp_path / "cup.png")
    window = ClickWindow(figure, StubPredictor(), photo, files, "cup", "UNTRAINED")
    assert titles == ["DEXTR - cup - UNTRAINED"]
    assert "UNTRAINED" in [text.get_text() for text in figure.texts]
    window.finish()


def test_no_window_where_there_is_none():
    with pytest.raises(ValueError, match="give --points and --output"):
        new_figure()
    assert plt.get_fignums() == []
