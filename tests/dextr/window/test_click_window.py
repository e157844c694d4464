"""The window on matplotlib's Agg backend: real mouse and key events, no display."""

import json

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.backend_bases import FigureCanvasBase, KeyEvent, NavigationToolbar2
from matplotlib.collections import LineCollection
from PIL import Image
from support.click_window import (
    CLICKS,
    HW,
    SECOND,
    StubPredictor,
    click,
    cut_out,
    drag,
    drawn,
    mouse,
    press,
)

from dextr.geometry import Box
from dextr.predictor import Predictor
from dextr.visualize import overlay
from dextr.window.click_window import ClickWindow
from dextr.window.layout import Photos, SessionLayout
from dextr.window.project import AnnotationProject


@pytest.fixture(autouse=True)
def agg(monkeypatch):
    """Agg, which draws when it is told to, not after each event: the tests look seldom."""
    before = matplotlib.get_backend()
    plt.switch_backend("agg")
    monkeypatch.setattr(FigureCanvasBase, "draw_idle", lambda canvas: None)
    yield
    plt.close("all")
    plt.switch_backend(before)


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 256, (*HW, 3), dtype=np.uint8)


@pytest.fixture
def open_window(photo, tmp_path):
    """Return a function that opens a window on photos in memory; all are closed in the end."""
    windows = []

    def open_it(sources=None, predictor=None, labels=(), warning="", **kwargs):
        predictor = predictor or StubPredictor()
        photos = Photos(sources or {"cup $1 $2": photo})
        layout = kwargs.get("layout", SessionLayout(tmp_path / "cup.png", beside=True))
        project = AnnotationProject(photos, predictor.threshold, layout, labels)
        windows.append(ClickWindow(plt.figure(figsize=(6, 5)), predictor, project, warning))
        return windows[-1]

    yield open_it
    for window in windows:
        if isinstance(window.worker.predictor, StubPredictor):
            window.worker.predictor.gate.set()
        window.worker.close()


@pytest.fixture
def window(open_window):
    return open_window()


def labels_on_disk(tmp_path):
    with Image.open(tmp_path / "cup.png") as png:
        return np.asarray(png)


def session_on_disk(tmp_path):
    return json.loads((tmp_path / "cup_session.json").read_text())["images"]


def lines(window):
    """The outlines that are drawn, each as a list of arrays of points."""
    found = window.view.axes.findobj(LineCollection)
    return [lines.get_segments() for lines in found]


def names(window):
    """The objects' labels that are drawn."""
    return [text.get_text() for text in window.view.axes.texts]


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
    assert "mask after" in window.view.status.get_text()


def test_the_window_lives_while_the_network_works(window):
    window.worker.predictor.gate.clear()
    for x, y in CLICKS:
        click(window, x, y)
    window.poll()
    assert window.view.status.get_text() == "Object 1: the network is at work ..."
    press(window, "z")
    click(window, 41, 56)
    click(window, 60, 50)
    assert window.session.mask is None
    window.worker.predictor.gate.set()
    window.poll(wait=True)
    assert "at work" in window.view.status.get_text()
    window.poll(wait=True)
    assert "mask after" in window.view.status.get_text()
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
    window.view.axes.set_xlim(-30, 110)
    window.figure.canvas.draw()
    click(window, -20, 30)
    assert (window.session.points, window.view.note.get_text()) == (
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
    window.view.axes.set_xlim(30, 50)
    window.view.axes.set_ylim(20, 10)
    window.figure.canvas.draw()
    click(window, 31.25, 12.5)
    assert window.session.points == [pytest.approx((31.25, 12.5))]


@pytest.mark.parametrize("key", ["n", "enter"])
def test_each_object_is_written_when_it_is_accepted(window, key, tmp_path):
    cut_out(window)
    mask = window.session.mask
    press(window, key)
    assert (labels_on_disk(tmp_path) == mask).all()
    assert (tmp_path / "cup_object_001.png").exists()
    assert len(session_on_disk(tmp_path)[0]["objects"]) == 1
    assert window.view.note.get_text() == f"saved 1 object in {tmp_path / 'cup.png'}"
    assert window.view.saved.get_text() == "1 object on 1 image, saved"
    assert window.view.status.get_text().startswith("Object 2: click its left-")


def test_accepted_objects_stay_visible_until_they_are_opened_again(window, photo):
    cut_out(window)
    mask = window.session.mask
    press(window, "n")
    picture, dots = drawn(window)
    assert (picture == overlay(photo, [mask], outline=False)).all()
    assert len(dots) == 0
    assert names(window) == ["1"]
    press(window, "z")
    window.poll(wait=True)
    assert window.session.number == 1
    assert names(window) == ["1"]
    for _ in CLICKS:
        press(window, "z")
    assert (drawn(window)[0] == photo).all()
    assert names(window) == []


def test_outlines_run_around_the_mask(window):
    cut_out(window)
    ((outline,),) = lines(window)
    box = Box.of_mask(window.session.mask)
    assert outline.min(axis=0).tolist() == [box.x0, box.y0]
    assert outline.max(axis=0).tolist() == [box.x1 - 1, box.y1 - 1]
    assert (outline[0] == outline[-1]).all()
    press(window, "n")
    cut_out(window, SECOND)
    assert len(lines(window)) == 2


def test_a_point_can_be_dragged(window, tmp_path):
    cut_out(window)
    drag(window, (10.2, 30.1), (12, 31), (20, 32))
    np.testing.assert_allclose(window.session.points, [(20, 32), *CLICKS[1:]], atol=1e-6)
    assert window.session.waiting
    window.poll(wait=True)
    assert window.session.mask[:, :20].sum() == 0
    assert session_on_disk(tmp_path)[0]["draft"]["points"][0] == pytest.approx([20, 32])
    press(window, "z")
    window.poll(wait=True)
    np.testing.assert_allclose(window.session.points, CLICKS, atol=1e-6)


def test_a_dragged_point_is_seen_on_its_way(window):
    cut_out(window)
    mouse(window, "button_press_event", 10, 30)
    mouse(window, "motion_notify_event", 25, 35)
    np.testing.assert_allclose(drawn(window)[1][0], (25, 35), atol=1e-6)
    assert not window.session.waiting
    # A key meanwhile: the point stays where it was.
    press(window, "+")
    mouse(window, "motion_notify_event", 30, 35)
    mouse(window, "button_release_event", 30, 35)
    np.testing.assert_allclose(drawn(window)[1], CLICKS, atol=1e-6)


def test_dragging_out_of_the_window_stops_at_the_border(window):
    cut_out(window)
    drag(window, (10, 30), (-40, 90))
    assert window.session.points[0] == (0, 59)


def test_only_what_is_near_a_point_takes_hold_of_it(window, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("dextr.window.mouse.monotonic", lambda: now[0])
    cut_out(window)
    drag(window, (20, 30), (30, 32))
    np.testing.assert_allclose(window.session.points, [*CLICKS, (20, 30)], atol=1e-6)
    # Without a movement it is a click, but for the second of a double click.
    click(window, 21, 30)
    click(window, 21.1, 30)
    np.testing.assert_allclose(window.session.points[4:], [(20, 30), (21, 30)], atol=1e-6)
    now[0] += 1
    click(window, 21.1, 30)
    assert window.session.points[6:] == [pytest.approx((21.1, 30))]


def test_zoom_and_pan_drag_no_points(window):
    cut_out(window)
    NavigationToolbar2(window.figure.canvas)
    press(window, "p")
    drag(window, (10, 30), (20, 30))
    np.testing.assert_allclose(window.session.points, CLICKS, atol=1e-6)


@pytest.mark.parametrize("key", ["c", "escape"])
def test_points_are_cleared_and_come_back(window, photo, key):
    cut_out(window)
    press(window, key)
    picture, dots = drawn(window)
    assert (picture == photo).all()
    assert len(dots) == 0
    press(window, "z")
    window.poll(wait=True)
    assert window.session.mask.any()


def test_labels_are_chosen_and_drawn(open_window, tmp_path):
    window = open_window(labels=["cat", "dog"])
    cut_out(window)
    assert names(window) == ["1 cat"]
    press(window, "2")
    assert names(window) == ["1 dog"]
    assert window.view.status.get_text().startswith("Object 1 (dog): mask")
    press(window, "n")
    for key, label in [("l", "cat"), ("l", "dog"), ("L", "cat"), ("L", "dog"), ("1", "cat")]:
        press(window, key)
        assert window.session.label == label
    press(window, "3")
    assert window.view.note.get_text() == "there is no label 3: 1 cat, 2 dog"
    assert [o["label"] for o in session_on_disk(tmp_path)[0]["objects"]] == ["dog"]


def test_without_labels_a_number_key_says_how_to_have_them(window):
    press(window, "1", "2")
    assert window.view.note.get_text() == "there is no label 2: name labels with --labels"


def test_identical_points_show_why_and_do_no_harm(open_window, tmp_path):
    predictor = Predictor(lambda x: torch.full((len(x), 1, 32, 32), 9.0), size=32, relax=5)
    window = open_window(predictor=predictor)
    for _ in range(4):
        window.session.click(10, 10)
    window.refresh()
    window.poll(wait=True)
    assert "all 4 points are (10, 10)" in window.view.status.get_text()
    press(window, "n")
    assert window.view.note.get_text() == "there is no mask to accept yet"
    for _ in range(4):
        press(window, "z")
    cut_out(window)
    assert window.session.mask[5:56, 10:71].all()
    assert window.session.mask.sum() == 51 * 61
    window.finish()
    assert labels_on_disk(tmp_path).any()


@pytest.mark.parametrize(("lower", "higher"), [("-", "+"), ("-", "=")])
def test_the_threshold_is_seen_live_without_the_network(window, lower, higher):
    cut_out(window)
    first = drawn(window)[0].copy()
    area = window.session.mask.sum()
    press(window, lower)
    assert window.session.mask.sum() > area
    assert (drawn(window)[0] != first).any()
    assert window.view.note.get_text() == "threshold 0.75"
    press(window, higher)
    assert (drawn(window)[0] == first).all()
    assert len(window.worker.predictor.calls) == 1


def test_the_first_drawing_moves_no_point(window):
    before = window.view.axes.transData.transform((10, 10))
    window.figure.canvas.draw()
    np.testing.assert_allclose(window.view.axes.transData.transform((10, 10)), before, atol=1e-6)


def test_help_comes_and_goes(window):
    assert not window.view.help.get_visible()
    press(window, "h")
    assert window.view.help.get_visible()
    press(window, "h")
    assert not window.view.help.get_visible()


def test_matplotlibs_own_keys_are_gone_here_and_only_here(window):
    settings = dict(matplotlib.rcParams)
    for key in ("k", "g", "L", "c", "v", "s", "left"):
        press(window, key)
    assert (window.view.axes.get_xscale(), window.view.axes.get_yscale()) == ("linear", "linear")
    assert dict(matplotlib.rcParams) == settings
    other = plt.figure()
    axes = other.add_axes((0, 0, 1, 1))
    event = KeyEvent("key_press_event", other.canvas, "l", 100, 100)
    other.canvas.callbacks.process("key_press_event", event)
    assert axes.get_yscale() == "log"


def test_s_saves_pictures_and_coco(window, tmp_path):
    press(window, "s")
    assert list(tmp_path.iterdir()) == []
    cut_out(window)
    press(window, "n")
    assert not (tmp_path / "cup_overlay.png").exists()
    press(window, "s")
    assert (tmp_path / "cup_overlay.png").exists()
    assert len(json.loads((tmp_path / "cup_instances.json").read_text())["annotations"]) == 1


def test_every_click_is_on_the_disk_at_once(window, tmp_path):
    for count, (x, y) in enumerate(CLICKS, 1):
        click(window, x, y)
        assert len(session_on_disk(tmp_path)[0]["draft"]["points"]) == count
    press(window, "z")
    assert len(session_on_disk(tmp_path)[0]["draft"]["points"]) == 3
    press(window, "c")
    assert "draft" not in session_on_disk(tmp_path)[0]


def test_a_killed_window_goes_on_where_it_was(open_window):
    window = open_window(labels=["cat", "dog"])
    cut_out(window)
    press(window, "2", "n")
    mask = window.session.accepted[0].mask
    press(window, "1")
    cut_out(window, SECOND)
    # Nothing was said to this window: it is gone. Another opens.
    again = open_window(labels=["cat", "dog"])
    again.poll(wait=True)
    assert again.view.note.get_text() == "Going on with 1 object on 1 image."
    np.testing.assert_allclose(drawn(again)[1], SECOND, atol=1e-6)
    assert names(again) == ["1 dog", "2 cat"]
    assert (again.session.accepted[0].mask == mask).all()
    assert (again.session.mask == window.session.mask).all()


def test_going_on_is_said(open_window):
    window = open_window()
    cut_out(window)
    press(window, "n")
    assert open_window().view.note.get_text() == "Going on with 1 object on 1 image."


def test_two_windows_do_not_write_over_each_other(open_window, tmp_path):
    first, second = open_window(), open_window()
    click(first, *CLICKS[0])
    click(second, *CLICKS[1])
    assert second.view.note.get_text().startswith("NOT SAVED: ")
    assert "changed by another window" in second.view.note.get_text()
    assert second.view.saved.get_text() == "NOT SAVED"
    (point,) = session_on_disk(tmp_path)[0]["draft"]["points"]
    assert point == pytest.approx(CLICKS[0])


def test_a_failed_save_is_said_and_the_work_goes_on(open_window, tmp_path):
    (tmp_path / "folder").write_text("in the way")
    window = open_window(layout=SessionLayout(tmp_path / "folder" / "cup.png", beside=True))
    cut_out(window)
    press(window, "n")
    assert window.view.note.get_text().startswith("NOT SAVED: ")
    press(window, "q")
    assert plt.fignum_exists(window.figure.number)
    (tmp_path / "folder").unlink()
    cut_out(window, SECOND)
    press(window, "n")
    window.finish()
    assert set(np.unique(labels_on_disk(tmp_path / "folder"))) == {0, 1, 2}


def test_closing_at_once_loses_no_mask(window, tmp_path):
    window.worker.predictor.gate.clear()
    for x, y in CLICKS:
        click(window, x, y)
    press(window, "z")
    click(window, 40, 50)
    press(window, "q")
    window.worker.predictor.gate.set()
    window.finish()
    assert len(window.worker.predictor.calls) == 2
    assert labels_on_disk(tmp_path)[50].any()
    assert not labels_on_disk(tmp_path)[51:].any()


def test_closing_untouched_writes_nothing(window, tmp_path):
    window.finish()
    assert list(tmp_path.iterdir()) == []


def test_an_object_taken_back_is_taken_from_the_files(window, tmp_path):
    for clicks in (CLICKS, SECOND):
        cut_out(window, clicks)
        press(window, "n")
    assert (tmp_path / "cup_object_002.png").exists()
    press(window, "z")
    window.poll(wait=True)
    press(window, "z")
    window.finish()
    assert set(np.unique(labels_on_disk(tmp_path))) == {0, 1}
    assert not (tmp_path / "cup_object_002.png").exists()


def test_q_closes_the_figure(window):
    assert plt.fignum_exists(window.figure.number)
    press(window, "q")
    assert not plt.fignum_exists(window.figure.number)


def test_images_are_walked_through(open_window, tmp_path):
    sources = {f"{k}.png": np.full((60, 80 + k, 3), k, np.uint8) for k in range(3)}
    layout = SessionLayout(tmp_path / "out")
    window = open_window(sources, layout=layout)
    press(window, "[")
    assert window.view.note.get_text() == "this is the first image"
    # The mask that is shown is accepted.
    cut_out(window)
    press(window, "]")
    picture, dots = drawn(window)
    assert (picture.shape, picture.max(), len(dots)) == ((60, 81, 3), 1, 0)
    assert names(window) == []
    assert window.view.axes.get_xlim() == (-0.5, 80.5)
    # Clicks without a mask wait.
    click(window, *CLICKS[0])
    press(window, "]", "]")
    assert window.view.note.get_text() == "this is the last image"
    press(window, "[")
    np.testing.assert_allclose(drawn(window)[1], CLICKS[:1], atol=1e-6)
    press(window, "[")
    assert len(window.session.accepted) == 1
    assert names(window) == ["1"]
    files = {p.relative_to(layout.result).as_posix() for p in layout.result.rglob("*.*")}
    assert files == {
        "masks/0.png",
        "overlays/0.png",
        "objects/0/001.png",
        "instances.json",
        "session.json",
        ".session.json.lock",
    }


def test_an_answer_goes_to_the_image_it_was_asked_for(open_window, tmp_path):
    sources = {f"{k}.png": np.zeros((*HW, 3), np.uint8) for k in range(2)}
    window = open_window(sources, layout=SessionLayout(tmp_path / "out"))
    window.worker.predictor.gate.clear()
    for x, y in CLICKS:
        click(window, x, y)
    press(window, "]")
    for x, y in SECOND:
        click(window, x, y)
    window.worker.predictor.gate.set()
    window.poll(wait=True)
    assert window.session.mask is None
    window.poll(wait=True)
    assert not window.session.mask[21:].any()
    press(window, "[")
    window.poll(wait=True)
    assert window.session.mask[21:].any()


def test_what_was_zoomed_into_does_not_stay_for_the_next_image(open_window):
    sources = {f"{k}.png": np.zeros((*HW, 3), np.uint8) for k in range(2)}
    window = open_window(sources, layout=None)
    toolbar = NavigationToolbar2(window.figure.canvas)
    toolbar.push_current()
    window.view.axes.set_xlim(10, 20)
    press(window, "]")
    toolbar.home()
    assert window.view.axes.get_xlim() == (-0.5, 79.5)


def test_in_memory_nothing_is_written(open_window, tmp_path):
    window = open_window(layout=None)
    cut_out(window)
    assert [mask.sum() for mask in window.masks] == [window.session.mask.sum()]
    press(window, "n", "s")
    assert window.view.saved.get_text() == "1 object on 1 image"
    assert len(window.objects) == 1
    window.finish()
    assert list(tmp_path.iterdir()) == []


def test_the_warning_is_in_sight(open_window, monkeypatch):
    titles = []
    monkeypatch.setattr(
        "matplotlib.backend_bases.FigureManagerBase.set_window_title",
        lambda self, title: titles.append(title),
    )
    window = open_window(warning="UNTRAINED")
    assert titles[-1] == "DEXTR - cup $1 $2, 80 x 60 pixels - UNTRAINED"
    shown = [text.get_text() for text in window.figure.texts if text.get_visible()]
    assert "UNTRAINED" in shown
