import socket
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt
from PIL import Image
from support.click_window import HW, StubPredictor, cut_out

from dextr.window import annotate
from dextr.window import show as window_show
from dextr.window.click_window import ClickWindow
from dextr.window.layout import Photos, SessionLayout
from dextr.window.project import AnnotationProject
from dextr.window.show import in_browser, new_figure, show


@pytest.fixture(autouse=True)
def agg():
    before = matplotlib.get_backend()
    plt.switch_backend("agg")
    yield
    plt.close("all")
    plt.switch_backend(before)


@pytest.fixture
def shown(monkeypatch):
    """Let Agg pass for a backend that has windows."""
    monkeypatch.setattr(window_show, "WITHOUT_WINDOW", ())


def test_no_window_where_there_is_none():
    with pytest.raises(ValueError, match=r"cannot open a window: give --web 8988 .* --points"):
        new_figure()
    assert plt.get_fignums() == []


def test_show_saves_even_when_interrupted(tmp_path, monkeypatch):
    photos = Photos({"a.png": np.zeros((*HW, 3), np.uint8)})
    layout = SessionLayout(tmp_path / "a.png", beside=True)
    predictor = StubPredictor()
    window = ClickWindow(plt.figure(), predictor, AnnotationProject(photos, 0.8, layout))

    def interrupted(block):
        cut_out(window)
        raise KeyboardInterrupt

    monkeypatch.setattr(plt, "show", interrupted)
    with pytest.raises(KeyboardInterrupt):
        show(window)
    with Image.open(tmp_path / "a.png") as png:
        assert np.asarray(png).any()


def test_a_browser_without_tornado(monkeypatch):
    for name in [name for name in sys.modules if "webagg" in name]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("tornado", "tornado.web"):
        monkeypatch.setitem(sys.modules, name, None)
    settings = dict(matplotlib.rcParams)
    with pytest.raises(ValueError, match=r"requires Tornado.*pip install tornado"), in_browser(1):
        raise AssertionError("it must not come to this")
    assert dict(matplotlib.rcParams) == settings


def test_settings_of_the_server_hold_inside_only():
    pytest.importorskip("tornado")
    before = {key: matplotlib.rcParams[key] for key in matplotlib.rcParams.find_all("webagg")}
    with in_browser(8123, "127.0.0.2"):
        assert matplotlib.get_backend().lower() == "webagg"
        assert not matplotlib.rcParams["webagg.open_in_browser"]
    assert {key: matplotlib.rcParams[key] for key in before} == before


def test_a_taken_port_is_named_before_anything_is_shown():
    pytest.importorskip("tornado")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = rf"cannot serve on port {port} of 127\.0\.0\.1 \(Address already in use\)"
        with pytest.raises(ValueError, match=words), in_browser(port):
            raise AssertionError("it must not come to this")


def test_a_page_for_the_network_is_a_loud_warning():
    pytest.importorskip("tornado")
    with pytest.warns(UserWarning, match=r"open to the network at 0\.0\.0\.0.*ssh -L 8124:"):  # noqa: SIM117
        with in_browser(8124, "0.0.0.0"):
            pass


def test_a_notebook_reads_what_is_cut_out(shown, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    window = annotate(np.zeros((*HW, 3), np.uint8), StubPredictor(), labels=["cup"])
    assert window.masks == []
    cut_out(window)
    (mask,) = window.masks
    assert mask.shape == HW
    assert mask.any()
    assert window.objects[0].label == "cup"
    window.next_object()
    assert len(window.objects) == 1
    assert list(tmp_path.iterdir()) == []
    window.worker.close()


@pytest.mark.parametrize("kind", ["file", "folder", "list"])
def test_a_notebook_opens_files(shown, tmp_path, kind):
    (tmp_path / "photos").mkdir()
    file = tmp_path / "photos" / "a.png"
    Image.new("RGB", (80, 60)).save(file)
    given = {"file": str(file), "folder": file.parent, "list": [file]}[kind]
    window = annotate(given, StubPredictor(), output=tmp_path / "out")
    cut_out(window)
    window.worker.close()
    assert (tmp_path / "out" / "session.json").exists()
    assert window.project.name == "a.png"


def test_a_notebook_without_widgets_is_told_what_to_do():
    with pytest.raises(ValueError, match="%matplotlib widget first"):
        annotate(np.zeros((*HW, 3), np.uint8), StubPredictor())
